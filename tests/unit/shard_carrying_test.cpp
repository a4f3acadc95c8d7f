#include "tests/support/driven_shard.hpp"

using namespace sluice;
using namespace sluice::core;
using namespace sluice::testing_support;

namespace {

// Cleaning of what lives long: stragglers of the log, and what still counts at the front of the journal.
struct shard_carrying_test : testing::Test {
    stored_partition store;
    shard_options options;

    shard_carrying_test()
    {
        options.partitions.writer.batch_bytes_max = 1;
        options.partitions.purge_bytes_min = 300;
        options.partitions.purge_interval = milliseconds(1'000);
        options.tenant_concurrency = 1'000;
        options.callbacks_max = 1'000;
        options.tenant_callbacks = 1'000;
    }
    void accept(int calls, const std::string& callback = {})
    {
        for (int i = 0; i < calls; ++i)
            store.accept({.id = std::to_string(i), .callback = callback, .body = std::string(100, 'b')});
    }
    static void own(driven_shard& owner)
    {
        owner.own();
        owner.replicas("f.s", {owner.replica(100)});
    }
    static void answer(driven_shard& owner, std::size_t from, std::size_t to)
    {
        for (auto each = from; each < to; ++each)
            owner.answer(each, delivered(200));
    }
    static void clean(driven_shard& owner)
    {
        for (int i = 0; i < 10; ++i) {
            owner.advance(milliseconds(1'000));
            for (; !owner.log_purges.empty(); owner.log_purges.erase(owner.log_purges.begin()))
                owner.finish_purge(0, true);
        }
    }
};

}

TEST_F(shard_carrying_test, a_call_that_runs_long_is_carried_and_lets_the_log_go)
{
    accept(10);
    driven_shard owner(store, options);
    own(owner);
    answer(owner, 1, 10);
    clean(owner);
    EXPECT_EQ(store.log.first, 11u);
    const auto carried = store.records<journal::carried>();
    ASSERT_GE(carried.size(), 1u);
    EXPECT_EQ(carried[0].call, (journal::call_ref{1, hash_id("0")}));
    EXPECT_EQ(carried[0].payload, store.log.messages[0].payload);
    EXPECT_EQ(carried[0].fields, store.log.messages[0].fields);
    EXPECT_EQ(owner.engine.count().live, 1u);

    driven_shard next(store, options);
    own(next);
    EXPECT_EQ(next.engine.count().live, 1u);
    EXPECT_EQ(next.log_position, 11u);
    next.advance(options.partitions.reserve.call_timeout);
    ASSERT_EQ(next.dispatched.size(), 1u);
    EXPECT_EQ(*next.dispatched[0].what->payload, store.log.messages[0].payload) << "from the journal";
    EXPECT_EQ(next.dispatched[0].what->sequence, 1u) << "its identity stays";
    next.answer(0, delivered(200));
    EXPECT_EQ(store.records<journal::settled>().back().call, (journal::call_ref{1, hash_id("0")}));
    EXPECT_EQ(next.engine.count().live, 0u);
    EXPECT_EQ(next.engine.count().body_bytes, 0u);
}

TEST_F(shard_carrying_test, a_carried_call_goes_on_with_its_attempts_and_its_wait)
{
    options.retry = {8, milliseconds(100'000), milliseconds(100'000)};
    accept(10);
    driven_shard owner(store, options);
    own(owner);
    owner.answer(0, failed(outcome_kind::unreachable));
    answer(owner, 1, 10);
    clean(owner);
    ASSERT_EQ(store.log.first, 11u);
    driven_shard next(store, options);
    next.now = owner.now;
    own(next);
    next.advance(milliseconds(85'000));
    EXPECT_TRUE(next.dispatched.empty());
    next.advance(milliseconds(15'000));
    ASSERT_EQ(next.dispatched.size(), 1u);
    EXPECT_EQ(next.dispatched[0].attempt, 2u);
}

TEST_F(shard_carrying_test, a_call_whose_batch_the_server_would_refuse_stays_in_the_log)
{
    options.partitions.record_bytes_max = 150;
    accept(10);
    driven_shard owner(store, options);
    own(owner);
    answer(owner, 1, 10);
    clean(owner);
    EXPECT_TRUE(store.records<journal::carried>().empty());
    EXPECT_EQ(store.log.first, 1u);
    owner.answer(0, delivered(200));
    clean(owner);
    EXPECT_EQ(store.log.first, 11u);
}

TEST_F(shard_carrying_test, a_call_that_ends_while_it_is_being_carried_is_settled_once)
{
    accept(10);
    driven_shard owner(store, options);
    own(owner);
    answer(owner, 1, 10);
    owner.hold_appends = true;
    owner.advance(milliseconds(2'000));
    owner.answer(0, delivered(200)); // its record is behind the one that carries it
    owner.release_appends();
    clean(owner);
    EXPECT_EQ(store.records<journal::settled>().size(), 10u);
    EXPECT_EQ(owner.engine.count().live, 0u);
    driven_shard next(store, options);
    own(next);
    EXPECT_EQ(next.engine.count().live, 0u);
}

TEST_F(shard_carrying_test, an_answer_on_record_needs_no_log)
{
    accept(10, "http://x/");
    driven_shard owner(store, options);
    own(owner);
    answer(owner, 0, 10);
    clean(owner);
    EXPECT_EQ(store.log.first, 11u) << "though no callback is delivered";
    EXPECT_TRUE(store.records<journal::carried>().empty());
    driven_shard next(store, options);
    next.own("next");
    ASSERT_EQ(next.callbacks.size(), 10u);
    EXPECT_TRUE(next.dispatched.empty());
    for (std::size_t i = 0; i < 10; ++i)
        next.called_back(i, delivered(200));
    EXPECT_EQ(next.engine.count().live, 0u);
    EXPECT_EQ(store.records<journal::settled>().size(), 10u);
}

TEST_F(shard_carrying_test, what_counts_is_copied_and_the_journal_before_it_purged)
{
    options.callback = {9, milliseconds(100'000), milliseconds(100'000)};
    accept(20, "http://x/");
    driven_shard owner(store, options);
    own(owner);
    answer(owner, 0, 20);
    owner.called_back(0, delivered(500));
    for (std::size_t i = 1; i < 19; ++i)
        owner.called_back(i, delivered(200));
    const auto last = store.journal.messages.size();
    clean(owner);
    EXPECT_GT(store.journal.first, last) << "all that was there is dead, or copied";
    EXPECT_LE(store.journal.messages.size() - last, 4u) << "an answer, its attempt, the other answer, a reservation";
    EXPECT_EQ(owner.engine.count().live, 2u);

    driven_shard next(store, options);
    next.now = owner.now;
    next.own("next");
    EXPECT_EQ(next.engine.count().live, 2u);
    ASSERT_EQ(next.callbacks.size(), 1u) << "the other one waits";
    EXPECT_EQ(next.callbacks[0].attempt, 1u);
    next.advance(milliseconds(100'000));
    ASSERT_EQ(next.callbacks.size(), 2u);
    EXPECT_EQ(next.callbacks[1].attempt, 2u);
    EXPECT_EQ(*next.callbacks[1].what, *owner.callbacks[0].what) << "the very same bytes";
}

TEST_F(shard_carrying_test, attempts_to_deliver_a_callback_outlive_their_owner)
{
    options.callback = {3, milliseconds(1'000), milliseconds(9'000)};
    accept(1, "http://x/");
    driven_shard owner(store, options);
    own(owner);
    owner.answer(0, delivered(200));
    owner.called_back(0, delivered(500));
    EXPECT_EQ(store.records<journal::callback_scheduled>(),
              (std::vector<journal::callback_scheduled>{{{1, hash_id("0")}, 1, owner.now.wall, 1'000}}));
    driven_shard next(store, options);
    next.now = owner.now;
    next.own("next");
    next.advance(milliseconds(999));
    EXPECT_TRUE(next.callbacks.empty());
    next.advance(milliseconds(1));
    ASSERT_EQ(next.callbacks.size(), 1u);
    EXPECT_EQ(next.callbacks[0].attempt, 2u);
    next.called_back(0, delivered(500));
    next.advance(milliseconds(2'000));
    next.called_back(1, delivered(500));
    EXPECT_EQ(store.records<journal::settled>().at(0).how, journal::settled::how_kind::callback_dead);
}
