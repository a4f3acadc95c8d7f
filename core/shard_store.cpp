// What the store answers to a shard, and what becomes of the records that it has made durable.
#include "core/shard.hpp"

#include <utility>

namespace sluice::core {

void shard::append_result(std::uint32_t slot, std::uint64_t batch, const boost::system::result<stored_at>& result, instant now)
{
    auto* part = at(slot);
    if (auto* writer = part ? part->writer() : nullptr)
        writer->append_result(batch, result, now.mono);
}

void shard::read_back_result(std::uint32_t slot, const boost::system::result<sluice::log_message>& result, instant now)
{
    auto* part = at(slot);
    if (auto* writer = part ? part->writer() : nullptr)
        writer->read_result(result, now.mono);
}

void shard::last_result(std::uint32_t slot, const boost::system::result<log_info>& result, instant now)
{
    auto* part = at(slot);
    if (auto* writer = part ? part->writer() : nullptr)
        writer->last_result(result, now.mono);
}

void shard::log_checked(std::uint32_t slot, std::uint64_t sequence, const boost::system::result<sluice::log_message>& result)
{
    if (auto* part = at(slot))
        part->log_checked(sequence, result, out_);
}

void shard::log_extent(std::uint32_t slot, const boost::system::result<log_info>& result)
{
    if (auto* part = at(slot))
        part->log_extent(result, out_);
}

void shard::log_purged(std::uint32_t slot, std::uint64_t below, bool done)
{
    if (auto* part = at(slot))
        part->log_purged(below, done, out_);
}

void shard::straggler_fetched(std::uint32_t slot, std::uint64_t sequence, boost::system::result<sluice::log_message> result, instant now)
{
    if (auto* part = at(slot))
        part->straggler_fetched(sequence, std::move(result), now, out_);
}

void shard::journal_fetched(std::uint32_t slot, std::uint64_t sequence, const boost::system::result<sluice::log_message>& result,
                            instant now)
{
    if (auto* part = at(slot))
        part->journal_fetched(sequence, result, now, out_);
}

void shard::stored(std::uint32_t slot, journal_writer::stored batch)
{
    for (auto& record : batch.records)
        std::visit([&](auto& what) { stored_of(slot, what, batch.sequence); }, record);
}

void shard::stored_of(std::uint32_t slot, const journal::settled& what, std::uint64_t)
{
    call_key key{slot, 0};
    auto* entry = at(slot)->find(what.call, key.sequence);
    if (!entry)
        return;
    auto function = entry->lane == no_lane ? function_name{} : functions_[lanes_[entry->lane].function]->name;
    out_.push_back(act::settled{key, std::move(function), what.how, what.status, what.attempts});
    at(slot)->settle(key.sequence);
    --live_;
}

void shard::stored_of(std::uint32_t slot, const journal::retry_scheduled& what, std::uint64_t stored_at)
{
    call_key key{slot, 0};
    auto* entry = at(slot)->find(what.call, key.sequence);
    if (entry)
        schedule_stored(key, *entry, what.attempts == entry->attempts, stored_at);
}

void shard::stored_of(std::uint32_t slot, const journal::callback_scheduled& what, std::uint64_t stored_at)
{
    call_key key{slot, 0};
    auto* entry = at(slot)->find(what.call, key.sequence);
    if (entry)
        schedule_stored(key, *entry, what.attempts == entry->callback_attempts, stored_at);
}

void shard::schedule_stored(call_key key, call& what, bool is_last, std::uint64_t stored_at)
{
    at(key.slot)->scheduled(what, stored_at);
    if (is_last && std::exchange(what.schedule, schedule_state::stored) == schedule_state::recording_due)
        attempt_due(key, what);
}

void shard::stored_of(std::uint32_t slot, const journal::carried& what, std::uint64_t stored_at)
{
    std::uint64_t number = 0;
    if (auto* entry = at(slot)->find(what.call, number))
        at(slot)->carried(*entry, stored_at, journal::size_of(what));
}

void shard::stored_of(std::uint32_t slot, const journal::reserved& what, std::uint64_t stored_at) { at(slot)->reserved(what, stored_at); }

}
