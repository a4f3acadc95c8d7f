// What a simulated worker does to the world: appends, fetches, calls, callbacks, purges.
#include "tests/support/engine_worker.hpp"

namespace sluice::testing_support {

using namespace core;

// ---- the store

namespace {

boost::system::result<stored_at> store(environment& env, const ledger::ownership& by, const journal_writer::append& what)
{
    auto& journal = env.partitions[by.partition].journal;
    if (env.is(mutation::ack_without_storing) && env.goes_wrong(50))
        return stored_at{what.expected_last_sequence + 1, false};
    const auto before = journal.last();
    auto result = env.is(mutation::no_fencing) ? journal.append(what.id, {}, what.payload, {})
                                               : journal.append(what.id, {}, what.payload, what.expected_last_sequence);
    if (env.is(mutation::no_fencing))
        result = stored_at{what.expected_last_sequence + 1, false};
    if (journal.last() > before)
        env.books.journal_stored(by.partition, journal.last(), what.payload);
    if (journal.last() > before && what.batch == 0)
        env.new_owner(by);
    if (result && result->duplicate)
        env.faults.hit(fault::append_was_stored_before);
    if (!result && !env.books.current(by))
        env.faults.hit(fault::stale_writer_refused);
    return result;
}

// As sent again, behind what is newer.
void store_anyway(environment& env, const ledger::ownership& by, const journal_writer::append& what)
{
    auto& journal = env.partitions[by.partition].journal;
    const auto before = journal.last();
    (void)journal.append(what.id + " again", {}, what.payload, {});
    if (journal.last() > before)
        env.books.journal_stored(by.partition, journal.last(), what.payload);
}

// What becomes of an append, in hundred.
struct append_fates {
    static constexpr unsigned never_arrived = 3, unavailable = 4, ack_lost = 9, ack_late = 12;
};

}

void engine_worker::perform(act::append& what)
{
    const auto slot = what.slot;
    const auto of = by(slot);
    what.what.payload = as_written(env_.broken, std::move(what.what.payload));
    if (const auto batch = journal::decode(what.what.payload); batch && env_.is(mutation::callback_before_record))
        for (const auto& next : batch->records)
            if (const auto* answered = std::get_if<journal::answered>(&next); answered && env_.random.below(4) == 0)
                env_.books.callback_sent(of, *answered, 1);
    // The request outlives its sender: it is at the server, or under way to it. Only its answer may find nobody.
    request(slot, [this, me = weak_from_this(), &env = env_, slot, of, append = std::move(what.what)](bool reached) {
        boost::system::result<stored_at> result = log_errc::unknown;
        auto wait = env.random.wait(20, 300);
        const auto fate = env.calm ? 100 : env.random.below(100);
        if (!reached || fate < append_fates::never_arrived) {
            env.faults.hit(fault::append_never_arrived);
            wait = env.random.wait(1'000, 200'000);
        } else if (fate < append_fates::unavailable) {
            env.faults.hit(fault::append_unavailable);
            result = log_errc::unavailable;
        } else {
            result = store(env, of, append);
            if (fate < append_fates::ack_late) {
                env.faults.hit(fate < append_fates::ack_lost ? fault::ack_lost : fault::ack_late);
                wait = env.random.wait(1'000, 200'000);
            }
            if (fate < append_fates::ack_lost)
                result = log_errc::unknown;
        }
        if (env.is(mutation::append_kept_for_later) && !result)
            env.clock.after(env.random.wait(1'000, 20'000), [&env, of, append] { store_anyway(env, of, append); });
        if (auto self = me.lock())
            deliver(wait, [this, slot, batch = append.batch, result] { engine_.append_result(slot, batch, result, now()); });
    });
}

void engine_worker::perform(act::read_back& what)
{
    const auto slot = what.slot;
    request(slot,
            [this, me = weak_from_this(), &env = env_, slot, sequence = what.sequence, &journal = streams(slot).journal](bool reached) {
                boost::system::result<log_message> result = log_errc::unavailable;
                if (reached && !env.goes_wrong(100, fault::read_failed))
                    result = journal.get(sequence);
                if (auto self = me.lock())
                    deliver(env.random.wait(20, 300), [this, slot, result] { engine_.read_back_result(slot, result, now()); });
            });
}

void engine_worker::ask(std::uint32_t slot, const model_stream& of, std::function<void(const boost::system::result<log_info>&)> done)
{
    request(slot, [this, me = weak_from_this(), &env = env_, &of, done = std::move(done)](bool reached) {
        boost::system::result<log_info> result = log_errc::unknown;
        if (reached && !env.goes_wrong(100, fault::read_failed))
            result = of.info();
        if (auto self = me.lock())
            deliver(env.random.wait(20, 300), [done, result] { done(result); });
    });
}

void engine_worker::perform(act::ask_last& what)
{
    ask(what.slot, streams(what.slot).journal, [this, slot = what.slot](const auto& result) { engine_.last_result(slot, result, now()); });
}

// Reads one message, as it is when the request arrives.
void engine_worker::fetch(std::uint32_t slot, const model_stream& from, std::uint64_t sequence,
                          std::function<void(const boost::system::result<log_message>&)> done)
{
    request(slot, [this, me = weak_from_this(), &env = env_, &from, sequence, done = std::move(done)](bool reached) {
        boost::system::result<log_message> result = log_errc::unavailable;
        if (reached && !env.goes_wrong(50, fault::read_failed))
            result = from.get(sequence);
        if (auto self = me.lock())
            deliver(env.random.wait(20, 300), [done, result] { done(result); });
    });
}

void engine_worker::perform(act::fetch_call& what)
{
    const auto& of = streams(what.call.slot);
    const auto with_more = [this](boost::system::result<log_message> result) {
        if (result && env_.is(mutation::body_mixed_up))
            result->payload += " and more";
        return result;
    };
    env_.faults.hit(what.from_journal ? fault::carried_body_fetched : fault::body_fetched_again);
    fetch(what.call.slot, what.from_journal ? of.journal : of.log, what.sequence,
          [this, call = what.call, with_more](const auto& result) { engine_.call_fetched(call, with_more(result), now()); });
}

void engine_worker::perform(act::fetch_straggler& what)
{
    fetch(what.slot, streams(what.slot).log, what.sequence, [this, what](boost::system::result<log_message> result) {
        if (result && env_.is(mutation::straggler_changed))
            result->payload += " and more";
        engine_.straggler_fetched(what.slot, what.sequence, result, now());
    });
}

void engine_worker::perform(act::fetch_journal& what)
{
    fetch(what.slot, streams(what.slot).journal, what.sequence,
          [this, what](const auto& result) { engine_.journal_fetched(what.slot, what.sequence, result, now()); });
}

void engine_worker::perform(act::fetch_answer& what)
{
    env_.faults.hit(fault::answer_fetched_again);
    fetch(what.call.slot, streams(what.call.slot).journal, what.journal_sequence,
          [this, call = what.call](boost::system::result<log_message> result) {
              if (result && env_.is(mutation::answer_changed))
                  result = with_another_answer(*result);
              engine_.answer_fetched(call, result, now());
          });
}

void engine_worker::perform(act::check_log& what)
{
    const auto& log = streams(what.slot).log;
    const auto since = by(what.slot).log_losses;
    request(what.slot, [this, me = weak_from_this(), &env = env_, what, since, &log](bool reached) {
        boost::system::result<log_message> result = log_errc::unavailable;
        if (reached && !env.goes_wrong(50, fault::read_failed))
            result = log.get(what.sequence);
        if (result && since != log.losses())
            env.faults.hit(fault::purge_checked_after_a_loss);
        if (auto self = me.lock())
            deliver(env.random.wait(20, 300), [this, what, result, losses = log.losses()] {
                checked_losses_[what.slot] = losses;
                const auto held = slots_.find(what.slot);
                const bool blind = env_.is(mutation::log_unchecked) && held != slots_.end();
                engine_.log_checked(what.slot, what.sequence, blind ? held->second.last_told : result);
            });
    });
}

void engine_worker::perform(act::ask_log& what)
{
    ask(what.slot, streams(what.slot).log, [this, slot = what.slot](const auto& result) {
        if (result)
            env_.faults.hit(fault::purge_looked_for);
        engine_.log_extent(slot, result);
    });
}

void engine_worker::perform(act::purge_log& what)
{
    auto below = what.below + (env_.is(mutation::log_purged_too_far) ? 1 : 0);
    request(what.slot,
            [this, me = weak_from_this(), &env = env_, what, below, partition = by(what.slot).partition,
             checked = checked_losses_[what.slot], &log = streams(what.slot).log](bool reached) {
                // Between its check and its arrival the log is taken to keep its tail: the server cannot make a purge depend on what is there.
                const bool possible = reached && (env.is(mutation::log_unchecked) || checked == log.losses());
                const bool done = possible && !env.goes_wrong(100, fault::purge_failed) && !env.is(mutation::log_not_purged);
                if (done) {
                    env.books.log_purged(partition, below, log.last());
                    log.purge_below(below);
                }
                const bool told = done && !env.goes_wrong(100, fault::purge_unacknowledged);
                if (auto self = me.lock())
                    deliver(env.random.wait(20, 300), [this, what, told] { engine_.log_purged(what.slot, what.below, told); });
            });
}

void engine_worker::perform(act::purge_journal& what)
{
    const auto below = what.below + (env_.is(mutation::journal_purged_too_far) ? 1 : 0);
    request(what.slot, [&env = env_, below, partition = by(what.slot).partition, &journal = streams(what.slot).journal](bool reached) {
        if (!reached || env.goes_wrong(100, fault::purge_failed) || env.is(mutation::journal_not_purged))
            return;
        // It may be long in coming, when somebody else reads the journal already.
        env.clock.after(env.goes_wrong(300, fault::purge_slow) ? env.random.wait(1'000, 300'000) : microseconds(0),
                        [&env, below, partition, &journal] {
                            env.books.journal_purged(partition, below, journal.last());
                            env.faults.hit(fault::journal_purged);
                            journal.purge_below(below);
                        });
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
    static constexpr unsigned refused = 5, full = 10, broken_before = 13, component_error = 16, broken_after = 19, timed_out = 21,
                              own_error = 26;
};

outcome execute(environment& env, const act::dispatch& what, std::uint32_t partition)
{
    const auto fate = env.calm ? 100 : env.random.below(100);
    const auto fails = [&env](fault how, outcome with) {
        env.faults.hit(how);
        return with;
    };
    if (fate < fates::refused)
        return fails(fault::call_refused, failed_with(outcome_kind::refused));
    if (fate < fates::full)
        return fails(fault::replica_full, answered_with(429, "full", true));
    if (fate < fates::broken_before)
        return fails(fault::call_broken_before, failed_with(outcome_kind::unreachable));
    const auto answer = "answer " + std::to_string(++env.executions) + std::string(env.random.below(60), 'a');
    env.books.executed(partition, *what.what, answer);
    if (fate < fates::component_error)
        return fails(fault::component_error, answered_with(502, answer, true));
    if (fate < fates::broken_after)
        return fails(fault::call_broken_after, failed_with(outcome_kind::unreachable));
    if (fate < fates::timed_out)
        return fails(fault::call_timed_out, failed_with(outcome_kind::timed_out));
    if (fate < fates::own_error)
        return fails(fault::own_error, answered_with(fate % 3 == 0 ? 500 : fate % 3 == 1 ? 503 : 429, answer, false));
    return answered_with(200, answer, false);
}

// What becomes of a callback, in hundred.
struct callback_fates {
    static constexpr unsigned refused = 7, hangs = 10, answer_lost = 15, rejected = 20;
};

outcome call_back(environment& env, const journal::answered& what, std::uint32_t partition)
{
    const auto fate = env.calm ? 100 : env.random.below(100);
    if (fate < callback_fates::hangs) {
        env.faults.hit(fate < callback_fates::refused ? fault::callback_refused : fault::callback_hangs);
        return failed_with(fate < callback_fates::refused ? outcome_kind::refused : outcome_kind::timed_out);
    }
    if (fate >= callback_fates::answer_lost && fate < callback_fates::rejected) {
        env.faults.hit(fault::callback_rejected);
        return answered_with(fate % 2 == 0 ? 500 : 429, "", false);
    }
    env.books.callback_received(partition, what);
    if (fate >= callback_fates::rejected)
        return answered_with(204, "", false);
    env.faults.hit(fault::callback_answer_lost);
    return failed_with(outcome_kind::unreachable);
}

}

void engine_worker::perform(act::dispatch& what)
{
    if (draining_)
        env_.books.fail("a call was started after draining began");
    const auto of = by(what.call.slot);
    if (!may_act(of.partition))
        return deliver(microseconds(1),
                       [this, what] { engine_.attempt_finished(what.call, failed_with(outcome_kind::overloaded), now()); });
    env_.books.dispatched(of, what);
    if (env_.is(mutation::dispatched_twice) && env_.goes_wrong(100))
        env_.books.dispatched(of, what);
    env_.clock.after(env_.random.wait(50, 500), [this, me = weak_from_this(), &env = env_, of, what] {
        // The request reaches the replica though its sender may have crashed meanwhile.
        const auto result = execute(env, what, of.partition);
        const auto wait = env.random.wait(50, env.goes_wrong(50, fault::answer_slow) ? 500'000 : 5'000);
        env.clock.after(wait, [&env, of, tenant = what.what->tenant] { env.books.left_replica(of, tenant); });
        const auto self = me.lock();
        if (!self || (env.is(mutation::answer_forgotten) && env.goes_wrong(30)))
            return;
        deliver(wait, [this, of, what, result] {
            env_.books.attempt_ended(of, what, result);
            engine_.attempt_finished(what.call, result, now());
        });
    });
}

void engine_worker::perform(act::send_callback& what)
{
    const auto of = by(what.call.slot);
    if (!may_act(of.partition))
        return deliver(microseconds(1),
                       [this, what] { engine_.callback_finished(what.call, failed_with(outcome_kind::overloaded), now()); });
    env_.books.callback_sent(of, *what.what, what.attempt);
    env_.clock.after(env_.random.wait(50, 500), [this, me = weak_from_this(), &env = env_, of, what] {
        const auto result = call_back(env, *what.what, of.partition);
        const auto wait = result.kind == outcome_kind::timed_out ? env.random.wait(100'000, 300'000) : env.random.wait(50, 5'000);
        if (auto self = me.lock())
            deliver(wait, [this, of, what, result] {
                env_.books.callback_ended(of, *what.what);
                const bool lie = env_.is(mutation::refused_callback_delivered) && result.kind != outcome_kind::delivered;
                engine_.callback_finished(what.call, lie ? answered_with(204, "", false) : result, now());
            });
    });
}

}
