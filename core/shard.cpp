#include "core/shard.hpp"

#include <algorithm>
#include <cassert>

namespace sluice::core {

shard::shard(shard_options with)
    : options_(std::move(with)),
      queue_({.concurrency = options_.tenant_concurrency, .retries_percent = options_.retries_percent}),
      callbacks_({.concurrency = options_.tenant_callbacks})
{
    options_.partitions.reserve.limit = options_.tenant_concurrency;
}

std::uint32_t shard::open(std::uint32_t number, std::string owner)
{
    const auto slot = next_slot_++;
    auto made = std::make_unique<partition>(slot, number, std::move(owner), options_.partitions);
    made->start(out_);
    slots_.emplace(slot, std::move(made));
    return slot;
}

void shard::close(std::uint32_t slot, std::string reason)
{
    if (auto* part = at(slot))
        part->close(std::move(reason), false, out_);
}

void shard::suspend(std::uint32_t slot, bool suspended)
{
    if (auto* part = at(slot))
        part->suspend(suspended);
}

partition* shard::at(std::uint32_t slot)
{
    auto found = slots_.find(slot);
    return found == slots_.end() ? nullptr : found->second.get();
}

partition* shard::owned(std::uint32_t slot)
{
    auto* part = at(slot);
    return part && part->state() == partition::phase::owning ? part : nullptr;
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
    functions_.push_back(std::make_unique<function_state>(name, options_));
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
    lanes_.push_back({function, callbacks_.lane(callbacks_.tenant(tenant), full), tenant});
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

void shard::set_retry(const function_name& name, retry_policy policy)
{
    if (auto known = function_names_.find(name); known != function_names_.end())
        functions_[known->second]->retry = std::move(policy);
}

// ---- time

void shard::wait_until(call_key key, mono_time due, timer_kind kind) { timers_.push({due, kind, key}); }

// The next attempt waits for its time and for its record, so that a crash costs no attempt that was counted.
void shard::attempt_due(call_key key, call& what)
{
    if (what.state != call_state::delayed && what.state != call_state::callback_delayed)
        return;
    if (what.schedule != schedule_state::stored) {
        what.schedule = schedule_state::recording_due;
        return;
    }
    if (what.state == call_state::delayed) {
        what.state = call_state::queued;
        queue_.push_back(what.lane, {key.slot, key.sequence, what.attempts > 0});
    } else {
        what.state = call_state::callback_queued;
        callbacks_.push_back(lanes_[what.lane].callback_lane, {key.slot, key.sequence});
    }
}

void shard::fire(const timer& due, instant)
{
    switch (due.kind) {
    case timer_kind::attempt_due:
        if (auto* what = find(due.call))
            attempt_due(due.call, *what);
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

// What is started now can be recorded; and records that wait for the store stay within the budget of answers.
bool shard::may_write(std::uint32_t slot)
{
    const auto* part = owned(slot);
    return part && !part->stalled() && part->unstored_bytes() <= std::max<std::uint64_t>(options_.answer_bytes_budget, 64 * 1024);
}

bool shard::may_start(const fair_queue& queue, std::uint32_t slot)
{
    return may_write(slot) && !(&queue == &queue_ && owned(slot)->crowded());
}

void shard::hold_tenant(fair_queue& queue, const fair_queue::pick& next, std::string name)
{
    const auto tenant = queue.tenant_of(next.lane);
    queue.give_back(next);
    queue.hold_tenant(tenant, true);
    held_tenants_.push_back({next.what.partition, &queue, tenant, std::move(name)});
}

bool shard::hold_if_stalled(fair_queue& queue, const fair_queue::pick& next)
{
    if (may_start(queue, next.what.partition))
        return false;
    hold_tenant(queue, next, {});
    return true;
}

// Before more of a tenant's calls run than a new owner would count, the larger number is on record.
bool shard::hold_if_unreserved(const fair_queue::pick& next)
{
    auto& part = *owned(next.what.partition);
    const auto& tenant = lanes_[next.lane].tenant;
    if (part.reserve().may_start(tenant))
        return false;
    for (auto& more : part.reserve().grow(tenant))
        part.record(std::move(more));
    hold_tenant(queue_, next, tenant);
    return true;
}

void shard::release_tenants()
{
    std::erase_if(held_tenants_, [this](const held_tenant& held) {
        auto* part = owned(held.slot);
        if (part && held.name.empty() && !may_start(*held.queue, held.slot))
            return false;
        if (part && !held.name.empty() && !part->reserve().may_start(held.name)) {
            for (auto& more : part->reserve().grow(held.name))
                part->record(std::move(more));
            return false;
        }
        held.queue->hold_tenant(held.tenant, false);
        return true;
    });
}

void shard::look_after_reservations(instant now)
{
    for (auto& [slot, part] : slots_) {
        if (part->state() != partition::phase::owning || part->handed_over())
            continue;
        part->reserve().end_ghosts(now.mono);
        for (auto& less : part->reserve().shrink(now.mono))
            part->record(std::move(less));
    }
}

void shard::hand_over()
{
    if (!draining_ || !attempts_.empty() || callbacks_.waiting() != 0 || !callbacks_under_way_.empty())
        return;
    if (!std::all_of(slots_.begin(), slots_.end(), [](const auto& entry) { return entry.second->recorded(); }))
        return; // an answer on its way to the journal has a callback due
    handed_over_ = true;
    for (auto& [slot, part] : slots_)
        if (part->state() == partition::phase::owning)
            part->hand_over();
}

void shard::pump(instant now)
{
    for (auto& [slot, part] : slots_) {
        const bool owning = part->state() == partition::phase::owning;
        std::vector<journal_writer::stored> done;
        part->pump(now, done, out_);
        if (!owning && part->state() == partition::phase::owning)
            enter_held(slot, now);
        for (auto& batch : done)
            stored(slot, std::move(batch));
        if (reading_paused_ && !owning && part->state() == partition::phase::owning)
            out_.push_back(act::pause_log{slot, true});
    }
}

std::vector<action> shard::take_actions(instant now)
{
    while (!timers_.empty() && timers_.top().due <= now.mono) {
        const auto due = timers_.top();
        timers_.pop();
        fire(due, now);
    }
    // The journal first: nothing is started for a partition that has just been lost, or whose journal is in doubt.
    pump(now);
    look_after_reservations(now);
    release_tenants();
    start_calls(now);
    start_callbacks();
    hand_over();
    pump(now); // what was dead at once, and reservations
    for (auto& [slot, part] : slots_)
        part->clean(now, out_);
    if (reading_paused_)
        throttle_reading();
    std::vector<std::uint32_t> gone;
    for (const auto& next : out_)
        if (auto* closed = std::get_if<act::closed>(&next))
            gone.push_back(closed->slot);
    for (auto slot : gone)
        forget(slot);
    return std::exchange(out_, {});
}

void shard::forget(std::uint32_t slot)
{
    slots_.erase(slot);
    queue_.erase(slot);
    callbacks_.erase(slot);
    erase_if(answers_, [slot](const auto& kept) { return kept.first.slot == slot; });
    erase_if(refused_since_, [slot](const auto& each) { return each.first.slot == slot; });
    answer_bytes_ = 0;
    for (const auto& [key, what] : answers_)
        answer_bytes_ += what->body.size() + what->head.size();
    body_bytes_ = 0;
    live_ = 0;
    for (const auto& [number, part] : slots_) {
        body_bytes_ += part->body_bytes();
        live_ += part->live();
    }
}

std::optional<mono_time> shard::next_due() const
{
    std::optional<mono_time> due;
    if (!timers_.empty())
        due = timers_.top().due;
    for (const auto& [slot, part] : slots_)
        if (auto next = part->next_due(); next && (!due || *next < *due))
            due = next;
    return due;
}

bool shard::quiet() const
{
    return attempts_.empty() && callbacks_under_way_.empty() && std::all_of(slots_.begin(), slots_.end(), [this](const auto& entry) {
               const auto& part = *entry.second;
               return (!draining_ || part.state() != partition::phase::owning || part.handed_over()) && part.recorded();
           });
}

shard::counts shard::count() const
{
    counts now;
    now.live = live_;
    for (const auto& [slot, part] : slots_)
        now.partitions_owned += part->state() == partition::phase::owning;
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
