#include "tests/support/driven_shard.hpp"

using namespace sluice;
using namespace sluice::core;
using namespace sluice::testing_support;

namespace {

struct shard_cleaning_test : testing::Test {
    stored_partition store;
    shard_options options;

    shard_cleaning_test()
    {
        options.partitions = {{.batch_bytes_max = 1}, 1'000, 1, milliseconds(1'000)};
        options.partitions.record_bytes_max = 0; // nothing is carried
        options.tenant_concurrency = 1'000;
        for (int i = 0; i < 10; ++i)
            store.accept({.id = std::to_string(i), .body = std::string(100, 'b')});
    }
    void own(driven_shard& owner)
    {
        owner.own();
        owner.replicas("f.s", {owner.replica(100)});
    }
    // Finishes purges until no more are asked for.
    static void clean(driven_shard& owner)
    {
        for (; !owner.log_purges.empty(); owner.advance(milliseconds(1'000))) {
            owner.finish_purge(0, true);
            owner.log_purges.erase(owner.log_purges.begin());
        }
    }
    void answer(driven_shard& owner, std::vector<std::size_t> which)
    {
        for (auto each : which)
            owner.answer(each, delivered(200));
    }
};

}

TEST_F(shard_cleaning_test, the_log_is_purged_below_what_is_settled_and_no_further)
{
    driven_shard owner(store, options);
    own(owner);
    answer(owner, {0, 1, 2, 3, 5, 6, 7, 8, 9});
    ASSERT_FALSE(owner.log_purges.empty());
    owner.finish_purge(0, true);
    owner.advance(milliseconds(10'000));
    for (const auto& purge : owner.log_purges)
        EXPECT_LE(purge.below, 5u) << "the fifth still runs";
    EXPECT_EQ(store.log.first, owner.log_purges[0].below);
}

TEST_F(shard_cleaning_test, a_purge_waits_for_its_interval_and_for_the_one_before_it)
{
    driven_shard owner(store, options);
    own(owner);
    answer(owner, {0, 1, 2, 3, 4, 5});
    ASSERT_EQ(owner.log_purges.size(), 1u);
    answer(owner, {6, 7, 8});
    owner.advance(milliseconds(5'000));
    EXPECT_EQ(owner.log_purges.size(), 1u) << "the first is not over";
    owner.finish_purge(0, true);
    ASSERT_EQ(owner.log_purges.size(), 2u);
    owner.finish_purge(1, true);
    answer(owner, {9});
    EXPECT_EQ(owner.log_purges.size(), 2u);
    owner.advance(milliseconds(1'000));
    ASSERT_EQ(owner.log_purges.size(), 3u) << "without any other event";
    EXPECT_EQ(owner.log_purges[2].below, 11u);
}

TEST_F(shard_cleaning_test, a_purge_that_failed_removes_nothing_from_the_journal_and_is_tried_again)
{
    driven_shard owner(store, options);
    own(owner);
    answer(owner, {0, 1, 2, 3, 4, 5});
    ASSERT_EQ(owner.log_purges.size(), 1u);
    owner.finish_purge(0, false);
    EXPECT_TRUE(owner.journal_purges.empty());
    owner.advance(milliseconds(1'000));
    ASSERT_EQ(owner.log_purges.size(), 2u);
    owner.finish_purge(1, true);
    EXPECT_FALSE(owner.journal_purges.empty());
}

TEST_F(shard_cleaning_test, a_log_that_lost_its_tail_and_filled_again_unseen_is_not_purged)
{
    driven_shard owner(store, options);
    own(owner);
    answer(owner, {0});
    store.log.messages.resize(5);
    for (int i = 0; i < 7; ++i)
        store.accept({.id = "another " + std::to_string(i)});
    owner.log_position = store.log.messages.size() + 1; // its reader has not come back yet
    answer(owner, {1, 2, 3, 4, 5, 6, 7, 8, 9});
    EXPECT_TRUE(owner.log_purges.empty()) << "five of those sequences are other calls now";
    ASSERT_EQ(owner.closed.size(), 1u);
    EXPECT_FALSE(owner.closed[0].final);
    EXPECT_EQ(owner.closed[0].reason, "log sequence 10 is not what was read: the log has lost its tail");
}

TEST_F(shard_cleaning_test, a_log_that_cannot_be_looked_at_is_purged_later)
{
    driven_shard owner(store, options);
    own(owner);
    const auto kept = store.log.messages;
    store.log.messages.resize(9); // the last one is not there
    owner.log_unavailable = true;
    answer(owner, {0, 1, 2, 3, 4, 5});
    EXPECT_TRUE(owner.log_purges.empty());
    EXPECT_TRUE(owner.closed.empty());
    store.log.messages = kept;
    owner.advance(milliseconds(1'000));
    EXPECT_EQ(owner.log_purges.size(), 1u);
}

TEST_F(shard_cleaning_test, a_log_that_ends_before_what_was_read_is_taken_over_anew)
{
    driven_shard owner(store, options);
    own(owner);
    store.log.messages.resize(9);
    answer(owner, {0, 1, 2, 3, 4, 5});
    EXPECT_TRUE(owner.log_purges.empty());
    ASSERT_EQ(owner.closed.size(), 1u);
    EXPECT_FALSE(owner.closed[0].final);
    EXPECT_EQ(owner.closed[0].reason, "the log ends at sequence 9, before what was read: it has lost its tail");
}

TEST_F(shard_cleaning_test, a_purge_of_the_whole_log_whose_answer_was_lost_is_found_done)
{
    driven_shard owner(store, options);
    own(owner);
    answer(owner, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
    clean(owner);
    store.accept({.id = "one more", .body = std::string(100, 'b')});
    store.accept({.id = "last", .body = std::string(100, 'b')});
    owner.step();
    answer(owner, {11, 10});
    owner.advance(milliseconds(1'000));
    ASSERT_EQ(owner.log_purges.size(), 1u);
    ASSERT_EQ(owner.log_purges[0].below, 13u);
    EXPECT_LT(store.journal.first, store.journal.messages.size()) << "it says that the last call is settled";
    store.log.first = 13;
    owner.finish_purge(0, false);
    owner.advance(milliseconds(1'000));
    EXPECT_EQ(owner.log_purges.size(), 1u);
    EXPECT_TRUE(owner.closed.empty());
    EXPECT_EQ(store.journal.first, store.journal.messages.size()) << "what it says of the log is needed no more";
}

TEST_F(shard_cleaning_test, the_journal_keeps_what_speaks_of_calls_in_the_log_and_its_last_message)
{
    driven_shard owner(store, options);
    own(owner);
    answer(owner, {0, 1, 9, 2, 3, 4, 5, 6, 7});
    clean(owner);
    EXPECT_EQ(store.log.first, 9u);
    // That call 10 is settled is still said, because it is still in the log.
    std::uint64_t of_ten = 0;
    for (const auto& message : store.journal.messages) {
        const auto batch = journal::decode(message.payload);
        for (const auto& each : batch->records)
            if (const auto* settled = std::get_if<journal::settled>(&each); settled && settled->call.sequence == 10)
                of_ten = message.sequence;
    }
    EXPECT_LE(store.journal.first, of_ten);
    EXPECT_GT(store.journal.first, 1u);
    answer(owner, {8});
    clean(owner);
    EXPECT_EQ(store.log.first, 11u);
    EXPECT_GT(store.journal.first, of_ten);
    EXPECT_LE(store.journal.first, store.journal.messages.size()) << "one is left, for its epoch";

    driven_shard next(store, options);
    next.own("next");
    EXPECT_EQ(next.engine.count().live, 0u);
    EXPECT_EQ(next.log_position, 11u);
    EXPECT_EQ(journal::decode(store.journal.messages.back().payload)->epoch, 2u);
    store.accept({.id = "later"});
    next.step();
    EXPECT_EQ(next.engine.count().live, 1u);
}

TEST_F(shard_cleaning_test, the_next_owner_cleans_what_the_last_one_left)
{
    driven_shard first(store, options);
    own(first);
    answer(first, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
    const auto purges = first.log_purges.size();
    EXPECT_EQ(store.log.first, 1u);
    driven_shard next(store, options);
    own(next);
    clean(next);
    EXPECT_EQ(store.log.first, 11u);
    EXPECT_EQ(store.journal.first, store.journal.messages.size());
    EXPECT_EQ(first.log_purges.size(), purges);
}

TEST_F(shard_cleaning_test, a_step_is_bounded)
{
    options.partitions.purge_step_max = 3;
    driven_shard owner(store, options);
    own(owner);
    answer(owner, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
    std::uint64_t before = 1;
    for (std::size_t i = 0; i < owner.log_purges.size(); ++i) {
        EXPECT_LE(owner.log_purges[i].below, before + 3);
        before = owner.log_purges[i].below;
        owner.finish_purge(i, true);
        owner.advance(milliseconds(1'000));
    }
    EXPECT_EQ(before, 11u);
}

TEST_F(shard_cleaning_test, a_void_record_stays_void_when_the_journal_before_it_is_purged)
{
    // A former owner's pipelined append fits exactly behind the next one's first record.
    const auto append = [this](std::uint64_t epoch, std::uint64_t number, std::vector<journal::record> records) {
        auto payload = journal::encode_head(epoch, "owner " + std::to_string(epoch), number);
        for (const auto& next : records)
            journal::append_record(payload, next);
        store.journal.append({0, {}, payload});
    };
    append(1, 0, {});
    append(2, 0, {});
    append(1, 7, {journal::settled{{9, hash_id("8")}, journal::settled::how_kind::done, 1, 200}});
    driven_shard owner(store, options);
    own(owner);
    ASSERT_EQ(owner.dispatched.size(), 10u);
    answer(owner, {0, 1, 2, 3, 4, 5, 6, 7});
    clean(owner);
    EXPECT_GT(store.log.first, 1u);
    EXPECT_GE(store.journal.first, 2u);
    driven_shard next(store, options);
    next.own("next");
    EXPECT_EQ(next.engine.count().live, 2u);
}

// A journal with a bound: it must not come to rest full, whatever else would make cleaning worth it.
struct bounded_journal_test : shard_cleaning_test {
    bounded_journal_test()
    {
        options.partitions.purge_bytes_min = 8 * 1024 * 1024;
        options.partitions.record_bytes_max = 1'000'000;
        store.journal.bytes_max = 16'000;
    }
    // Carries out what the store is asked for and lets time pass, until nothing is running or due.
    void work(driven_shard& owner, std::size_t calls)
    {
        std::size_t answered = 0;
        for (int turn = 0; turn < 500 && owner.settled.size() < calls; ++turn) {
            for (; answered < owner.dispatched.size(); ++answered)
                owner.answer(answered, delivered(200));
            clean(owner);
            owner.advance(milliseconds(1'000));
        }
    }
};

TEST_F(bounded_journal_test, is_cleaned_before_it_is_full_though_little_is_freed)
{
    for (int i = 10; i < 200; ++i)
        store.accept({.id = std::to_string(i), .body = std::string(100, 'b')});
    options.tenant_concurrency = 5;
    driven_shard owner(store, options);
    own(owner);
    work(owner, 200);
    EXPECT_EQ(owner.settled.size(), 200u);
    EXPECT_GT(store.journal.first, 1u);
    ASSERT_FALSE(owner.warnings.empty());
    EXPECT_NE(owner.warnings[0].message.find("no calls are started"), std::string::npos) << owner.warnings[0].message;
}

TEST_F(bounded_journal_test, starts_no_calls_while_what_waits_to_be_called_back_takes_most_of_it)
{
    for (int i = 10; i < 60; ++i)
        store.accept({.id = std::to_string(i), .callback = "http://receiver/", .body = "b"});
    options.tenant_concurrency = 1;
    options.tenant_callbacks = options.callbacks_max = 100;
    driven_shard owner(store, options);
    own(owner);
    std::size_t answered = 0;
    for (int turn = 0; turn < 300; ++turn) {
        for (; answered < owner.dispatched.size(); ++answered)
            owner.answer(answered, delivered(200, std::string(600, 'a')));
        clean(owner);
        owner.advance(milliseconds(1'000));
    }
    const auto started = owner.dispatched.size();
    EXPECT_LT(started, 60u);
    EXPECT_LE(store.journal.bytes(), store.journal.bytes_max * 9 / 10) << "there is room to record what comes of the callbacks";
    std::size_t called_back = 0;
    for (int turn = 0; turn < 300 && owner.settled.size() < 60; ++turn) {
        for (; called_back < owner.callbacks.size(); ++called_back)
            owner.called_back(called_back, delivered(200));
        for (; answered < owner.dispatched.size(); ++answered)
            owner.answer(answered, delivered(200, std::string(600, 'a')));
        clean(owner);
        owner.advance(milliseconds(1'000));
    }
    EXPECT_GT(owner.dispatched.size(), started);
    EXPECT_EQ(owner.settled.size(), 60u);
}

// One that was full when it was taken over, say of an earlier release: what is settled makes room.
TEST_F(bounded_journal_test, that_is_full_is_emptied_of_what_no_longer_counts)
{
    store.journal.bytes_max = 0;
    driven_shard first(store, options);
    own(first);
    for (std::size_t i = 0; i < 9; ++i)
        first.answer(i, delivered(200));
    store.journal.bytes_max = store.journal.bytes() + 300; // the next owner's first record, and no more
    driven_shard next(store, options);
    next.own("next");
    next.replicas("f.s", {next.replica(100)});
    work(next, 1);
    EXPECT_EQ(next.settled.size(), 1u);
}
