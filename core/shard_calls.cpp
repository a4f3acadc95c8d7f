// The part of the shard that reads calls and runs them: from the log to the record of their outcome.
#include "core/callback_request.hpp"
#include "core/shard.hpp"

#include <algorithm>

namespace sluice::core {

// ---- reading

void shard::opened(std::uint32_t slot, const log_info& journal, const log_info& log)
{
    if (auto* part = at(slot))
        part->opened(journal, log, out_);
}

void shard::journal_message(std::uint32_t slot, const sluice::log_message& message)
{
    if (auto* part = at(slot))
        part->journal_message(message, out_);
}

void shard::log_message(std::uint32_t slot, sluice::log_message message, instant now)
{
    auto* part = owned(slot);
    if (!part)
        return;
    const auto sequence = message.sequence;
    if (part->read_before(sequence))
        return close(slot, "the log gave sequence " + std::to_string(sequence) + " again: it has lost its tail");
    const auto bytes = static_cast<std::uint32_t>(message.payload.size());
    const auto* id = sluice::find(message.fields, "Nats-Msg-Id");
    const auto id_hash = id ? hash_id(*id) : 0;
    auto parsed = parse_invocation(std::move(message));
    if (parsed)
        enter_call(slot, std::move(*parsed), now);
    else if (parsed.error().newer_version)
        return part->close("log sequence " + std::to_string(sequence) + ": " + parsed.error().message, true, out_);
    else
        enter_unreadable(slot, sequence, id_hash, bytes, parsed.error().message);
    part->read_up_to(sequence);
    throttle_reading();
}

void shard::enter_call(std::uint32_t slot, invocation what, instant now)
{
    const call_key key{slot, what.sequence};
    const auto bytes = static_cast<std::uint32_t>(what.payload->size());
    auto [entry, history] = at(slot)->enter(what.sequence, what.id_hash, bytes);
    if (!entry)
        return;
    ++live_;
    const auto lane = entry->lane = lane_of(what.tenant, what.function);
    if (!history || history->last == replay::word::retry)
        keep_body(*entry, std::make_shared<const invocation>(std::move(what)));
    if (history)
        resume_history(key, *entry, *history, now);
    else
        queue_.push_back(lane, {slot, key.sequence});
}

void shard::resume_history(call_key key, call& what, const replay::entry& history, instant now)
{
    what.attempts = history.attempts;
    if (history.last == replay::word::retry) {
        // The wall clock may have been set since: the wait is never negative and never longer than what was recorded.
        const auto left = history.recorded_at + static_cast<unix_ms>(history.delay_ms) - now.wall;
        wait_until(key, now.mono + milliseconds(std::clamp<unix_ms>(left, 0, static_cast<unix_ms>(history.delay_ms))),
                   timer_kind::call_due);
        what.state = call_state::delayed;
        return;
    }
    what.journal_sequence = history.journal_sequence;
    what.state = call_state::callback_queued;
    callbacks_.push_back(lanes_[what.lane].callback_lane, {key.slot, key.sequence});
}

void shard::enter_unreadable(std::uint32_t slot, std::uint64_t sequence, std::uint64_t id_hash, std::uint32_t bytes, const std::string& why)
{
    auto* part = at(slot);
    auto [entry, history] = part->enter(sequence, id_hash, bytes);
    if (!entry)
        return;
    ++live_;
    out_.push_back(act::warn{slot, "log sequence " + std::to_string(sequence) + " is unreadable: " + why});
    entry->state = call_state::recording;
    part->record(journal::settled{{sequence, id_hash}, journal::settled::how_kind::unreadable, 0, 0});
}

void shard::throttle_reading()
{
    const bool pause = live_ > (reading_paused_ ? options_.calls_max / 10 * 9 : options_.calls_max);
    if (pause == reading_paused_)
        return;
    reading_paused_ = pause;
    for (const auto& [slot, part] : slots_)
        if (part->state() == partition::phase::owning)
            out_.push_back(act::pause_log{slot, pause});
}

void shard::keep_body(call& what, std::shared_ptr<const invocation> body)
{
    if (body_bytes_ + what.bytes > options_.body_bytes_budget)
        return;
    body_bytes_ += what.bytes;
    what.body = std::move(body);
}

void shard::drop_body(call& what)
{
    if (!what.body)
        return;
    body_bytes_ -= what.bytes;
    what.body.reset();
}

// Of a call that waits again: one that was fetched may have no room among the bodies that are kept.
void shard::trim_body(call& what)
{
    if (body_bytes_ > options_.body_bytes_budget)
        drop_body(what);
}

// ---- running

bool shard::start(const fair_queue::pick& next, instant now)
{
    const call_key key{next.what.partition, next.what.sequence};
    auto* what = find(key);
    if (!what || what->state != call_state::queued) {
        queue_.finished(next.lane);
        return true;
    }
    if (hold_if_stalled(queue_, next))
        return true;
    auto& function = *functions_[lanes_[next.lane].function];
    attempt with{next.lane, 0, nullptr};
    if (!function.gone) {
        auto permit = function.slots.take(now.mono);
        if (!permit) {
            queue_.push_front(next.lane, next.what);
            queue_.finished(next.lane);
            hold(function, true);
            if (auto chance = function.slots.next_chance(now.mono))
                timers_.push({*chance, timer_kind::function_chance, {lanes_[next.lane].function, 0}});
            return true;
        }
        with.replica = permit->replica;
        with.target = std::move(permit->target);
    }
    attempts_.emplace(key, with);
    if (what->body) {
        run(key, *what, with);
    } else {
        what->state = call_state::fetching;
        out_.push_back(act::fetch_call{key});
    }
    return true;
}

void shard::run(call_key key, call& what, const attempt& with)
{
    if (with.target) {
        what.state = call_state::running;
        out_.push_back(act::dispatch{key, what.attempts + 1, what.body, with.target});
        return;
    }
    const verdict gone{verdict_kind::dead, {}, 404, "function " + what.body->function.full() + " does not exist"};
    queue_.finished(with.lane);
    attempts_.erase(key);
    finish(key, what, gone, outcome{outcome_kind::unreachable, {}, gone.reason, {}});
}

void shard::call_fetched(call_key key, boost::system::result<sluice::log_message> result, instant now)
{
    const auto under_way = attempts_.find(key);
    auto* what = find(key);
    if (under_way == attempts_.end() || (what && what->state != call_state::fetching))
        return;
    const auto with = under_way->second;
    boost::system::result<invocation, invocation_error> parsed = invocation_error{};
    if (what && result)
        parsed = parse_invocation(std::move(*result));
    if (what && parsed && parsed->id_hash == what->id_hash) {
        body_bytes_ += what->bytes;
        what->body = std::make_shared<const invocation>(std::move(*parsed));
        if (!draining_ && !owned(key.slot)->stalled())
            return run(key, *what, with);
        release(key, with);
        return give_back(key, *what);
    }
    release(key, with);
    if (!what)
        return;
    if (result || result.error() == log_errc::not_found)
        return close(key.slot, "log sequence " + std::to_string(key.sequence) + " is not what was read: the log has lost its tail");
    what->state = call_state::delayed;
    wait_until(key, now.mono + milliseconds(200), timer_kind::call_due);
}

void shard::attempt_finished(call_key key, const outcome& result, instant now)
{
    const auto under_way = attempts_.find(key);
    if (under_way == attempts_.end())
        return;
    const auto with = under_way->second;
    release(key, with);
    auto* what = find(key);
    if (!what)
        return;
    const auto decided = after(result, what->attempts + 1, options_.retry);
    switch (decided.kind) {
    case verdict_kind::give_back:
        functions_[lanes_[with.lane].function]->slots.rest(with.replica, now.mono + decided.wait);
        return give_back(key, *what);
    case verdict_kind::retry:
        ++what->attempts;
        what->state = call_state::delayed;
        trim_body(*what);
        at(key.slot)->record(journal::retry_scheduled{
            {key.sequence, what->id_hash}, what->attempts, now.wall, static_cast<std::uint64_t>(decided.wait.count())});
        return wait_until(key, now.mono + decided.wait, timer_kind::call_due);
    case verdict_kind::done:
    case verdict_kind::dead: ++what->attempts; return finish(key, *what, decided, result);
    }
}

void shard::release(call_key key, const attempt& with)
{
    auto& function = *functions_[lanes_[with.lane].function];
    attempts_.erase(key);
    function.slots.give_back(with.replica);
    queue_.finished(with.lane);
    hold(function, false);
}

void shard::give_back(call_key key, call& what)
{
    what.state = call_state::queued;
    trim_body(what);
    queue_.push_front(what.lane, {key.slot, key.sequence});
}

void shard::finish(call_key key, call& what, const verdict& decided, const outcome& last)
{
    const bool dead = decided.kind == verdict_kind::dead;
    if (what.body->callback_url.empty()) {
        record_settled(key, what, dead ? journal::settled::how_kind::dead : journal::settled::how_kind::done, decided.status);
    } else {
        what.state = call_state::recording;
        at(key.slot)->record(make_callback(*what.body, decided, last, what.attempts));
    }
    if (dead)
        out_.push_back(act::warn{key.slot,
                                 "call is dead function=" + what.body->function.full() + " sequence=" + std::to_string(key.sequence)
                                     + " attempts=" + std::to_string(what.attempts) + " reason=\"" + decided.reason + '"'});
    drop_body(what);
}

void shard::record_settled(call_key key, call& what, journal::settled::how_kind how, std::uint32_t status)
{
    what.state = call_state::recording;
    at(key.slot)->record(journal::settled{{key.sequence, what.id_hash}, how, what.attempts, status});
}

void shard::start_calls(instant now)
{
    while (!draining_ && attempts_.size() < options_.inflight_max) {
        auto next = queue_.next();
        if (!next || !start(*next, now))
            return;
    }
}

}
