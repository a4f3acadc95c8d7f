#include "tests/support/engine_ledger.hpp"

#include "core/replay.hpp"

namespace sluice::testing_support {

using namespace core;
using how = journal::settled::how_kind;

void ledger::fail(const std::string& why)
{
    note("FAILURE ", why);
    if (!failure_)
        failure_ = why;
}

void ledger::write_note(const std::string& text)
{
    const auto at = std::chrono::duration_cast<microseconds>(clock_.now().time_since_epoch()).count() - 3'600'000'000;
    notes_.push_back(std::to_string(at) + "us " + text);
}

ledger::truth* ledger::find(std::uint32_t partition, const journal::call_ref& call)
{
    auto at = calls_.find({partition, call.sequence, call.id_hash});
    return at == calls_.end() ? nullptr : &at->second;
}

void ledger::accepted(std::uint32_t partition, std::uint64_t sequence, const accepted_call& what)
{
    note("accepted partition=", partition, " sequence=", sequence, " id=", what.id, " callback=", what.callback);
    // One that was lost and published again may get its old place: it is the same call, and what is on record of it holds.
    auto& call = calls_[{partition, sequence, hash_id(what.id)}];
    call.what = what;
    call.lost = false;
    ids_.emplace(partition, what.id);
    if (!call.settled)
        ++unsettled_;
}

void ledger::promised(std::uint32_t partition, const std::string& id)
{
    note("202 id=", id);
    if (!ids_.contains({partition, id}))
        fail("a call was answered 202 that is not stored");
}

void ledger::tail_lost(std::uint32_t partition, std::uint64_t after)
{
    note("tail lost partition=", partition, " after=", after);
    for (auto at = calls_.lower_bound({partition, after + 1, 0}); at != calls_.end() && at->first.partition == partition; ++at)
        if (!std::exchange(at->second.lost, true) && !at->second.settled)
            --unsettled_;
}

// ---- effects

void ledger::count(std::uint32_t& now, std::uint32_t most, const char* what)
{
    if (++now > most)
        fail(std::string("limit exceeded: ") + what);
}

void ledger::dispatched(const ownership& by, const act::dispatch& what)
{
    note("dispatch by=", by.owner, " sequence=", what.what->sequence, " attempt=", what.attempt, " to=", what.target->replica);
    const journal::call_ref ref{what.what->sequence, what.what->id_hash};
    auto* call = find(by.partition, ref);
    if (!call)
        return fail("a call was dispatched that nobody accepted");
    if (current(by) && (call->on_record || call->settled))
        fail("the owner dispatched a call whose outcome is on record");
    if (*what.what->payload != call->what.payload || what.what->tenant != call->what.tenant
        || what.what->callback_url != call->what.callback)
        fail("what was dispatched is not what was accepted");
    if (current(by) && what.epoch != journals_[by.partition].epoch)
        fail("an attempt was made in another epoch than its owner's");
    if (current(by) && what.attempt <= call->attempts_on_record)
        fail("an attempt that is on record was forgotten");
    if (current(by) && what.attempt > call->attempts_on_record + 1)
        fail("an attempt was made before the one before it was on record");
    auto& mine = call->owners[by.owner];
    if (std::exchange(mine.running, true))
        fail("a call was dispatched twice at once by one owner");
    if (mine.attempt != 0 && what.attempt != mine.attempt + (mine.next_is_another ? 1 : 0))
        fail("an attempt was not counted, or counted and not made");
    if (what.attempt < 1 || what.attempt > limits_.attempts_max)
        fail("there were too many attempts");
    mine.attempt = what.attempt;
    auto& busy = workers_[by.worker];
    count(busy.calls, limits_.inflight_max, "running calls");
    count(busy.tenants[call->what.tenant], limits_.tenant_concurrency, "running calls of a tenant");
    if (what.attempt > 1)
        count(busy.retries[call->what.tenant], limits_.tenant_retries, "running retries of a tenant");
    count(busy.replicas[what.target->replica], limits_.replica_slots, "running calls of a replica");
    auto& of = journals_[by.partition];
    const auto reserved = of.reserved.find(call->what.tenant);
    if (limits_.reserved && current(by) && busy.tenants[call->what.tenant] > (reserved == of.reserved.end() ? 0 : reserved->second.first))
        fail("a call was started that nothing reserves");
    if (++of.at_replicas[call->what.tenant] > limits_.tenant_concurrency && exact_ && limits_.reserved)
        fail("a tenant has more running at the functions than its limit");
}

void ledger::executed(std::uint32_t partition, const invocation& what, const std::string& answer)
{
    note("executed partition=", partition, " sequence=", what.sequence, " answer=", answer);
    if (auto* call = find(partition, {what.sequence, what.id_hash}))
        call->answers.insert(answer);
}

void ledger::left_replica(const ownership& by, const std::string& tenant) { --journals_[by.partition].at_replicas[tenant]; }

void ledger::attempt_ended(const ownership& by, const act::dispatch& what, const outcome& result)
{
    note("answered by=", by.owner, " sequence=", what.what->sequence, " outcome=", static_cast<unsigned>(result.kind), "/",
         result.reply.status);
    auto* call = find(by.partition, {what.what->sequence, what.what->id_hash});
    auto worker = workers_.find(by.worker);
    if (!call || worker == workers_.end())
        return;
    auto& mine = call->owners[by.owner];
    mine.running = false;
    mine.next_is_another = result.kind == outcome_kind::unreachable || result.reply.status == 502
        || (limits_.errors_retried && (result.kind == outcome_kind::timed_out || result.reply.status >= 500));
    --worker->second.calls;
    --worker->second.tenants[call->what.tenant];
    --worker->second.replicas[what.target->replica];
    if (what.attempt > 1)
        --worker->second.retries[call->what.tenant];
}

void ledger::callback_sent(const ownership& by, const journal::answered& what, std::uint32_t attempt)
{
    note("callback by=", by.owner, " sequence=", what.call.sequence, " attempt=", attempt);
    auto* call = find(by.partition, what.call);
    if (!call)
        return fail("a callback was sent of a call that nobody accepted");
    if (!call->on_record || *call->on_record != what)
        return fail("a callback was sent whose answer is not on record");
    if (current(by) && attempt <= call->callback_attempts_on_record)
        fail("an attempt to deliver a callback that is on record was forgotten");
    if (current(by) && attempt > call->callback_attempts_on_record + 1)
        fail("a callback was sent before the attempt before it was on record");
    if (current(by) && call->settled)
        fail("the owner sent a callback of a call that is settled on record");
    if (std::exchange(call->owners[by.owner].callback_running, true))
        fail("a callback was sent twice at once by one owner");
    auto& busy = workers_[by.worker];
    count(busy.callbacks_in_all, limits_.callbacks_max, "callbacks");
    count(busy.callbacks[call->what.tenant], limits_.tenant_callbacks, "callbacks of a tenant");
}

void ledger::callback_received(std::uint32_t partition, const journal::answered& what)
{
    if (auto* call = find(partition, what.call))
        ++call->received;
}

void ledger::callback_ended(const ownership& by, const journal::answered& what)
{
    auto* call = find(by.partition, what.call);
    auto worker = workers_.find(by.worker);
    if (!call || worker == workers_.end())
        return;
    call->owners[by.owner].callback_running = false;
    --worker->second.callbacks_in_all;
    --worker->second.callbacks[call->what.tenant];
}

// ---- the store

void ledger::journal_stored(std::uint32_t partition, std::uint64_t sequence, const std::string& payload)
{
    const auto batch = journal::decode(payload);
    if (!batch)
        return fail("the journal got what cannot be read");
    note("journal partition=", partition, " sequence=", sequence, " epoch=", batch->epoch, " owner=", batch->owner,
         " number=", batch->number);
    auto& of = journals_[partition];
    if (batch->number == 0 && batch->epoch > of.epoch) {
        of.epoch = batch->epoch;
        of.owner = batch->owner;
    } else if (batch->epoch >= of.epoch && batch->owner != of.owner) {
        fail("the journal took a record of one who is not its owner");
    }
    // A former owner's pipelined append may fit exactly behind the next owner's first record, in the place of its own that was refused.
    if (batch->epoch < of.epoch)
        return faults_.hit(fault::stale_batch_stored_and_void);
    for (const auto& next : batch->records)
        std::visit([&](const auto& what) { stored(partition, what, sequence); }, next);
}

// The call that a record is of; it was accepted, and is not settled.
ledger::truth* ledger::of_record(std::uint32_t partition, const journal::call_ref& call, const char* what)
{
    note("  ", what, " sequence=", call.sequence);
    auto* found = find(partition, call);
    if (!found)
        fail(std::string(what) + ": a record of a call that nobody accepted");
    else if (found->settled)
        fail(std::string(what) + ": a record of a call that is settled");
    else
        return found;
    return nullptr;
}

void ledger::stored(std::uint32_t partition, const journal::retry_scheduled& what, std::uint64_t at)
{
    auto* call = of_record(partition, what.call, "retry");
    if (!call)
        return;
    if (call->on_record)
        fail("a retry is on record after the call's outcome");
    if (what.attempts < call->attempts_on_record)
        fail("a retry is on record that is older than the last one");
    call->attempts_on_record = what.attempts;
    call->retry_at = at;
}

void ledger::stored(std::uint32_t partition, const journal::callback_scheduled& what, std::uint64_t at)
{
    auto* call = of_record(partition, what.call, "callback retry");
    if (!call)
        return;
    if (!call->on_record || what.attempts < call->callback_attempts_on_record)
        fail("a callback's retry is on record before its answer, or is older than the last one");
    call->callback_attempts_on_record = what.attempts;
    call->callback_at = at;
}

void ledger::stored(std::uint32_t partition, const journal::carried& what, std::uint64_t at)
{
    auto* call = of_record(partition, what.call, "carried");
    if (!call)
        return;
    if (call->on_record)
        fail("a call is carried whose answer is on record");
    const auto* id = sluice::find(what.fields, "Nats-Msg-Id");
    if (!id || *id != call->what.id || what.payload != call->what.payload)
        fail("a call was changed when it was carried");
    faults_.hit(call->carried_at == 0 ? fault::straggler_carried : fault::record_copied);
    call->carried_at = at;
}

void ledger::stored(std::uint32_t partition, const journal::reserved& what, std::uint64_t at)
{
    note("  reserved tenant=", what.tenant, " slots=", what.slots);
    if (what.slots > limits_.tenant_concurrency)
        fail("more is reserved than a tenant may have");
    journals_[partition].reserved[what.tenant] = {what.slots, at};
}

void ledger::stored(std::uint32_t partition, const journal::handed_over&, std::uint64_t)
{
    note("  handed over");
    faults_.hit(fault::handed_over);
    auto& of = journals_[partition];
    for (const auto& [name, call] : calls_)
        if (auto mine = call.owners.find(of.owner); name.partition == partition && mine != call.owners.end() && mine->second.running)
            fail("a partition was handed over while a call of it ran");
    of.reserved.clear();
}

void ledger::stored(std::uint32_t partition, const journal::answered& what, std::uint64_t at)
{
    auto* call = of_record(partition, what.call, "answered");
    if (!call)
        return;
    if (call->on_record && *call->on_record != what)
        return fail("another answer is on record after the call's outcome");
    if (call->what.callback != what.url || call->what.tenant != what.tenant)
        fail("an answer goes to another URL than the caller asked for");
    if (!what.dead && !call->answers.contains(what.body))
        fail("an answer is on record that the function did not give");
    if (call->on_record)
        faults_.hit(fault::record_copied);
    call->on_record = what;
    call->answered_at = at;
}

void ledger::stored(std::uint32_t partition, const journal::settled& what, std::uint64_t at)
{
    auto* call = of_record(partition, what.call, "settled");
    if (!call)
        return;
    call->settled = what;
    call->settled_at = at;
    if (!call->lost)
        --unsettled_;
    check_reason(*call);
}

void ledger::check_reason(const truth& call)
{
    switch (call.settled->how) {
    case how::done:
        if (call.answers.empty() || !call.what.callback.empty())
            fail("a call is done that was not executed, or whose callback is due");
        return;
    case how::dead:
        if (!call.what.callback.empty())
            fail("a call is dead and its callback was forgotten");
        return;
    case how::called_back:
        if (!call.on_record || call.received == 0)
            fail("a callback is settled that was not delivered");
        return;
    case how::callback_dead:
        if (!call.on_record)
            fail("a callback is given up that was never due");
        return;
    case how::unreadable:
        if (!call.what.unreadable)
            fail("a call is settled as unreadable that can be read");
        return;
    }
}

void ledger::log_purged(std::uint32_t partition, std::uint64_t below, std::uint64_t last)
{
    note("log purged partition=", partition, " below=", below);
    if (below > last + 1)
        fail("the log was purged beyond its last sequence");
    auto& first = journals_[partition].log_first;
    if (below <= first)
        return; // of a former owner, long since done
    for (auto at = calls_.lower_bound({partition, first, 0}); at != calls_.lower_bound({partition, below, 0}); ++at)
        if (const auto& call = at->second; !call.lost && !call.settled && call.carried_at == 0 && call.answered_at == 0)
            fail("a call was purged from the log that is neither settled nor kept on record");
    first = std::max(first, below);
    faults_.hit(fault::log_purged);
}

void ledger::journal_purged(std::uint32_t partition, std::uint64_t below, std::uint64_t last)
{
    note("journal purged partition=", partition, " below=", below);
    const auto& of = journals_[partition];
    if (below > last)
        fail("the journal's last message was purged");
    for (const auto& [name, call] : calls_)
        if (name.partition == partition && !call.lost)
            check_left(call, name.sequence, of.log_first, below);
    for (const auto& [tenant, what] : of.reserved)
        if (what.first > 0 && what.second < below)
            fail("a reservation was purged from the journal");
}

// What whoever takes over finds of a call.
void ledger::check_left(const truth& call, std::uint64_t sequence, std::uint64_t log_first, std::uint64_t journal_first)
{
    const bool in_log = sequence >= log_first;
    const auto left = [journal_first](std::uint64_t at) { return at >= journal_first; };
    if (call.settled) {
        if (!left(call.settled_at) && (in_log || left(call.carried_at) || left(call.answered_at)))
            fail("that a call is settled was purged from the journal, and the call was not");
        return;
    }
    if (call.on_record) {
        if (!left(call.answered_at))
            fail("an answer was purged from the journal that is not called back");
        if (call.callback_attempts_on_record > 0 && !left(call.callback_at))
            fail("the attempts to deliver a callback were purged from the journal");
        return;
    }
    if (!in_log && !left(call.carried_at))
        fail("a call was purged from the journal that carried it");
    if (call.attempts_on_record > 0 && !left(call.retry_at))
        fail("the attempts of a call were purged from the journal");
}

void ledger::check_end()
{
    for (const auto& [at, call] : calls_)
        if (!call.lost && !call.settled)
            fail("a call is not settled: partition " + std::to_string(at.partition) + " sequence " + std::to_string(at.sequence));
    if (unsettled_ != 0)
        fail("the books do not add up");
}

}
