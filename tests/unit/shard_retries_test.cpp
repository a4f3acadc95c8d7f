#include "tests/support/driven_shard.hpp"

#include <gmock/gmock.h>

using namespace sluice;
using namespace sluice::core;
using namespace sluice::testing_support;
using testing::HasSubstr;
using how = journal::settled::how_kind;

TEST(shard_retries_test, a_broken_connection_is_retried_with_backoff_and_then_dead)
{
    stored_partition store;
    store.accept({});
    driven_shard owner(store, {.retry = {2, milliseconds(1'000), milliseconds(1'500)}});
    owner.own();
    owner.replicas("f.s", {owner.replica()});
    owner.answer(0, failed(outcome_kind::unreachable));
    owner.advance(milliseconds(999));
    EXPECT_EQ(owner.dispatched.size(), 1u);
    owner.advance(milliseconds(1));
    ASSERT_EQ(owner.dispatched.size(), 2u);
    owner.answer(1, failed(outcome_kind::unreachable));
    owner.advance(milliseconds(1'500));
    ASSERT_EQ(owner.dispatched.size(), 3u);
    owner.answer(2, failed(outcome_kind::unreachable));
    EXPECT_EQ(store.records<journal::retry_scheduled>().size(), 2u);
    EXPECT_EQ(store.records<journal::settled>(), (std::vector<journal::settled>{{{1, hash_id("id")}, how::dead, 3, 503}}));
    ASSERT_EQ(owner.warnings.size(), 1u);
    EXPECT_THAT(owner.warnings[0].message, HasSubstr("call is dead"));
}

TEST(shard_retries_test, the_next_attempt_waits_for_its_record)
{
    stored_partition store;
    store.accept({});
    driven_shard owner(store);
    owner.own();
    owner.replicas("f.s", {owner.replica()});
    owner.hold_appends = true;
    owner.answer(0, failed(outcome_kind::unreachable));
    owner.advance(milliseconds(100'000));
    EXPECT_EQ(owner.dispatched.size(), 1u) << "a crash now would not count the first";
    owner.release_appends();
    ASSERT_EQ(owner.dispatched.size(), 2u) << "its time has come meanwhile";
    EXPECT_EQ(owner.dispatched[1].attempt, 2u);
    owner.answer(1, failed(outcome_kind::unreachable));
    EXPECT_EQ(owner.dispatched.size(), 2u) << "on record, and not due";
    owner.advance(milliseconds(100'000));
    EXPECT_EQ(owner.dispatched.size(), 3u);
}

TEST(shard_retries_test, a_call_out_of_time_is_retried_and_then_dead_with_504)
{
    stored_partition store;
    store.accept({.callback = "http://x/"});
    driven_shard owner(store, {.retry = {1, milliseconds(1'000), milliseconds(1'500)}});
    owner.own();
    owner.replicas("f.s", {owner.replica()});
    owner.answer(0, failed(outcome_kind::timed_out));
    EXPECT_TRUE(owner.callbacks.empty());
    owner.advance(milliseconds(1'000));
    owner.answer(1, failed(outcome_kind::timed_out));
    ASSERT_EQ(owner.callbacks.size(), 1u);
    EXPECT_EQ(owner.callbacks[0].what->status, 504u);
    EXPECT_TRUE(owner.callbacks[0].what->dead);
    EXPECT_EQ(field_of(owner.callbacks[0].what->head, "X-Function-Status"), "504");
}

TEST(shard_retries_test, a_function_has_a_retry_policy_of_its_own)
{
    stored_partition store;
    store.accept({.callback = "http://x/"});
    driven_shard owner(store);
    owner.own();
    owner.replicas("f.s", {owner.replica()});
    retry_policy policy;
    policy.retries_max = 1;
    policy.codes = {418};
    policy.wait_min = milliseconds(7'000);
    owner.engine.set_retry({"f", "s"}, policy);
    owner.answer(0, delivered(418));
    EXPECT_EQ(store.records<journal::retry_scheduled>().at(0).delay_ms, 7'000u);
    owner.advance(milliseconds(7'000));
    owner.answer(1, delivered(418));
    ASSERT_EQ(owner.callbacks.size(), 1u);
    EXPECT_EQ(owner.callbacks[0].what->status, 418u) << "the last answer is posted";
    EXPECT_EQ(owner.callbacks[0].what->attempts, 2u);
    EXPECT_TRUE(owner.callbacks[0].what->dead);
}

TEST(shard_retries_test, a_call_that_is_refused_for_too_long_is_dead)
{
    stored_partition store;
    store.accept({.callback = "http://x/"});
    driven_shard owner(store, {.refused_max = milliseconds(10'000)});
    owner.own();
    owner.replicas("f.s", {owner.replica()});
    const auto dispatch_until = [&](milliseconds time) {
        for (milliseconds gone{0}; gone < time; gone += milliseconds(1'000)) {
            owner.answer(owner.dispatched.size() - 1, full());
            owner.advance(milliseconds(1'000));
        }
    };
    dispatch_until(milliseconds(9'000));
    EXPECT_TRUE(owner.callbacks.empty());
    dispatch_until(milliseconds(3'000));
    ASSERT_EQ(owner.callbacks.size(), 1u);
    EXPECT_EQ(owner.callbacks[0].what->status, 429u);
    EXPECT_TRUE(owner.callbacks[0].what->dead);
}

TEST(shard_retries_test, a_functions_own_429_postpones_its_call_alone_and_counts_nothing)
{
    stored_partition store;
    store.accept({.id = "poison"});
    store.accept({.id = "other", .tenant = "u"});
    driven_shard owner(store);
    owner.own();
    owner.replicas("f.s", {owner.replica(1)});
    ASSERT_EQ(owner.dispatched.size(), 1u);
    auto later = delivered(429);
    later.reply.fields.push_back({"Retry-After", "60"});
    owner.answer(0, later);
    ASSERT_EQ(owner.dispatched.size(), 2u) << "the replica goes on";
    EXPECT_EQ(owner.dispatched[1].what->tenant, "u");
    owner.answer(1, delivered(200));
    owner.advance(milliseconds(59'999));
    EXPECT_EQ(owner.dispatched.size(), 2u);
    owner.advance(milliseconds(1));
    ASSERT_EQ(owner.dispatched.size(), 3u);
    EXPECT_EQ(owner.dispatched[2].attempt, 1u);
    EXPECT_TRUE(store.records<journal::retry_scheduled>().empty());
}

TEST(shard_retries_test, refusals_that_name_no_time_are_further_and_further_apart_and_end_on_time)
{
    stored_partition store;
    store.accept({});
    driven_shard owner(store, {.retry = {0, milliseconds(0), milliseconds(60'000)}, .refused_max = milliseconds(600'000)});
    owner.own();
    owner.replicas("f.s", {owner.replica(1)});
    auto no_time = delivered(429);
    no_time.reply.fields.push_back({"Retry-After", "soon"});
    std::size_t answered = 0;
    const auto began = owner.now.mono;
    while (store.records<journal::settled>().empty() && answered < 100) {
        if (owner.dispatched.size() > answered)
            owner.answer(answered++, no_time);
        else
            owner.advance(std::chrono::ceil<milliseconds>(owner.engine.next_due().value() - owner.now.mono));
    }
    EXPECT_GE(answered, 17u);
    EXPECT_LE(answered, 30u) << "of a millisecond to a minute it is seventeen, then one a minute";
    EXPECT_EQ(owner.now.mono - began, std::chrono::minutes(10)) << "not later than it may be";
    EXPECT_EQ(store.records<journal::settled>(), (std::vector<journal::settled>{{{1, hash_id("id")}, how::dead, 1, 429}}));
}

TEST(shard_retries_test, a_shortage_of_ours_ends_no_call)
{
    stored_partition store;
    store.accept({});
    driven_shard owner(store, {.refused_max = milliseconds(1'000)});
    owner.own();
    owner.replicas("f.s", {owner.replica()});
    for (std::size_t i = 0; i < 5; ++i) {
        owner.answer(i, failed(outcome_kind::overloaded));
        owner.advance(milliseconds(1'000));
        ASSERT_EQ(owner.dispatched.size(), i + 2);
    }
}

// A function that fails must not take from its tenant what the others' calls need.
TEST(shard_retries_test, retries_run_within_their_share_of_the_tenants_calls)
{
    stored_partition store;
    for (int i = 0; i < 5; ++i)
        store.accept({.id = "f" + std::to_string(i)});
    driven_shard owner(store, {.tenant_concurrency = 5, .retry = {3, milliseconds(1'000), milliseconds(1'000)}, .retries_percent = 40});
    owner.own();
    owner.replicas("f.s", {owner.replica(100)});
    ASSERT_EQ(owner.dispatched.size(), 5u);
    for (std::size_t i = 0; i < 5; ++i)
        owner.answer(i, failed(outcome_kind::unreachable));
    owner.advance(milliseconds(1'000));
    ASSERT_EQ(owner.dispatched.size(), 7u) << "two of five are 40 %";
    for (int i = 0; i < 3; ++i)
        store.accept({.id = "g" + std::to_string(i), .function = "g.s"});
    owner.step();
    owner.replicas("g.s", {owner.replica(100)});
    ASSERT_EQ(owner.dispatched.size(), 10u) << "there is room for what is new";
    EXPECT_EQ(owner.dispatched[9].attempt, 1u);
    owner.answer(5, delivered(200));
    ASSERT_EQ(owner.dispatched.size(), 11u);
    EXPECT_EQ(owner.dispatched[10].attempt, 2u) << "the next retry takes the place of one that is over";
}
