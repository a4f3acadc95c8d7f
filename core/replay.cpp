#include "core/replay.hpp"

#include "core/invocation.hpp"

#include <algorithm>

namespace sluice::core {

namespace {

using stage = replay::stage;

void apply_to(replay::entry& entry, const journal::settled& what, std::uint64_t)
{
    entry.reached = stage::settled;
    entry.attempts = what.attempts;
    entry.whole_at = entry.schedule_at = 0;
}

void apply_to(replay::entry& entry, const journal::retry_scheduled& what, std::uint64_t at)
{
    if (entry.reached != stage::queued || entry.callback_attempts > 0)
        return;
    entry.attempts = what.attempts;
    entry.recorded_at = what.recorded_at;
    entry.delay_ms = what.delay_ms;
    entry.schedule_at = at;
}

void apply_to(replay::entry& entry, const journal::callback_scheduled& what, std::uint64_t at)
{
    // It may come before the answer that it is about, when that was copied later.
    if (entry.reached == stage::settled)
        return;
    entry.callback_attempts = what.attempts;
    entry.recorded_at = what.recorded_at;
    entry.delay_ms = what.delay_ms;
    entry.schedule_at = at;
}

void apply_to(replay::entry& entry, const journal::answered& what, std::uint64_t at)
{
    if (entry.reached == stage::settled)
        return;
    if (entry.callback_attempts == 0)
        entry.schedule_at = 0; // that was of a retry
    entry.reached = stage::answered;
    entry.attempts = what.attempts;
    entry.whole_at = at;
}

journal::decode_error damaged(const char* what) { return {false, std::string("a journal record is damaged: ") + what}; }

}

std::uint64_t highest_settled(const std::vector<journal::record>& records) noexcept
{
    std::uint64_t highest = 0;
    for (const auto& record : records)
        if (const auto* what = std::get_if<journal::settled>(&record))
            highest = std::max(highest, what->call.sequence);
    return highest;
}

std::uint32_t replay::owner_index(owner of)
{
    const auto [at, is_new] = owner_indices_.emplace(std::move(of), static_cast<std::uint32_t>(owners_.size()));
    if (is_new)
        owners_.push_back(&at->first);
    return at->second;
}

boost::system::result<void, journal::decode_error> replay::apply(const journal::record& what, std::uint64_t at)
{
    if (const auto* reserved = std::get_if<journal::reserved>(&what)) {
        reservations_[reserved->tenant] = {reserved->slots, at};
        return {};
    }
    if (std::get_if<journal::handed_over>(&what)) {
        reservations_.clear();
        return {};
    }
    const auto& call = *journal::call_of(what);
    highest_call_ = std::max(highest_call_, call.sequence);
    auto& known = entries_[call];
    if (const auto* carried = std::get_if<journal::carried>(&what)) {
        if (known.reached != stage::queued)
            return {};
        auto read = parse_invocation({call.sequence, carried->fields, carried->payload});
        if (!read)
            return journal::decode_error{read.error().newer_version, "a call that was carried: " + read.error().message};
        known.owner = owner_index({read->tenant, read->function});
        known.whole_at = at;
        known.whole_bytes = static_cast<std::uint32_t>(journal::size_of(what));
        known.call_bytes = static_cast<std::uint32_t>(carried->payload.size());
    } else if (const auto* answered = std::get_if<journal::answered>(&what)) {
        auto function = parse_function_name(answered->function);
        if (!function)
            return damaged("an answer of no function");
        apply_to(known, *answered, at);
        known.owner = owner_index({answered->tenant, std::move(*function)});
        known.whole_bytes = static_cast<std::uint32_t>(journal::size_of(what));
    } else if (const auto* settled = std::get_if<journal::settled>(&what)) {
        apply_to(known, *settled, at);
    } else if (const auto* retry = std::get_if<journal::retry_scheduled>(&what)) {
        apply_to(known, *retry, at);
    } else if (const auto* callback = std::get_if<journal::callback_scheduled>(&what)) {
        apply_to(known, *callback, at);
    }
    return {};
}

boost::system::result<void, journal::decode_error> replay::add(std::uint64_t journal_sequence, std::string_view payload)
{
    auto batch = journal::decode(payload);
    if (!batch)
        return batch.error();
    extents_.push_back({journal_sequence, payload.size(), core::highest_settled(batch->records), batch->epoch < epoch_});
    if (batch->epoch < epoch_)
        return {};
    epoch_ = batch->epoch;
    for (const auto& record : batch->records)
        if (auto applied = apply(record, journal_sequence); !applied)
            return applied.error();
    return {};
}

const replay::entry* replay::find(const journal::call_ref& call) const
{
    auto at = entries_.find(call);
    return at == entries_.end() ? nullptr : &at->second;
}

std::vector<std::pair<journal::call_ref, replay::entry>> replay::held() const
{
    std::vector<std::pair<journal::call_ref, entry>> found;
    for (const auto& [call, what] : entries_)
        if (what.whole_at != 0)
            found.emplace_back(call, what);
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
        return std::tie(a.first.sequence, a.first.id_hash) < std::tie(b.first.sequence, b.first.id_hash);
    });
    return found;
}

void replay::clear()
{
    entries_ = {};
    owner_indices_ = {};
    owners_ = {};
    reservations_ = {};
}

}
