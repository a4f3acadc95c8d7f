#include "tests/support/driven_shard.hpp"

#include <gmock/gmock.h>

using namespace sluice;
using namespace sluice::core;
using namespace sluice::testing_support;
using testing::HasSubstr;
using how = journal::settled::how_kind;

namespace {

struct shard_callbacks_test : testing::Test {
    stored_partition store;

    void accept(int calls)
    {
        for (int i = 0; i < calls; ++i)
            store.accept({.id = std::to_string(i), .tenant = i % 2 ? "a" : "b", .callback = "http://x/" + std::to_string(i)});
    }
    // Owns, and answers every call.
    void answer_all(driven_shard& owner)
    {
        owner.own();
        owner.replicas("f.s", {owner.replica(100)});
        for (std::size_t i = 0; i < owner.dispatched.size(); ++i)
            owner.answer(i, delivered(200, "answer " + std::to_string(owner.dispatched[i].call.sequence)));
    }
};

}

TEST_F(shard_callbacks_test, a_callback_is_sent_only_after_its_answer_is_on_record)
{
    accept(1);
    driven_shard owner(store);
    owner.own();
    owner.replicas("f.s", {owner.replica()});
    owner.hold_appends = true;
    owner.answer(0, delivered(200));
    owner.advance(milliseconds(10'000));
    EXPECT_TRUE(owner.callbacks.empty());
    owner.release_appends();
    ASSERT_EQ(owner.callbacks.size(), 1u);
    EXPECT_EQ(*owner.callbacks[0].what, store.records<journal::answered>().at(0)) << "the very bytes that are on record";
    EXPECT_EQ(owner.callbacks[0].attempt, 1u);
    EXPECT_TRUE(owner.settled.empty());
    owner.hold_appends = true;
    owner.called_back(0, delivered(204));
    EXPECT_TRUE(owner.settled.empty());
    owner.release_appends();
    ASSERT_EQ(owner.settled.size(), 1u);
    EXPECT_EQ(owner.settled[0].how, how::called_back);
    EXPECT_EQ(store.records<journal::settled>(), (std::vector<journal::settled>{{{1, hash_id("0")}, how::called_back, 1, 200}}));
    EXPECT_TRUE(owner.engine.quiet());
    EXPECT_EQ(owner.dispatched.size(), 1u);
}

TEST_F(shard_callbacks_test, a_callback_that_could_not_be_tried_is_no_attempt)
{
    accept(1);
    driven_shard owner(store, {.callback = {2, milliseconds(1), milliseconds(1)}});
    answer_all(owner);
    for (std::size_t i = 0; i < 5; ++i) {
        ASSERT_EQ(owner.callbacks.size(), i + 1);
        EXPECT_EQ(owner.callbacks[i].attempt, 1u);
        owner.called_back(i, failed(outcome_kind::overloaded));
        owner.advance(milliseconds(500));
    }
    owner.called_back(5, delivered(200));
    ASSERT_EQ(owner.settled.size(), 1u);
    EXPECT_EQ(owner.settled[0].how, how::called_back);
}

TEST_F(shard_callbacks_test, what_finishes_while_draining_is_called_back_before_it_is_quiet)
{
    accept(2);
    driven_shard owner(store, {.callback = {3, milliseconds(5'000), milliseconds(5'000)}});
    owner.own();
    owner.replicas("f.s", {owner.replica(100)});
    ASSERT_EQ(owner.dispatched.size(), 2u);
    owner.engine.drain();
    owner.answer(0, delivered(200));
    owner.answer(1, delivered(200));
    ASSERT_EQ(owner.callbacks.size(), 2u);
    EXPECT_FALSE(owner.engine.quiet());
    owner.called_back(0, delivered(200));
    owner.called_back(1, delivered(500));
    EXPECT_TRUE(owner.engine.quiet()) << "one that has to wait is the next owner's";
    owner.advance(milliseconds(10'000));
    EXPECT_EQ(owner.callbacks.size(), 2u);
}

TEST_F(shard_callbacks_test, a_suspended_slot_finishes_what_runs_and_starts_nothing)
{
    store.accept({.id = "0", .tenant = "a", .callback = "http://x/0"});
    store.accept({.id = "1", .tenant = "a", .callback = "http://x/1"});
    driven_shard owner(store, {.tenant_concurrency = 1});
    owner.own();
    owner.replicas("f.s", {owner.replica(100)});
    ASSERT_EQ(owner.dispatched.size(), 1u);
    owner.engine.suspend(owner.slot, true);
    owner.answer(0, delivered(200));
    owner.advance(milliseconds(10'000));
    EXPECT_EQ(owner.dispatched.size(), 1u);
    EXPECT_TRUE(owner.callbacks.empty());
    EXPECT_EQ(store.records<journal::answered>().size(), 1u) << "what ran is on record";
    owner.engine.suspend(owner.slot, false);
    owner.advance(milliseconds(1));
    EXPECT_EQ(owner.dispatched.size(), 2u);
    EXPECT_EQ(owner.callbacks.size(), 1u);
}

TEST_F(shard_callbacks_test, a_callback_is_retried_with_backoff_and_the_function_is_not_asked_again)
{
    accept(1);
    driven_shard owner(store, {.callback = {3, milliseconds(1'000), milliseconds(9'000)}});
    answer_all(owner);
    ASSERT_EQ(owner.callbacks.size(), 1u);
    owner.called_back(0, delivered(500));
    owner.advance(milliseconds(999));
    EXPECT_EQ(owner.callbacks.size(), 1u);
    owner.advance(milliseconds(1));
    ASSERT_EQ(owner.callbacks.size(), 2u);
    EXPECT_EQ(owner.callbacks[1].attempt, 2u);
    owner.called_back(1, failed(outcome_kind::refused));
    owner.advance(milliseconds(2'000));
    ASSERT_EQ(owner.callbacks.size(), 3u);
    EXPECT_EQ(*owner.callbacks[2].what, *owner.callbacks[0].what);
    owner.called_back(2, delivered(302));
    owner.advance(milliseconds(100'000));
    EXPECT_EQ(owner.callbacks.size(), 3u) << "given up";
    EXPECT_EQ(store.records<journal::settled>().at(0).how, how::callback_dead);
    EXPECT_EQ(owner.dispatched.size(), 1u);
    ASSERT_EQ(owner.warnings.size(), 1u);
    EXPECT_THAT(owner.warnings[0].message, HasSubstr("callback is given up"));
}

TEST_F(shard_callbacks_test, the_next_attempt_waits_for_its_record)
{
    accept(1);
    driven_shard owner(store);
    answer_all(owner);
    ASSERT_EQ(owner.callbacks.size(), 1u);
    owner.hold_appends = true;
    owner.called_back(0, delivered(500));
    owner.advance(milliseconds(100'000));
    EXPECT_EQ(owner.callbacks.size(), 1u);
    owner.release_appends();
    ASSERT_EQ(owner.callbacks.size(), 2u);
    EXPECT_EQ(owner.callbacks[1].attempt, 2u);
}

TEST_F(shard_callbacks_test, answers_beyond_the_budget_are_fetched_again)
{
    accept(6);
    driven_shard owner(store, {.callbacks_max = 1, .answer_bytes_budget = 300});
    owner.hold_fetches = true;
    answer_all(owner);
    ASSERT_EQ(owner.callbacks.size(), 1u);
    std::size_t fetched = 0;
    for (std::size_t done = 0; done < 6; ++done) {
        fetched += owner.answer_fetches.size();
        owner.release_fetches();
        owner.hold_fetches = true;
        ASSERT_EQ(owner.callbacks.size(), done + 1);
        const auto& sent = owner.callbacks[done];
        EXPECT_EQ(sent.what->body, "answer " + std::to_string(sent.call.sequence));
        owner.called_back(done, delivered(200));
    }
    EXPECT_GE(fetched, 3u);
    EXPECT_EQ(store.records<journal::settled>().size(), 6u);
}

// A server drops a client that it cannot get rid of what it asked for to.
TEST_F(shard_callbacks_test, fetches_under_way_are_limited_in_bytes)
{
    accept(6);
    shard_options options{.answer_bytes_budget = 0, .fetch_bytes_max = 2'000};
    options.callbacks_max = options.tenant_callbacks = 10;
    driven_shard owner(store, options);
    owner.hold_fetches = true;
    owner.own();
    owner.replicas("f.s", {owner.replica(100)});
    for (std::size_t i = 0; i < 6; ++i)
        owner.answer(i, delivered(200, std::string(700, 'a')));
    EXPECT_EQ(owner.answer_fetches.size(), 2u);
    std::size_t largest = 0;
    for (int turn = 0; turn < 6 && owner.callbacks.size() < 6; ++turn) {
        largest = std::max(largest, owner.answer_fetches.size());
        owner.release_fetches();
        owner.hold_fetches = true;
    }
    EXPECT_EQ(largest, 2u);
    EXPECT_EQ(owner.callbacks.size(), 6u);
}

TEST_F(shard_callbacks_test, an_answer_that_cannot_be_fetched_is_asked_for_again_and_one_that_is_gone_closes)
{
    accept(1);
    driven_shard owner(store, {.answer_bytes_budget = 0});
    owner.hold_fetches = true;
    answer_all(owner);
    ASSERT_EQ(owner.answer_fetches.size(), 1u);
    EXPECT_EQ(owner.answer_fetches[0].journal_sequence, store.journal.messages.size());
    owner.engine.answer_fetched(owner.answer_fetches[0].call, log_errc::unknown, owner.now);
    owner.advance(milliseconds(1'000));
    ASSERT_EQ(owner.answer_fetches.size(), 2u);
    owner.engine.answer_fetched(owner.answer_fetches[1].call, store.journal.get(1), owner.now); // a message that does not hold it
    owner.step();
    ASSERT_EQ(owner.closed.size(), 1u);
    EXPECT_FALSE(owner.closed[0].final);
    EXPECT_TRUE(owner.callbacks.empty());
    EXPECT_TRUE(owner.engine.quiet());
}

TEST_F(shard_callbacks_test, callbacks_under_way_are_limited_by_tenant_and_in_all)
{
    accept(8);
    driven_shard owner(store, {.callbacks_max = 3, .tenant_callbacks = 2});
    answer_all(owner);
    ASSERT_EQ(owner.callbacks.size(), 3u);
    std::map<std::string, int> by_tenant;
    for (const auto& sent : owner.callbacks)
        ++by_tenant[sent.call.sequence % 2 ? "b" : "a"];
    EXPECT_LE(by_tenant["a"], 2);
    EXPECT_LE(by_tenant["b"], 2);
    owner.called_back(0, delivered(200));
    EXPECT_EQ(owner.callbacks.size(), 4u);
    EXPECT_EQ(owner.engine.count().callbacks_running, 3u);
    EXPECT_EQ(owner.engine.count().callbacks_waiting, 4u);
}

TEST_F(shard_callbacks_test, a_waiting_callback_holds_no_slot_of_the_functions)
{
    accept(2);
    driven_shard owner(store, {.tenant_concurrency = 1, .inflight_max = 1});
    owner.own();
    owner.replicas("f.s", {owner.replica(1)});
    owner.answer(0, delivered(200));
    EXPECT_EQ(owner.callbacks.size(), 1u);
    EXPECT_EQ(owner.dispatched.size(), 2u);
}

TEST_F(shard_callbacks_test, what_is_reported_twice_or_of_a_closed_slot_is_ignored)
{
    accept(2);
    driven_shard owner(store);
    answer_all(owner);
    owner.answer(0, delivered(500));
    owner.called_back(0, delivered(200));
    owner.called_back(0, delivered(500));
    owner.engine.close(owner.slot, "for the test");
    owner.step();
    owner.called_back(1, delivered(200));
    owner.engine.log_purged(owner.slot, 1, true);
    owner.engine.append_result(owner.slot, 0, stored_at{1, false}, owner.now);
    owner.engine.read_back_result(owner.slot, log_errc::not_found, owner.now);
    owner.engine.last_result(owner.slot, log_errc::unknown, owner.now);
    owner.engine.log_message(owner.slot, store.log.messages[0], owner.now);
    owner.engine.journal_message(owner.slot, store.journal.messages[0]);
    owner.engine.opened(owner.slot, {}, {});
    owner.engine.close(owner.slot, "again");
    owner.step();
    EXPECT_EQ(owner.closed.size(), 1u);
    EXPECT_EQ(store.records<journal::settled>().size(), 1u);
    EXPECT_TRUE(owner.engine.quiet());
}
