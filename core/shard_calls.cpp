// The part of the shard that reads calls and runs them: from the log to the record of their outcome.
#include "core/callback_request.hpp"
#include "core/config.hpp"
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
    part->read_up_to({sequence, id_hash});
    throttle_reading();
}

// Calls that the journal holds: stragglers that were carried, and answers whose callbacks are due.
void shard::enter_held(std::uint32_t slot, instant now)
{
    at(slot)->enter_held([&](const partition::held_call& each) {
        ++live_;
        each.what->lane = lane_of(each.of->tenant, each.of->function);
        resume_history({slot, each.number}, *each.what, *each.history, now);
    });
}

void shard::enter_call(std::uint32_t slot, invocation what, instant now)
{
    const call_key key{slot, what.sequence};
    const auto bytes = static_cast<std::uint32_t>(what.payload->size());
    auto [entry, history] = at(slot)->enter({what.sequence, what.id_hash}, bytes);
    if (!entry)
        return;
    ++live_;
    const auto lane = entry->lane = lane_of(what.tenant, what.function);
    keep_body(*entry, std::make_shared<const invocation>(std::move(what)));
    if (history)
        resume_history(key, *entry, *history, now);
    else
        queue_.push_back(lane, {slot, key.sequence});
}

void shard::resume_history(call_key key, call& what, const replay::entry& history, instant now)
{
    what.attempts = history.attempts;
    what.callback_attempts = history.callback_attempts;
    const bool over = history.reached == replay::stage::answered;
    if (history.schedule_at != 0) {
        // The wall clock may have been set since: the wait is never negative and never longer than what was recorded.
        const auto left = history.recorded_at + static_cast<unix_ms>(history.delay_ms) - now.wall;
        const auto due = now.mono + milliseconds(std::clamp<unix_ms>(left, 0, static_cast<unix_ms>(history.delay_ms)));
        what.state = over ? call_state::callback_delayed : call_state::delayed;
        return wait_until(key, due, timer_kind::attempt_due);
    }
    what.state = over ? call_state::callback_queued : call_state::queued;
    if (over)
        callbacks_.push_back(lanes_[what.lane].callback_lane, {key.slot, key.sequence});
    else
        queue_.push_back(what.lane, {key.slot, key.sequence, what.attempts > 0});
}

void shard::enter_unreadable(std::uint32_t slot, std::uint64_t sequence, std::uint64_t id_hash, std::uint32_t bytes, const std::string& why)
{
    auto* part = at(slot);
    auto [entry, history] = part->enter({sequence, id_hash}, bytes);
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
    const auto said =
        pause ? " calls are known, queued and delayed: no more are read until some are settled" : " calls are known: reading goes on";
    out_.push_back(act::warn{std::nullopt, std::to_string(live_) + said});
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
        queue_.not_run(next);
        return true;
    }
    if (hold_if_stalled(queue_, next))
        return true;
    if (!what->body && !may_fetch(what->bytes)) {
        queue_.give_back(next);
        return false;
    }
    auto& function = *functions_[lanes_[next.lane].function];
    attempt with{next, now.mono, 0, nullptr, 0, 0};
    if (!function.gone) {
        if (hold_if_unreserved(next))
            return true;
        auto permit = function.slots.take(now.mono);
        if (!permit) {
            queue_.give_back(next);
            hold(function, true);
            if (auto chance = function.slots.next_chance(now.mono))
                timers_.push({*chance, timer_kind::function_chance, {lanes_[next.lane].function, 0}});
            return true;
        }
        with.replica = permit->replica;
        with.target = std::move(permit->target);
        owned(key.slot)->reserve().started(lanes_[next.lane].tenant);
    }
    auto& under_way = attempts_.emplace(key, with).first->second;
    if (what->body)
        run(key, *what, under_way, now);
    else
        fetch(key, *what, under_way);
    return true;
}

void shard::fetch(call_key key, call& what, attempt& with)
{
    what.state = call_state::fetching;
    with.journal_sequence = what.whole_at;
    with.fetch_bytes = what.bytes;
    fetch_bytes_ += what.bytes;
    out_.push_back(act::fetch_call{key, what.whole_at != 0 ? what.whole_at : what.sequence, what.whole_at != 0});
}

void shard::run(call_key key, call& what, attempt& with, instant now)
{
    if (with.target) {
        with.began = now.mono;
        what.state = call_state::running;
        out_.push_back(act::dispatch{key, what.attempts + 1, owned(key.slot)->epoch(), what.body, with.target});
        return;
    }
    const verdict gone{verdict_kind::dead, {}, 404, "function " + what.body->function.full() + " does not exist"};
    queue_.not_run(with.taken);
    attempts_.erase(key);
    finish(key, what, gone, outcome{outcome_kind::unreachable, {}, gone.reason, {}});
}

namespace {

// The call in a message of the log, or carried in one of the journal; nothing when it is not there.
std::shared_ptr<const invocation> find_call(sluice::log_message message, const journal::call_ref& call, bool from_journal)
{
    if (from_journal) {
        auto batch = journal::decode(message.payload);
        const auto found = batch ? std::find_if(batch->records.begin(), batch->records.end(),
                                                [&](const journal::record& each) {
                                                    const auto* carried = std::get_if<journal::carried>(&each);
                                                    return carried && carried->call == call;
                                                })
                                 : std::vector<journal::record>::iterator{};
        if (!batch || found == batch->records.end())
            return nullptr;
        auto& carried = std::get<journal::carried>(*found);
        message = {call.sequence, std::move(carried.fields), std::move(carried.payload)};
    }
    auto parsed = parse_invocation(std::move(message));
    if (!parsed || parsed->id_hash != call.id_hash)
        return nullptr;
    return std::make_shared<const invocation>(std::move(*parsed));
}

}

void shard::call_fetched(call_key key, boost::system::result<sluice::log_message> result, instant now)
{
    const auto under_way = attempts_.find(key);
    auto* what = find(key);
    if (under_way == attempts_.end() || (what && what->state != call_state::fetching))
        return;
    fetched(under_way->second);
    const auto with = under_way->second;
    auto body = what && result ? find_call(std::move(*result), what->ref(), with.journal_sequence != 0) : nullptr;
    if (body) {
        body_bytes_ += what->bytes;
        what->body = std::move(body);
        if (!draining_ && may_write(key.slot))
            return run(key, *what, under_way->second, now);
        release(key, with, std::nullopt);
        return give_back(key, *what);
    }
    // Carried, or copied, and purged from where it was, while it was being read there.
    if (what && what->whole_at != with.journal_sequence && !draining_)
        return fetch(key, *what, under_way->second);
    release(key, with, std::nullopt);
    if (!what)
        return;
    if (what->whole_at != with.journal_sequence)
        return give_back(key, *what);
    if (result || result.error() == log_errc::not_found) {
        if (with.journal_sequence == 0)
            return close(key.slot, "log sequence " + std::to_string(what->sequence) + " is not what was read: the log has lost its tail");
        return close(key.slot,
                     "journal sequence " + std::to_string(with.journal_sequence) + " does not hold the call that was stored there");
    }
    what->state = call_state::delayed;
    wait_until(key, now.mono + milliseconds(200), timer_kind::attempt_due);
}

// Another random number for each attempt of each call, the same one wherever it is decided again.
verdict shard::decide(call_key key, const call* what, const retry_policy& policy, const outcome& result, instant now)
{
    const auto number = what ? what->attempts + 1 : 1;
    const auto refused = refused_since_.find(key);
    const auto refused_for =
        refused == refused_since_.end() ? milliseconds(0) : std::chrono::floor<milliseconds>(now.mono - refused->second);
    auto decided = after(result, number, policy, {now.wall, what ? what->id_hash ^ number * 0x9E3779B97F4A7C15u : 0, refused_for});
    if (result.kind == outcome_kind::overloaded || !what)
        return decided; // a shortage of ours says nothing about the call
    if (decided.kind != verdict_kind::give_back && decided.kind != verdict_kind::postpone) {
        refused_since_.erase(key);
        return decided;
    }
    refused_since_.try_emplace(key, now.mono);
    if (refused_for >= options_.refused_max) {
        decided.kind = verdict_kind::dead;
        decided.reason += ", for " + config::format_duration(options_.refused_max);
    } else if (decided.kind == verdict_kind::postpone) {
        decided.wait = std::min(decided.wait, options_.refused_max - refused_for);
    }
    return decided;
}

void shard::attempt_finished(call_key key, const outcome& result, instant now)
{
    const auto under_way = attempts_.find(key);
    if (under_way == attempts_.end())
        return;
    const auto with = under_way->second;
    auto* what = find(key);
    const auto decided = decide(key, what, functions_[lanes_[with.taken.lane].function]->retry, result, now);
    const auto used = std::chrono::duration_cast<fair_queue::work>(now.mono - with.began);
    release(key, with, decided.kind == verdict_kind::give_back ? std::nullopt : std::optional(used));
    if (!what)
        return;
    switch (decided.kind) {
    case verdict_kind::give_back:
        functions_[lanes_[with.taken.lane].function]->slots.rest(with.replica, now.mono + decided.wait);
        return give_back(key, *what);
    case verdict_kind::postpone: // not recorded: the next owner may ask at once
        what->state = call_state::delayed;
        trim_body(*what);
        return wait_until(key, now.mono + decided.wait, timer_kind::attempt_due);
    case verdict_kind::retry:
        ++what->attempts;
        what->state = call_state::delayed;
        trim_body(*what);
        what->schedule = schedule_state::recording;
        at(key.slot)->record(
            journal::retry_scheduled{what->ref(), what->attempts, now.wall, static_cast<std::uint64_t>(decided.wait.count())});
        return wait_until(key, now.mono + decided.wait, timer_kind::attempt_due);
    case verdict_kind::done:
    case verdict_kind::dead: ++what->attempts; return finish(key, *what, decided, result);
    }
}

// `used`: the time that it was at the function; nothing: it did not run.
void shard::release(call_key key, const attempt& with, std::optional<fair_queue::work> used)
{
    auto& function = *functions_[lanes_[with.taken.lane].function];
    attempts_.erase(key);
    if (auto* part = with.target ? owned(key.slot) : nullptr)
        part->reserve().finished(lanes_[with.taken.lane].tenant);
    function.slots.give_back(with.replica);
    if (used)
        queue_.finished(with.taken, *used);
    else
        queue_.not_run(with.taken);
    hold(function, false);
}

void shard::give_back(call_key key, call& what)
{
    what.state = call_state::queued;
    trim_body(what);
    queue_.push_front(what.lane, {key.slot, key.sequence, what.attempts > 0});
}

void shard::finish(call_key key, call& what, const verdict& decided, const outcome& last)
{
    const bool dead = decided.kind == verdict_kind::dead;
    refused_since_.erase(key);
    if (what.body->callback_url.empty()) {
        record_settled(key, what, dead ? journal::settled::how_kind::dead : journal::settled::how_kind::done, decided.status);
    } else {
        what.state = call_state::recording;
        at(key.slot)->record(
            make_callback(*what.body, decided, last, {what.attempts, functions_[lanes_[what.lane].function]->retry.retries_max}));
    }
    if (dead)
        out_.push_back(act::warn{key.slot,
                                 "call is dead function=" + what.body->function.full()
                                     + " invocation=" + std::string(call_id_of(*what.body)) + " attempts=" + std::to_string(what.attempts)
                                     + " reason=\"" + decided.reason + '"'});
    drop_body(what);
}

void shard::record_settled(call_key key, call& what, journal::settled::how_kind how, std::uint32_t status)
{
    what.state = call_state::recording;
    at(key.slot)->record(journal::settled{what.ref(), how, what.attempts, status});
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
