// The part of the shard that sends callbacks: from an answer on record to the record that settles the call.
#include "core/shard.hpp"

#include <algorithm>

namespace sluice::core {

namespace {

constexpr milliseconds again_wait{500};

bool accepted(const outcome& result)
{
    return result.kind == outcome_kind::delivered && result.reply.status >= 200 && result.reply.status < 300;
}

std::string reason_of(const outcome& result)
{
    return result.kind == outcome_kind::delivered ? "status " + std::to_string(result.reply.status) : result.reason;
}

std::shared_ptr<const journal::answered> find_answer(const sluice::log_message& message, const journal::call_ref& call)
{
    auto batch = journal::decode(message.payload);
    if (!batch)
        return nullptr;
    for (auto& record : batch->records)
        if (auto* found = std::get_if<journal::answered>(&record); found && found->call == call)
            return std::make_shared<const journal::answered>(std::move(*found));
    return nullptr;
}

}

void shard::stored_of(std::uint32_t slot, journal::answered& what, std::uint64_t stored_at)
{
    call_key key{slot, 0};
    auto* entry = at(slot)->find(what.call, key.sequence);
    if (!entry)
        return;
    at(slot)->held(*entry, stored_at, journal::size_of(what));
    if (std::exchange(entry->answered, true))
        return;                     // a copy
    at(slot)->scheduled(*entry, 0); // of its retries
    entry->state = call_state::callback_queued;
    const auto bytes = what.body.size() + what.head.size();
    if (answer_bytes_ + bytes <= options_.answer_bytes_budget) {
        answer_bytes_ += bytes;
        answers_.emplace(key, std::make_shared<const journal::answered>(std::move(what)));
    }
    callbacks_.push_back(lanes_[entry->lane].callback_lane, {key.slot, key.sequence});
}

void shard::drop_answer(call_key key)
{
    auto kept = answers_.find(key);
    if (kept == answers_.end())
        return;
    answer_bytes_ -= kept->second->body.size() + kept->second->head.size();
    answers_.erase(kept);
}

void shard::start_callbacks()
{
    while (!handed_over_ && callbacks_under_way_.size() < options_.callbacks_max) {
        auto next = callbacks_.next();
        if (!next)
            return;
        const call_key key{next->what.partition, next->what.sequence};
        auto* what = find(key);
        if (!what || what->state != call_state::callback_queued) {
            callbacks_.not_run(*next);
            continue;
        }
        if (hold_if_stalled(callbacks_, *next))
            continue;
        if (!answers_.contains(key) && !may_fetch(what->whole_bytes)) {
            callbacks_.give_back(*next);
            return;
        }
        what->state = call_state::callback_running;
        callbacks_under_way_.emplace(key, callback_under_way{*next, nullptr, 0, 0});
        if (auto kept = answers_.find(key); kept != answers_.end()) {
            auto answer = kept->second;
            drop_answer(key);
            send(key, std::move(answer));
        } else {
            fetch_answer(key, *what);
        }
    }
}

void shard::fetch_answer(call_key key, const call& what)
{
    auto& under_way = callbacks_under_way_[key];
    under_way.journal_sequence = what.whole_at;
    under_way.fetch_bytes = what.whole_bytes;
    fetch_bytes_ += what.whole_bytes;
    out_.push_back(act::fetch_answer{key, what.whole_at});
}

void shard::send(call_key key, std::shared_ptr<const journal::answered> what)
{
    callbacks_under_way_[key].what = what;
    out_.push_back(act::send_callback{key, find(key)->callback_attempts + 1, std::move(what)});
}

void shard::callback_again(call_key key, call& what, mono_time due)
{
    what.state = call_state::callback_delayed;
    wait_until(key, due, timer_kind::attempt_due);
}

void shard::answer_fetched(call_key key, const boost::system::result<sluice::log_message>& result, instant now)
{
    const auto under_way = callbacks_under_way_.find(key);
    if (under_way == callbacks_under_way_.end() || under_way->second.what)
        return;
    fetched(under_way->second);
    auto* what = find(key);
    if (what && result)
        if (auto answer = find_answer(*result, what->ref()))
            return send(key, std::move(answer));
    const auto journal_sequence = under_way->second.journal_sequence;
    // Copied, and purged from where it was, while it was being read there.
    if (what && what->whole_at != journal_sequence)
        return fetch_answer(key, *what);
    callbacks_.finished(under_way->second.taken, under_way->second.taken.charged);
    callbacks_under_way_.erase(under_way);
    if (!what)
        return;
    if (result || result.error() == log_errc::not_found)
        return close(key.slot, "journal sequence " + std::to_string(journal_sequence) + " does not hold the answer that was stored there");
    callback_again(key, *what, now.mono + again_wait);
}

void shard::callback_finished(call_key key, const outcome& result, instant now)
{
    const auto under_way = callbacks_under_way_.find(key);
    if (under_way == callbacks_under_way_.end() || !under_way->second.what)
        return;
    const auto sent = under_way->second.what;
    callbacks_.finished(under_way->second.taken, under_way->second.taken.charged);
    callbacks_under_way_.erase(under_way);
    auto* what = find(key);
    if (!what)
        return;
    if (result.kind == outcome_kind::overloaded) // nothing was sent, for a reason of ours: no attempt
        return callback_again(key, *what, now.mono + again_wait);
    ++what->callback_attempts;
    if (accepted(result))
        return record_settled(key, *what, journal::settled::how_kind::called_back, sent->status);
    const auto& policy = options_.callback;
    if (what->callback_attempts < policy.attempts_max) {
        const auto wait = backoff(what->callback_attempts, policy.wait_min, policy.wait_max);
        what->schedule = schedule_state::recording;
        at(key.slot)->record(
            journal::callback_scheduled{what->ref(), what->callback_attempts, now.wall, static_cast<std::uint64_t>(wait.count())});
        return callback_again(key, *what, now.mono + wait);
    }
    out_.push_back(act::warn{key.slot,
                             "callback is given up invocation=" + std::string(field_of(sent->head, "X-Call-Id"))
                                 + " attempts=" + std::to_string(what->callback_attempts) + " reason=\"" + reason_of(result) + '"'});
    record_settled(key, *what, journal::settled::how_kind::callback_dead, sent->status);
}

}
