#include "core/watermark.hpp"

#include <algorithm>
#include <cassert>

namespace sluice::core {

void watermark::advance() noexcept
{
    for (auto at = base_ - purged_; at < messages_.size() && (messages_[at] & dead_bit); ++at) {
        stuck_bytes_ -= size_of(messages_[at]);
        ++base_;
    }
}

void watermark::read(std::uint64_t sequence, std::uint32_t bytes)
{
    assert(sequence >= purged_ + messages_.size());
    messages_.resize(sequence - purged_, dead_bit);
    messages_.push_back(std::min(bytes, dead_bit - 1));
    live_bytes_ += size_of(messages_.back());
    advance();
}

void watermark::settled(std::uint64_t sequence)
{
    if (sequence < base_ || sequence - purged_ >= messages_.size() || (messages_[sequence - purged_] & dead_bit))
        return;
    auto& message = messages_[sequence - purged_];
    live_bytes_ -= message;
    dead_bytes_ += message;
    stuck_bytes_ += message;
    message |= dead_bit;
    advance();
}

std::vector<std::uint64_t> watermark::stragglers(std::size_t count, std::uint64_t bytes) const
{
    std::vector<std::uint64_t> found;
    for (auto at = base_ - purged_; at < messages_.size() && found.size() < count; ++at) {
        if (messages_[at] & dead_bit)
            continue;
        if (!found.empty() && messages_[at] > bytes)
            break;
        bytes -= std::min<std::uint64_t>(bytes, messages_[at]);
        found.push_back(purged_ + at);
    }
    return found;
}

std::uint64_t watermark::purge_target(std::uint64_t step_max, std::uint64_t bytes_min, std::uint64_t wanted) const noexcept
{
    const bool worth_it = dead_bytes_ >= bytes_min && dead_bytes_ > live_bytes_;
    if (base_ <= purged_ || (!worth_it && wanted <= purged_))
        return 0;
    return std::min(base_, purged_ + step_max);
}

void watermark::purged(std::uint64_t below) noexcept
{
    if (below > base_)
        return;
    for (; purged_ < below; ++purged_) {
        if (messages_.empty())
            continue;
        dead_bytes_ -= size_of(messages_.front());
        messages_.pop_front();
    }
}

}
