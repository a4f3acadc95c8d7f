#include "core/shard.hpp"

#include "core/callback_request.hpp"

#include <algorithm>
#include <cassert>

namespace sluice::core {

shard::shard(shard_options with) : options_(std::move(with)), queue_(options_.tenant_concurrency), callbacks_(options_.tenant_callbacks) {}

std::uint32_t shard::open(std::uint32_t number, std::string owner)
{
    const auto slot = static_cast<std::uint32_t>(slots_.size());
    slots_.push_back(std::make_unique<partition>(slot, number, std::move(owner), options_.partitions));
    slots_.back()->start(out_);
    return slot;
}

void shard::close(std::uint32_t slot, std::string reason) { slots_[slot]->close(std::move(reason), false, out_); }

partition* shard::owned(std::uint32_t slot)
{
    auto& part = *slots_[slot];
    return part.state() == partition::phase::owning ? &part : nullptr;
}

call* shard::find(call_key key)
{
    auto* part = owned(key.slot);
    return part ? part->find(key.sequence) : nullptr;
}

// ---- functions

std::uint32_t shard::function_index(const function_name& name)
{
    auto known = function_names_.find(name);
    if (known != function_names_.end())
        return known->second;
    const auto index = static_cast<std::uint32_t>(functions_.size());
    functions_.push_back(std::make_unique<function_state>(name, options_.replica_inflight_default));
    function_names_.emplace(name, index);
    out_.push_back(act::lookup{name});
    return index;
}

std::uint32_t shard::lane_of(const std::string& tenant, const function_name& name)
{
    const auto full = name.full();
    const auto lane = queue_.lane(queue_.tenant(tenant), full);
    if (lane < lanes_.size())
        return lane;
    const auto function = function_index(name);
    lanes_.push_back({function, callbacks_.lane(callbacks_.tenant(tenant), full)});
    functions_[function]->lanes.push_back(lane);
    if (functions_[function]->held)
        queue_.hold_lane(lane, true);
    return lane;
}

void shard::hold(function_state& function, bool held)
{
    if (function.held == held)
        return;
    function.held = held;
    for (auto lane : function.lanes)
        queue_.hold_lane(lane, held);
}

void shard::set_replicas(const function_name& name, const std::vector<endpoint>& replicas)
{
    auto known = function_names_.find(name);
    if (known == function_names_.end())
        return;
    auto& function = *functions_[known->second];
    function.slots.update(replicas);
    hold(function, false);
}

void shard::set_exists(const function_name& name, bool exists, instant now)
{
    auto known = function_names_.find(name);
    if (known == function_names_.end())
        return;
    auto& function = *functions_[known->second];
    if (function.exists == exists)
        return;
    function.exists = exists;
    function.gone = false;
    ++function.missing_timer;
    if (!exists)
        timers_.push({now.mono + options_.missing_function_grace, timer_kind::function_missing, {known->second, function.missing_timer}});
    hold(function, false);
}

// ---- reading

void shard::opened(std::uint32_t slot, const log_info& journal, const log_info& log) { slots_[slot]->opened(journal, log, out_); }

void shard::journal_message(std::uint32_t slot, const sluice::log_message& message) { slots_[slot]->journal_message(message, out_); }

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
    const auto lane = lane_of(what.tenant, what.function);
    const auto bytes = static_cast<std::uint32_t>(what.payload->size());
    auto [entry, history] = slots_[slot]->enter(what.sequence, what.id_hash, bytes);
    if (!entry)
        return;
    entry->lane = lane;
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
    auto [entry, history] = slots_[slot]->enter(sequence, id_hash, bytes);
    if (!entry)
        return;
    out_.push_back(act::warn{slot, "log sequence " + std::to_string(sequence) + " is unreadable: " + why});
    entry->state = call_state::recording;
    entry->lane = lane_of("", function_name{});
    slots_[slot]->record(journal::settled{{sequence, id_hash}, journal::settled::how_kind::unreadable, 0, 0});
}

void shard::throttle_reading()
{
    std::size_t live = 0;
    for (const auto& part : slots_)
        live += part->live();
    const bool pause = live > (reading_paused_ ? options_.calls_max / 10 * 9 : options_.calls_max);
    if (pause == reading_paused_)
        return;
    reading_paused_ = pause;
    for (std::uint32_t slot = 0; slot < slots_.size(); ++slot)
        if (owned(slot))
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

// ---- running

bool shard::start(const fair_queue::pick& next, instant now)
{
    const call_key key{next.what.partition, next.what.sequence};
    auto* what = find(key);
    if (!what || what->state != call_state::queued) {
        queue_.finished(next.lane);
        return true;
    }
    if (slots_[key.slot]->stalled()) {
        const auto tenant = queue_.tenant_of(next.lane);
        queue_.push_front(next.lane, next.what);
        queue_.finished(next.lane);
        queue_.hold_tenant(tenant, true);
        stalled_tenants_.push_back(tenant);
        return true;
    }
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
    auto at = attempts_.find(key);
    auto* what = find(key);
    if (at == attempts_.end() || (what && what->state != call_state::fetching))
        return;
    const auto with = at->second;
    boost::system::result<invocation, invocation_error> parsed = invocation_error{};
    if (what && result)
        parsed = parse_invocation(std::move(*result));
    if (what && parsed && parsed->id_hash == what->id_hash) {
        body_bytes_ += what->bytes;
        what->body = std::make_shared<const invocation>(std::move(*parsed));
        return run(key, *what, with);
    }
    auto& function = *functions_[lanes_[with.lane].function];
    function.slots.give_back(with.replica);
    queue_.finished(with.lane);
    attempts_.erase(at);
    hold(function, false);
    if (!what)
        return;
    if (result || result.error() == log_errc::not_found)
        return close(key.slot, "log sequence " + std::to_string(key.sequence) + " is not what was read: the log has lost its tail");
    what->state = call_state::delayed;
    wait_until(key, now.mono + milliseconds(200), timer_kind::call_due);
}

void shard::attempt_finished(call_key key, const outcome& result, instant now)
{
    auto at = attempts_.find(key);
    if (at == attempts_.end())
        return;
    const auto with = at->second;
    auto& function = *functions_[lanes_[with.lane].function];
    attempts_.erase(at);
    function.slots.give_back(with.replica);
    queue_.finished(with.lane);
    hold(function, false);
    auto* what = find(key);
    if (!what)
        return;
    const auto decided = after(result, what->attempts + 1, options_.retry);
    switch (decided.kind) {
    case verdict_kind::give_back: function.slots.rest(with.replica, now.mono + decided.wait); return give_back(key, *what);
    case verdict_kind::retry:
        ++what->attempts;
        what->state = call_state::delayed;
        slots_[key.slot]->record(journal::retry_scheduled{
            {key.sequence, what->id_hash}, what->attempts, now.wall, static_cast<std::uint64_t>(decided.wait.count())});
        return wait_until(key, now.mono + decided.wait, timer_kind::call_due);
    case verdict_kind::done:
    case verdict_kind::dead: ++what->attempts; return finish(key, *what, decided, result);
    }
}

void shard::give_back(call_key key, call& what)
{
    what.state = call_state::queued;
    queue_.push_front(what.lane, {key.slot, key.sequence});
}

void shard::finish(call_key key, call& what, const verdict& decided, const outcome& last)
{
    const bool dead = decided.kind == verdict_kind::dead;
    if (what.body->callback_url.empty()) {
        record_settled(key, what, dead ? journal::settled::how_kind::dead : journal::settled::how_kind::done, decided.status);
    } else {
        what.state = call_state::recording;
        slots_[key.slot]->record(make_callback(*what.body, decided, last, what.attempts));
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
    slots_[key.slot]->record(journal::settled{{key.sequence, what.id_hash}, how, what.attempts, status});
}

void shard::start_calls(instant now)
{
    while (!draining_ && attempts_.size() < options_.inflight_max) {
        auto next = queue_.next();
        if (!next || !start(*next, now))
            return;
    }
}

// ---- journal answers

void shard::append_result(std::uint32_t slot, std::uint64_t batch, const boost::system::result<stored_at>& result, instant now)
{
    if (auto* writer = slots_[slot]->writer())
        writer->append_result(batch, result, now.mono);
}

void shard::read_back_result(std::uint32_t slot, const boost::system::result<sluice::log_message>& result, instant now)
{
    if (auto* writer = slots_[slot]->writer())
        writer->read_result(result, now.mono);
}

void shard::last_result(std::uint32_t slot, const boost::system::result<log_info>& result, instant now)
{
    if (auto* writer = slots_[slot]->writer())
        writer->last_result(result, now.mono);
}

void shard::log_purged(std::uint32_t slot, std::uint64_t below, bool done) { slots_[slot]->log_purged(below, done, out_); }

void shard::stored(std::uint32_t slot, journal_writer::stored batch)
{
    for (auto& record : batch.records) {
        const call_key key{slot, journal::call_of(record).sequence};
        if (auto* answered = std::get_if<journal::answered>(&record))
            stored_answer(key, std::move(*answered), batch.sequence);
        else if (auto* settled = std::get_if<journal::settled>(&record))
            stored_settled(key, *settled);
    }
}

void shard::stored_settled(call_key key, const journal::settled& what)
{
    auto* entry = find(key);
    if (!entry)
        return;
    out_.push_back(act::settled{key, functions_[lanes_[entry->lane].function]->name, what.how, what.status, what.attempts});
    slots_[key.slot]->settle(key.sequence);
}

// ---- time

void shard::wait_until(call_key key, mono_time due, timer_kind kind) { timers_.push({due, kind, key}); }

void shard::fire(const timer& due, instant)
{
    switch (due.kind) {
    case timer_kind::call_due:
        if (auto* what = find(due.call); what && what->state == call_state::delayed) {
            what->state = call_state::queued;
            queue_.push_back(what->lane, {due.call.slot, due.call.sequence});
        }
        return;
    case timer_kind::callback_due:
        if (auto* what = find(due.call); what && what->state == call_state::callback_delayed) {
            what->state = call_state::callback_queued;
            callbacks_.push_back(lanes_[what->lane].callback_lane, {due.call.slot, due.call.sequence});
        }
        return;
    case timer_kind::function_chance: return hold(*functions_[due.call.slot], false);
    case timer_kind::function_missing:
        if (auto& function = *functions_[due.call.slot]; function.missing_timer == due.call.sequence) {
            function.gone = true;
            hold(function, false);
        }
        return;
    }
}

void shard::release_stalled()
{
    const bool stalled = std::any_of(slots_.begin(), slots_.end(), [](const auto& part) { return part->stalled(); });
    if (stalled)
        return;
    for (auto tenant : stalled_tenants_)
        queue_.hold_tenant(tenant, false);
    stalled_tenants_.clear();
}

std::vector<action> shard::take_actions(instant now)
{
    while (!timers_.empty() && timers_.top().due <= now.mono) {
        const auto due = timers_.top();
        timers_.pop();
        fire(due, now);
    }
    release_stalled();
    start_calls(now);
    for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) {
        std::vector<journal_writer::stored> done;
        slots_[slot]->pump(now, done, out_);
        for (auto& batch : done)
            stored(slot, std::move(batch));
        slots_[slot]->clean(now, out_);
    }
    start_callbacks();
    if (reading_paused_)
        throttle_reading();
    for (const auto& next : out_)
        if (auto* gone = std::get_if<act::closed>(&next))
            forget(gone->slot);
    return std::exchange(out_, {});
}

void shard::forget(std::uint32_t slot)
{
    queue_.erase(slot);
    callbacks_.erase(slot);
    answers_.erase(answers_.lower_bound({slot, 0}), answers_.lower_bound({slot + 1, 0}));
    answer_bytes_ = 0;
    for (const auto& [key, what] : answers_)
        answer_bytes_ += what->body.size() + what->head.size();
    body_bytes_ = 0;
    for (const auto& part : slots_)
        body_bytes_ += part->body_bytes();
}

std::optional<mono_time> shard::next_due() const
{
    std::optional<mono_time> due;
    if (!timers_.empty())
        due = timers_.top().due;
    for (const auto& part : slots_)
        if (auto next = part->next_due(); next && (!due || *next < *due))
            due = next;
    return due;
}

bool shard::quiet() const
{
    return attempts_.empty() && callbacks_under_way_.empty()
        && std::all_of(slots_.begin(), slots_.end(), [](const auto& part) { return !part->writer() || part->writer()->idle(); });
}

shard::counts shard::count() const
{
    counts now;
    for (const auto& part : slots_) {
        now.live += part->live();
        now.partitions_owned += part->state() == partition::phase::owning;
    }
    now.waiting = queue_.waiting();
    now.running = attempts_.size();
    now.callbacks_waiting = callbacks_.waiting();
    now.callbacks_running = callbacks_under_way_.size();
    now.body_bytes = body_bytes_;
    return now;
}

void shard::each_function(const std::function<void(const function_name&, std::size_t, std::size_t)>& visit) const
{
    for (const auto& function : functions_) {
        std::size_t waiting = 0;
        for (auto lane : function->lanes)
            waiting += queue_.waiting_in(lane);
        visit(function->name, waiting, function->slots.in_flight());
    }
}

}
