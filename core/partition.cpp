#include "core/partition.hpp"

#include <algorithm>
#include <cassert>

namespace sluice::core {

partition::partition(std::uint32_t slot, std::uint32_t number, std::string owner, options with)
    : slot_(slot), number_(number), owner_(std::move(owner)), options_(with)
{}

void partition::start(std::vector<action>& out) { out.push_back(act::ask_extents{slot_}); }

void partition::opened(const log_info& journal, const log_info& log, std::vector<action>& out)
{
    if (phase_ != phase::asking)
        return;
    journal_last_ = journal.last_sequence;
    log_last_ = log.last_sequence;
    auto first = log.messages > 0 ? log.first_sequence : log.last_sequence + 1;
    mark_.emplace(first);
    read_ = first - 1;
    phase_ = phase::replaying;
    if (journal.messages == 0)
        claim(out);
    else
        out.push_back(act::read_journal{slot_});
}

void partition::journal_message(const log_message& message, std::vector<action>& out)
{
    if (phase_ != phase::replaying)
        return;
    if (auto added = replay_.add(message.sequence, message.payload); !added)
        return close("journal sequence " + std::to_string(message.sequence) + ": " + added.error().message, true, out);
    if (message.sequence >= journal_last_) {
        journal_last_ = message.sequence;
        claim(out);
    }
}

void partition::claim(std::vector<action>& out)
{
    if (replay_.highest_call() > log_last_)
        out.push_back(act::warn{slot_,
                                "the log ends at sequence " + std::to_string(log_last_) + ", before what the journal speaks of ("
                                    + std::to_string(replay_.highest_call()) + "): it has lost its tail"});
    journal_extents_.assign(replay_.extents().begin(), replay_.extents().end());
    writer_.emplace(replay_.epoch() + 1, owner_, journal_last_, options_.writer);
    phase_ = phase::claiming;
}

void partition::close(std::string reason, bool final, std::vector<action>& out)
{
    if (phase_ == phase::closed)
        return;
    phase_ = phase::closed;
    writer_.reset();
    calls_ = {};
    replay_.clear();
    journal_extents_.clear();
    out.push_back(act::closed{slot_, number_, std::move(reason), final});
}

partition::entered partition::enter(std::uint64_t sequence, std::uint64_t id_hash, std::uint32_t bytes)
{
    mark_->read(sequence, bytes);
    const auto* history = replay_.find({sequence, id_hash});
    if (history && history->last == replay::word::settled) {
        mark_->settled(sequence, bytes);
        return {nullptr, history};
    }
    auto& what = calls_[sequence];
    what.id_hash = id_hash;
    what.bytes = bytes;
    return {&what, history};
}

void partition::read_up_to(std::uint64_t sequence)
{
    read_ = sequence;
    if (replay_.size() == 0)
        return;
    // The journal may speak of calls that entered the log after its extent was asked for.
    if (sequence >= std::max(log_last_, replay_.highest_call()))
        replay_.clear();
    else
        replay_.forget(sequence);
}

call* partition::find(std::uint64_t sequence)
{
    auto at = calls_.find(sequence);
    return at == calls_.end() ? nullptr : &at->second;
}

std::uint64_t partition::body_bytes() const
{
    std::uint64_t sum = 0;
    for (const auto& [sequence, what] : calls_)
        sum += what.body ? what.bytes : 0;
    return sum;
}

void partition::pump(instant now, std::vector<journal_writer::stored>& stored, std::vector<action>& out)
{
    if (!writer_)
        return;
    for (auto& next : writer_->actions(now.mono)) {
        if (auto* done = std::get_if<journal_writer::stored>(&next)) {
            journal_extents_.push_back({done->sequence, highest_call(done->records), false});
            if (phase_ == phase::claiming) {
                phase_ = phase::owning;
                out.push_back(act::read_log{slot_, read_ + 1});
            }
            stored.push_back(std::move(*done));
        } else if (auto* sent = std::get_if<journal_writer::append>(&next)) {
            out.push_back(act::append{slot_, std::move(*sent)});
        } else if (auto* place = std::get_if<journal_writer::read_back>(&next)) {
            out.push_back(act::read_back{slot_, place->sequence});
        } else if (std::get_if<journal_writer::ask_last>(&next)) {
            out.push_back(act::ask_last{slot_});
        } else if (auto* gone = std::get_if<journal_writer::lost>(&next)) {
            return close(std::move(gone->reason), gone->final, out);
        }
    }
}

void partition::settle(std::uint64_t sequence)
{
    auto at = calls_.find(sequence);
    if (at == calls_.end())
        return;
    mark_->settled(sequence, at->second.bytes);
    calls_.erase(at);
}

void partition::clean(instant now, std::vector<action>& out)
{
    const auto target = suspended_ || now.mono < clean_at_ ? 0 : purge_target();
    if (target == 0)
        return;
    clean_at_ = now.mono + options_.purge_interval;
    purging_ = true;
    out.push_back(act::purge_log{slot_, target});
}

void partition::log_purged(std::uint64_t below, bool done, std::vector<action>& out)
{
    purging_ = false;
    if (!done || phase_ != phase::owning)
        return;
    mark_->purged(below);
    // A journal message goes only after every call that it speaks of has gone from the log. The last one stays, for its epoch; and a void one is
    // never the first: without the epoch before it, it would count.
    std::size_t gone = 0;
    for (std::size_t i = 0; i + 1 < journal_extents_.size() && journal_extents_[i].highest_call < below; ++i)
        if (!journal_extents_[i + 1].is_void)
            gone = i + 1;
    if (gone == 0)
        return;
    journal_extents_.erase(journal_extents_.begin(), journal_extents_.begin() + static_cast<std::ptrdiff_t>(gone));
    out.push_back(act::purge_journal{slot_, journal_extents_.front().journal_sequence});
}

std::uint64_t partition::purge_target() const
{
    return phase_ == phase::owning && !purging_ ? mark_->purge_target(options_.purge_step_max, options_.purge_bytes_min) : 0;
}

std::optional<mono_time> partition::next_due() const
{
    auto due = writer_ ? writer_->next_due() : std::nullopt;
    if (purge_target() != 0 && (!due || clean_at_ < *due))
        due = clean_at_;
    return due;
}

}
