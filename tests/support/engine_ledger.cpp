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
    calls_[{partition, sequence, hash_id(what.id)}].what = what;
    ++unsettled_;
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
    note("dispatch by=", by.owner, " sequence=", what.call.sequence, " attempt=", what.attempt, " to=", what.target->replica);
    const journal::call_ref ref{what.call.sequence, what.what->id_hash};
    auto* call = find(by.partition, ref);
    if (!call)
        return fail("a call was dispatched that nobody accepted");
    if (current(by) && (call->on_record || call->settled))
        fail("the owner dispatched a call whose outcome is on record");
    if (current(by) && what.attempt <= call->attempts_on_record)
        fail("an attempt that is on record was forgotten");
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
    count(busy.replicas[what.target->replica], limits_.replica_slots, "running calls of a replica");
}

void ledger::executed(std::uint32_t partition, const invocation& what, const std::string& answer)
{
    note("executed partition=", partition, " sequence=", what.sequence, " answer=", answer);
    if (auto* call = find(partition, {what.sequence, what.id_hash}))
        call->answers.insert(answer);
}

void ledger::attempt_ended(const ownership& by, const act::dispatch& what, const outcome& result)
{
    note("answered by=", by.owner, " sequence=", what.call.sequence, " outcome=", static_cast<unsigned>(result.kind), "/",
         result.reply.status);
    auto* call = find(by.partition, {what.call.sequence, what.what->id_hash});
    auto worker = workers_.find(by.worker);
    if (!call || worker == workers_.end())
        return;
    auto& mine = call->owners[by.owner];
    mine.running = false;
    mine.next_is_another = result.kind == outcome_kind::unreachable || result.reply.status == 502;
    --worker->second.calls;
    --worker->second.tenants[call->what.tenant];
    --worker->second.replicas[what.target->replica];
}

void ledger::callback_sent(const ownership& by, const journal::answered& what, std::uint32_t attempt)
{
    note("callback by=", by.owner, " sequence=", what.call.sequence, " attempt=", attempt);
    auto* call = find(by.partition, what.call);
    if (!call)
        return fail("a callback was sent of a call that nobody accepted");
    if (!call->on_record || *call->on_record != what)
        return fail("a callback was sent whose answer is not on record");
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
    of.highest_call[sequence] = highest_call(batch->records);
    // A former owner's pipelined append may fit exactly behind the next owner's first record, in the place of its own that was refused.
    if (batch->epoch < of.epoch)
        return;
    for (const auto& next : batch->records)
        std::visit([&](const auto& what) { stored(partition, what); }, next);
}

void ledger::stored(std::uint32_t partition, const journal::retry_scheduled& what)
{
    note("  retry sequence=", what.call.sequence, " attempts=", what.attempts);
    auto* call = find(partition, what.call);
    if (!call)
        return fail("a retry is on record of a call that nobody accepted");
    if (call->on_record || call->settled)
        fail("a retry is on record after the call's outcome");
    call->attempts_on_record = what.attempts;
}

void ledger::stored(std::uint32_t partition, const journal::answered& what)
{
    note("  answered sequence=", what.call.sequence, " status=", what.status);
    auto* call = find(partition, what.call);
    if (!call)
        return fail("an answer is on record of a call that nobody accepted");
    if (call->on_record || call->settled)
        return fail("an answer is on record after the call's outcome");
    if (call->what.callback != what.url)
        fail("an answer goes to another URL than the caller asked for");
    if (!what.dead && !call->answers.contains(what.body))
        fail("an answer is on record that the function did not give");
    call->on_record = what;
}

void ledger::stored(std::uint32_t partition, const journal::settled& what)
{
    note("  settled sequence=", what.call.sequence, " how=", static_cast<unsigned>(what.how));
    auto* call = find(partition, what.call);
    if (!call)
        return fail("a call is settled that nobody accepted");
    if (call->settled)
        return fail("a call is settled twice");
    call->settled = what;
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
        if (!at->second.lost && !at->second.settled)
            fail("a call was purged from the log that is not settled on record");
    first = std::max(first, below);
}

void ledger::journal_purged(std::uint32_t partition, std::uint64_t below, std::uint64_t last)
{
    note("journal purged partition=", partition, " below=", below);
    auto& of = journals_[partition];
    if (below > last)
        fail("the journal's last message was purged");
    for (auto at = of.highest_call.begin(); at != of.highest_call.lower_bound(below); at = of.highest_call.erase(at))
        if (at->second >= of.log_first)
            fail("a journal message was purged that speaks of a call in the log");
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
