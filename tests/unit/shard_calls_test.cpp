#include "tests/support/driven_shard.hpp"

#include <gmock/gmock.h>

using namespace sluice;
using namespace sluice::core;
using namespace sluice::testing_support;
using testing::HasSubstr;
using how = journal::settled::how_kind;

TEST(shard_calls_test, a_call_without_callback_is_settled_by_its_answer)
{
    stored_partition store;
    store.accept({});
    driven_shard owner(store);
    owner.own();
    EXPECT_EQ(owner.functions_asked, (std::set<std::string>{"f.s"}));
    EXPECT_TRUE(owner.dispatched.empty()) << "nothing is known of its replicas";
    owner.replicas("f.s", {owner.replica()});
    ASSERT_EQ(owner.dispatched.size(), 1u);
    EXPECT_EQ(owner.dispatched[0].attempt, 1u);
    EXPECT_EQ(owner.dispatched[0].target->replica, "r1");
    EXPECT_FALSE(owner.engine.quiet());
    owner.hold_appends = true;
    owner.answer(0, delivered(404));
    EXPECT_TRUE(owner.settled.empty()) << "not before it is on record";
    EXPECT_FALSE(owner.engine.quiet());
    owner.release_appends();
    ASSERT_EQ(owner.settled.size(), 1u);
    EXPECT_EQ(owner.settled[0].status, 404u);
    EXPECT_EQ(owner.settled[0].attempts, 1u);
    EXPECT_EQ(store.records<journal::settled>(), (std::vector<journal::settled>{{{1, hash_id("id")}, how::done, 1, 404}}));
    EXPECT_EQ(owner.engine.count().live, 0u);
    EXPECT_EQ(owner.engine.count().body_bytes, 0u);
    EXPECT_TRUE(owner.engine.quiet());
}

TEST(shard_calls_test, a_full_replica_gives_the_call_back_without_counting)
{
    stored_partition store;
    store.accept({});
    driven_shard owner(store);
    owner.own();
    owner.replicas("f.s", {owner.replica()});
    for (std::size_t i = 0; i < 30; ++i) {
        ASSERT_EQ(owner.dispatched.size(), i + 1);
        EXPECT_EQ(owner.dispatched[i].attempt, 1u);
        owner.answer(i, i % 2 ? full() : failed(outcome_kind::refused));
        EXPECT_EQ(owner.dispatched.size(), i + 1) << "the replica rests";
        owner.advance(milliseconds(100));
    }
    EXPECT_TRUE(store.records<journal::retry_scheduled>().empty()) << "nothing to record";
    owner.answer(30, delivered(200));
    EXPECT_EQ(store.records<journal::settled>().at(0).attempts, 1u);
}

TEST(shard_calls_test, a_call_given_back_goes_to_another_replica_before_its_successors)
{
    stored_partition store;
    store.accept({.id = "a"});
    store.accept({.id = "b"});
    driven_shard owner(store);
    owner.own();
    owner.replicas("f.s", {owner.replica(1, "r1")});
    ASSERT_EQ(owner.dispatched.size(), 1u);
    owner.replicas("f.s", {owner.replica(1, "r1"), owner.replica(1, "r2")});
    ASSERT_EQ(owner.dispatched.size(), 2u);
    owner.answer(1, delivered(200));
    owner.answer(0, failed(outcome_kind::refused));
    ASSERT_EQ(owner.dispatched.size(), 3u);
    EXPECT_EQ(owner.dispatched[2].call.sequence, 1u);
    EXPECT_EQ(owner.dispatched[2].target->replica, "r2");
}

TEST(shard_calls_test, a_function_that_does_not_exist_is_waited_for_and_then_its_calls_are_dead_with_404)
{
    stored_partition store;
    store.accept({.id = "a", .callback = "http://x/"});
    driven_shard owner(store, {.missing_function_grace = milliseconds(5'000)});
    owner.own();
    const function_name name{"f", "s"};
    owner.engine.set_exists(name, false, owner.now);
    owner.advance(milliseconds(4'000));
    owner.engine.set_exists(name, true, owner.now); // it comes and goes: the grace begins anew
    owner.engine.set_exists(name, false, owner.now);
    owner.advance(milliseconds(4'999));
    EXPECT_TRUE(owner.callbacks.empty());
    owner.advance(milliseconds(1));
    ASSERT_EQ(owner.callbacks.size(), 1u);
    EXPECT_EQ(owner.callbacks[0].what->status, 404u);
    EXPECT_EQ(owner.callbacks[0].what->attempts, 0u);
    store.accept({.id = "b"});
    owner.step();
    EXPECT_EQ(store.records<journal::settled>(), (std::vector<journal::settled>{{{2, hash_id("b")}, how::dead, 0, 404}}));
    EXPECT_TRUE(owner.dispatched.empty());
    store.accept({.id = "c"});
    owner.replicas("f.s", {owner.replica()});
    EXPECT_EQ(owner.dispatched.size(), 1u) << "it exists again";
}

TEST(shard_calls_test, a_tenants_running_calls_are_limited_and_cost_its_neighbour_nothing)
{
    stored_partition store;
    for (int i = 0; i < 20; ++i)
        store.accept({.id = "n" + std::to_string(i), .tenant = "noisy"});
    store.accept({.id = "q", .tenant = "quiet", .function = "g.s"});
    driven_shard owner(store, {.tenant_concurrency = 3});
    owner.own();
    owner.replicas("f.s", {owner.replica(100)});
    owner.replicas("g.s", {owner.replica(100)});
    ASSERT_EQ(owner.dispatched.size(), 4u);
    EXPECT_EQ(owner.dispatched[3].what->tenant, "quiet");
    owner.answer(0, delivered(200));
    EXPECT_EQ(owner.dispatched.size(), 5u);
    EXPECT_EQ(owner.engine.count().running, 4u);
    EXPECT_EQ(owner.engine.count().waiting, 16u);
}

TEST(shard_calls_test, running_calls_in_all_are_limited)
{
    stored_partition store;
    for (int i = 0; i < 5; ++i)
        store.accept({.id = std::to_string(i), .tenant = "t" + std::to_string(i)});
    driven_shard owner(store, {.inflight_max = 2});
    owner.own();
    owner.replicas("f.s", {owner.replica(100)});
    EXPECT_EQ(owner.dispatched.size(), 2u);
    owner.answer(1, delivered(200));
    EXPECT_EQ(owner.dispatched.size(), 3u);
}

TEST(shard_calls_test, bodies_beyond_the_budget_are_fetched_again)
{
    stored_partition store;
    const std::string body(1'000, 'b');
    for (int i = 0; i < 4; ++i)
        store.accept({.id = std::to_string(i), .body = body + std::to_string(i)});
    driven_shard owner(store, {.retry = {.wait_min = milliseconds(10)}, .body_bytes_budget = 2'500});
    owner.own();
    EXPECT_LE(owner.engine.count().body_bytes, 2'500u);
    owner.hold_fetches = true;
    owner.replicas("f.s", {owner.replica()});
    EXPECT_EQ(owner.dispatched.size(), 2u);
    EXPECT_EQ(owner.call_fetches.size(), 2u);
    owner.release_fetches();
    ASSERT_EQ(owner.dispatched.size(), 4u);
    for (const auto& each : owner.dispatched)
        EXPECT_THAT(*each.what->payload, HasSubstr(body + std::to_string(each.call.sequence - 1)));
    for (std::size_t i = 0; i < 4; ++i)
        owner.answer(i, failed(outcome_kind::unreachable));
    EXPECT_LE(owner.engine.count().body_bytes, 2'500u) << "those that wait again keep to the budget";
    owner.advance(milliseconds(10));
    ASSERT_EQ(owner.dispatched.size(), 8u);
    for (std::size_t i = 4; i < 8; ++i)
        owner.answer(i, delivered(200));
    EXPECT_EQ(owner.engine.count().body_bytes, 0u);
    EXPECT_EQ(store.records<journal::settled>().size(), 4u);
}

TEST(shard_calls_test, a_fetch_that_fails_is_tried_again_and_a_message_that_is_gone_closes)
{
    stored_partition store;
    store.accept({});
    driven_shard owner(store, {.body_bytes_budget = 0});
    owner.own();
    owner.hold_fetches = true;
    owner.replicas("f.s", {owner.replica(1)});
    ASSERT_EQ(owner.call_fetches.size(), 1u);
    EXPECT_EQ(owner.engine.count().running, 1u) << "it has its permit";
    owner.engine.call_fetched(owner.call_fetches[0].call, log_errc::unavailable, owner.now);
    owner.advance(milliseconds(1'000));
    ASSERT_EQ(owner.call_fetches.size(), 2u);
    owner.engine.call_fetched(owner.call_fetches[1].call, log_errc::not_found, owner.now);
    owner.step();
    ASSERT_EQ(owner.closed.size(), 1u);
    EXPECT_FALSE(owner.closed[0].final);
    EXPECT_TRUE(owner.engine.quiet()) << "its permit is free again";
    EXPECT_TRUE(store.records<journal::settled>().empty());
}

TEST(shard_calls_test, a_fetched_message_that_is_another_call_closes)
{
    stored_partition store;
    store.accept({.id = "old"});
    driven_shard owner(store, {.body_bytes_budget = 0});
    owner.own();
    owner.hold_fetches = true;
    owner.replicas("f.s", {owner.replica()});
    store.log.messages.clear();
    store.accept({.id = "new"});
    owner.release_fetches();
    EXPECT_EQ(owner.closed.size(), 1u);
    EXPECT_TRUE(owner.dispatched.empty());
}

TEST(shard_calls_test, a_stalled_journal_starts_nothing_new_and_goes_on_by_itself)
{
    stored_partition store;
    for (int i = 0; i < 4; ++i)
        store.accept({.id = std::to_string(i), .callback = "http://x/"});
    driven_shard owner(store);
    owner.own();
    owner.replicas("f.s", {owner.replica(1)});
    owner.answer(0, delivered(200));
    ASSERT_EQ(owner.callbacks.size(), 1u);
    owner.called_back(0, delivered(500));
    owner.journal_away = true;
    owner.answer(1, delivered(200));
    ASSERT_EQ(owner.dispatched.size(), 3u) << "started before the store's answer";
    owner.answer(2, delivered(200));
    owner.advance(milliseconds(60'000));
    EXPECT_EQ(owner.dispatched.size(), 3u);
    EXPECT_EQ(owner.callbacks.size(), 1u) << "though its retry is due";
    EXPECT_TRUE(owner.closed.empty());
    owner.journal_away = false;
    owner.advance(milliseconds(2'000));
    EXPECT_EQ(owner.dispatched.size(), 4u) << "without any other event";
    EXPECT_EQ(owner.callbacks.size(), 4u);
}

TEST(shard_calls_test, draining_finishes_what_runs_and_starts_nothing)
{
    stored_partition store;
    for (int i = 0; i < 4; ++i)
        store.accept({.id = std::to_string(i), .callback = "http://x/", .body = std::string(i == 1 ? 4'000 : 1, 'b')});
    driven_shard owner(store, {.body_bytes_budget = 1'000});
    owner.own();
    owner.hold_fetches = true;
    owner.replicas("f.s", {owner.replica(2)});
    ASSERT_EQ(owner.dispatched.size(), 1u);
    ASSERT_EQ(owner.call_fetches.size(), 1u);
    owner.engine.drain();
    owner.release_fetches();
    EXPECT_EQ(owner.dispatched.size(), 1u) << "fetching a body is no execution";
    EXPECT_FALSE(owner.engine.quiet());
    owner.answer(0, delivered(200));
    EXPECT_FALSE(owner.engine.quiet()) << "its callback is due";
    owner.called_back(0, delivered(200));
    EXPECT_TRUE(owner.engine.quiet());
    owner.advance(milliseconds(100'000));
    EXPECT_EQ(owner.dispatched.size(), 1u);
}

TEST(shard_calls_test, a_full_index_pauses_reading_also_of_a_partition_taken_over_meanwhile)
{
    stored_partition store;
    for (int i = 0; i < 12; ++i)
        store.accept({.id = std::to_string(i)});
    driven_shard owner(store, {.calls_max = 10});
    owner.own();
    ASSERT_EQ(owner.pauses.size(), 1u);
    EXPECT_TRUE(owner.pauses[0].paused);
    ASSERT_EQ(owner.warnings.size(), 1u);
    EXPECT_THAT(owner.warnings[0].message, HasSubstr("11 calls are known, queued and delayed: no more are read"));
    stored_partition other;
    other.accept({});
    core::shard& engine = owner.engine;
    const auto slot = engine.open(1, "other");
    engine.take_actions(owner.now);
    engine.opened(slot, other.journal.info(), other.log.info());
    engine.take_actions(owner.now);
    engine.append_result(slot, 0, stored_at{1, false}, owner.now);
    bool paused = false;
    for (const auto& next : engine.take_actions(owner.now))
        if (const auto* what = std::get_if<act::pause_log>(&next))
            paused = what->slot == slot && what->paused;
    EXPECT_TRUE(paused);
    owner.replicas("f.s", {owner.replica(3)});
    for (std::size_t i = 0; i < 3; ++i)
        owner.answer(i, delivered(200));
    ASSERT_GE(owner.pauses.size(), 2u);
    EXPECT_FALSE(owner.pauses.back().paused);
}

TEST(shard_calls_test, what_is_waiting_and_running_is_told_by_function)
{
    stored_partition store;
    for (int i = 0; i < 5; ++i)
        store.accept({.id = std::to_string(i), .tenant = i % 2 ? "a" : "b"});
    driven_shard owner(store);
    owner.own();
    owner.replicas("f.s", {owner.replica(2)});
    std::size_t seen = 0;
    owner.engine.each_function([&](const function_name& name, std::size_t waiting, std::size_t running) {
        EXPECT_EQ(name.full(), "f.s");
        EXPECT_EQ(waiting, 3u);
        EXPECT_EQ(running, 2u);
        ++seen;
    });
    EXPECT_EQ(seen, 1u);
}
