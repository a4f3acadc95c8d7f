// What a simulated worker does to the world: appends, fetches, calls, callbacks, purges.
#include "tests/support/engine_worker.hpp"

namespace sluice::testing_support {

using namespace core;

// ---- the store

namespace {

boost::system::result<stored_at> store(environment& env, std::uint32_t partition, const journal_writer::append& what)
{
    auto& journal = env.partitions[partition].journal;
    if (env.is(mutation::ack_without_storing) && env.fault(50))
        return stored_at{what.expected_last_sequence + 1, false};
    const auto before = journal.last();
    const auto expected = env.is(mutation::no_fencing) ? std::nullopt : std::optional(what.expected_last_sequence);
    auto result = journal.append(what.id, {}, what.payload, expected);
    if (env.is(mutation::no_fencing))
        result = stored_at{what.expected_last_sequence + 1, false};
    if (journal.last() > before)
        env.books.journal_stored(partition, journal.last(), what.payload);
    return result;
}

}

void engine_worker::perform(act::append& what)
{
    const auto slot = what.slot;
    const auto of = by(slot);
    if (const auto batch = journal::decode(what.what.payload); batch && env_.is(mutation::callback_before_record))
        for (const auto& next : batch->records)
            if (const auto* answered = std::get_if<journal::answered>(&next); answered && env_.random.below(4) == 0)
                env_.books.callback_sent(of, *answered, 1);
    // The request outlives its sender: it is at the server, or under way to it. Only its answer may find nobody.
    request([this, me = weak_from_this(), &env = env_, slot, of, append = std::move(what.what)] {
        boost::system::result<stored_at> result = log_errc::unknown;
        const auto fate = env.calm ? 100 : env.random.below(100);
        if (fate >= 4)
            result = store(env, of.partition, append);
        if (fate >= 4 && fate < 9)
            result = log_errc::unknown; // its answer is lost
        if (fate == 3)
            result = log_errc::unavailable;
        const auto wait = fate < 9 && fate != 3 ? env.random.wait(1'000, 500'000) : env.random.wait(20, env.fault(50) ? 30'000 : 300);
        if (auto self = me.lock())
            deliver(wait, [this, slot, batch = append.batch, result] { engine_.append_result(slot, batch, result, now()); });
    });
}

void engine_worker::perform(act::read_back& what)
{
    request([this, me = weak_from_this(), &env = env_, slot = what.slot, sequence = what.sequence, &journal = streams(what.slot).journal] {
        boost::system::result<log_message> result = log_errc::unavailable;
        if (!env.fault(100))
            result = journal.get(sequence);
        if (auto self = me.lock())
            deliver(env.random.wait(20, 300), [this, slot, result] { engine_.read_back_result(slot, result, now()); });
    });
}

void engine_worker::perform(act::ask_last& what)
{
    request([this, me = weak_from_this(), &env = env_, slot = what.slot, &journal = streams(what.slot).journal] {
        boost::system::result<log_info> result = log_errc::unknown;
        if (!env.fault(100))
            result = journal.info();
        if (auto self = me.lock())
            deliver(env.random.wait(20, 300), [this, slot, result] { engine_.last_result(slot, result, now()); });
    });
}

// Reads one message, as it is when the request arrives.
void engine_worker::fetch(const model_stream& from, std::uint64_t sequence,
                          std::function<void(const boost::system::result<log_message>&)> done)
{
    request([this, me = weak_from_this(), &env = env_, &from, sequence, done = std::move(done)] {
        boost::system::result<log_message> result = log_errc::unavailable;
        if (!env.fault(50))
            result = from.get(sequence);
        if (auto self = me.lock())
            deliver(env.random.wait(20, 300), [done, result] { done(result); });
    });
}

void engine_worker::perform(act::fetch_call& what)
{
    const auto& of = streams(what.call.slot);
    fetch(what.from_journal ? of.journal : of.log, what.sequence,
          [this, call = what.call](const auto& result) { engine_.call_fetched(call, result, now()); });
}

void engine_worker::perform(act::fetch_straggler& what)
{
    fetch(streams(what.slot).log, what.sequence,
          [this, what](const auto& result) { engine_.straggler_fetched(what.slot, what.sequence, result, now()); });
}

void engine_worker::perform(act::fetch_journal& what)
{
    fetch(streams(what.slot).journal, what.sequence,
          [this, what](const auto& result) { engine_.journal_fetched(what.slot, what.sequence, result, now()); });
}

void engine_worker::perform(act::fetch_answer& what)
{
    fetch(streams(what.call.slot).journal, what.journal_sequence,
          [this, call = what.call](const auto& result) { engine_.answer_fetched(call, result, now()); });
}

void engine_worker::perform(act::purge_log& what)
{
    auto below = what.below + (env_.is(mutation::log_purged_too_far) ? 1 : 0);
    request([this, me = weak_from_this(), &env = env_, what, below, of = by(what.slot), &log = streams(what.slot).log] {
        // A log that has lost its tail is not purged by an owner from before: what is there now is not what that one settled.
        const bool done = below <= log.last() + 1 && of.log_losses == log.losses() && !env.fault(100);
        if (done) {
            env.books.log_purged(of.partition, below, log.last());
            log.purge_below(below);
        }
        const bool told = done && !env.fault(100);
        if (auto self = me.lock())
            deliver(env.random.wait(20, 300), [this, what, told] { engine_.log_purged(what.slot, what.below, told); });
    });
}

void engine_worker::perform(act::purge_journal& what)
{
    const auto below = what.below + (env_.is(mutation::journal_purged_too_far) ? 1 : 0);
    request([&env = env_, below, partition = by(what.slot).partition, &journal = streams(what.slot).journal] {
        if (env.fault(100))
            return;
        env.books.journal_purged(partition, below, journal.last());
        journal.purge_below(below);
    });
}

// ---- functions and receivers

namespace {

outcome failed_with(outcome_kind kind) { return {kind, {}, "simulated", {}}; }

outcome answered_with(unsigned status, std::string body, bool by_component)
{
    outcome result;
    result.kind = outcome_kind::delivered;
    result.reply.status = status;
    result.reply.body_bytes = body.size();
    result.reply.body = std::move(body);
    if (by_component)
        result.reply.fields.push_back({"X-OpenFaaS-Internal", "simulated"});
    return result;
}

struct fates { // of a call at a replica, in hundred
    static constexpr unsigned refused = 5, full = 10, lost_before = 13, component_error = 16, lost_after = 19, timed_out = 21,
                              own_error = 26;
};

outcome execute(environment& env, const act::dispatch& what, std::uint32_t partition)
{
    const auto fate = env.calm ? 100 : env.random.below(100);
    if (fate < fates::refused)
        return failed_with(outcome_kind::refused);
    if (fate < fates::full)
        return answered_with(429, "full", true);
    if (fate < fates::lost_before)
        return failed_with(outcome_kind::unreachable);
    const auto answer = "answer " + std::to_string(++env.executions) + std::string(env.random.below(60), 'a');
    env.books.executed(partition, *what.what, answer);
    if (fate < fates::component_error)
        return answered_with(502, answer, true);
    if (fate < fates::lost_after)
        return failed_with(outcome_kind::unreachable);
    if (fate < fates::timed_out)
        return failed_with(outcome_kind::timed_out);
    return answered_with(fate < fates::own_error ? 500 : 200, answer, false);
}

}

void engine_worker::perform(act::dispatch& what)
{
    if (draining_)
        env_.books.fail("a call was started after draining began");
    env_.books.dispatched(by(what.call.slot), what);
    const auto of = by(what.call.slot);
    env_.clock.after(env_.random.wait(50, 500), [this, me = weak_from_this(), &env = env_, of, what] {
        // The request reaches the replica though its sender may have crashed meanwhile.
        const auto result = execute(env, what, of.partition);
        const auto self = me.lock();
        if (!self || (env.is(mutation::answer_forgotten) && env.fault(30)))
            return;
        deliver(env.random.wait(50, env.fault(50) ? 500'000 : 5'000), [this, of, what, result] {
            env_.books.attempt_ended(of, what, result);
            engine_.attempt_finished(what.call, result, now());
        });
    });
}

void engine_worker::perform(act::send_callback& what)
{
    const auto of = by(what.call.slot);
    env_.books.callback_sent(of, *what.what, what.attempt);
    env_.clock.after(env_.random.wait(50, 500), [this, me = weak_from_this(), &env = env_, of, what] {
        const auto fate = env.calm ? 100 : env.random.below(100);
        if (fate >= 10)
            env.books.callback_received(of.partition, *what.what);
        auto result = answered_with(fate < 20 ? 500 : 204, "", false);
        if (fate < 15)
            result = failed_with(fate < 10 ? outcome_kind::refused : outcome_kind::unreachable);
        if (auto self = me.lock())
            deliver(env.random.wait(50, 5'000), [this, of, what, result] {
                env_.books.callback_ended(of, *what.what);
                engine_.callback_finished(what.call, result, now());
            });
    });
}

}
