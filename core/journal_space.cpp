#include "core/journal_space.hpp"

#include <algorithm>
#include <cassert>

namespace sluice::core {

void journal_space::add(std::uint64_t sequence, std::uint64_t bytes, std::uint64_t highest_settled, bool is_void)
{
    assert(messages_.empty() || messages_.back().sequence < sequence);
    messages_.push_back({sequence, bytes, 0, highest_settled, 0, is_void});
    bytes_ += bytes;
    highest_settled_ = std::max(highest_settled_, highest_settled);
}

journal_space::message* journal_space::find(std::uint64_t sequence) noexcept
{
    const auto at = std::lower_bound(messages_.begin(), messages_.end(), sequence,
                                     [](const message& each, std::uint64_t wanted) { return each.sequence < wanted; });
    return at == messages_.end() || at->sequence != sequence ? nullptr : &*at;
}

void journal_space::hold(std::uint64_t sequence, std::uint64_t bytes)
{
    if (auto* at = find(sequence)) {
        ++at->holds;
        at->live_bytes += bytes;
        live_bytes_ += bytes;
    }
}

void journal_space::release(std::uint64_t sequence, std::uint64_t bytes)
{
    if (auto* at = find(sequence); at && at->holds > 0) {
        --at->holds;
        at->live_bytes -= bytes;
        live_bytes_ -= bytes;
    }
}

std::uint64_t journal_space::purge_target(std::uint64_t log_first, std::uint64_t step_max) const noexcept
{
    std::size_t gone = 0;
    for (std::size_t i = 0; i + 1 < messages_.size() && (i < step_max || gone == 0); ++i) {
        if (messages_[i].holds > 0 || messages_[i].highest_settled >= log_first)
            break;
        if (!messages_[i + 1].is_void)
            gone = i + 1;
    }
    return gone == 0 ? 0 : messages_[gone].sequence;
}

void journal_space::purged(std::uint64_t below) noexcept
{
    for (; !messages_.empty() && messages_.front().sequence < below; messages_.pop_front()) {
        bytes_ -= messages_.front().bytes;
        live_bytes_ -= messages_.front().live_bytes;
    }
}

std::uint64_t journal_space::copy_target(std::uint64_t log_first, std::uint64_t bytes_min) const noexcept
{
    if (dead_bytes() <= live_bytes() || dead_bytes() < bytes_min)
        return 0;
    std::uint64_t dead = 0, live = 0, last = 0;
    for (std::size_t i = 0; i + 1 < messages_.size() && messages_[i].highest_settled < log_first; ++i) {
        live += messages_[i].live_bytes;
        dead += messages_[i].bytes - messages_[i].live_bytes;
        if (dead > live && dead >= bytes_min)
            last = messages_[i].sequence;
    }
    return last;
}

std::uint64_t journal_space::next_held(std::uint64_t from, std::uint64_t last) const noexcept
{
    auto at = std::lower_bound(messages_.begin(), messages_.end(), from,
                               [](const message& each, std::uint64_t wanted) { return each.sequence < wanted; });
    for (; at != messages_.end() && at->sequence <= last; ++at)
        if (at->holds > 0)
            return at->sequence;
    return 0;
}

}
