#include "core/replay.hpp"

#include <algorithm>

namespace sluice::core {

namespace {

replay::entry entry_of(const journal::settled& what) { return {what.call.id_hash, 0, 0, 0, what.attempts, replay::word::settled}; }

replay::entry entry_of(const journal::retry_scheduled& what)
{
    return {what.call.id_hash, 0, what.recorded_at, what.delay_ms, what.attempts, replay::word::retry};
}

replay::entry entry_of(const journal::answered& what) { return {what.call.id_hash, 0, 0, 0, what.attempts, replay::word::answered}; }

}

std::uint64_t highest_call(const std::vector<journal::record>& records) noexcept
{
    std::uint64_t highest = 0;
    for (const auto& record : records)
        highest = std::max(highest, journal::call_of(record).sequence);
    return highest;
}

boost::system::result<void, journal::decode_error> replay::add(std::uint64_t journal_sequence, std::string_view payload)
{
    auto batch = journal::decode(payload);
    if (!batch)
        return batch.error();
    auto highest = core::highest_call(batch->records);
    extents_.push_back({journal_sequence, highest, batch->epoch < epoch_});
    if (batch->epoch < epoch_)
        return {};
    epoch_ = batch->epoch;
    highest_call_ = std::max(highest_call_, highest);
    for (const auto& record : batch->records) {
        auto next = std::visit([](const auto& what) { return entry_of(what); }, record);
        next.journal_sequence = journal_sequence;
        entries_.insert_or_assign(journal::call_of(record).sequence, next);
    }
    return {};
}

const replay::entry* replay::find(const journal::call_ref& call) const
{
    auto at = entries_.find(call.sequence);
    return at == entries_.end() || at->second.id_hash != call.id_hash ? nullptr : &at->second;
}

}
