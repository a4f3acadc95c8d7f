#include "core/replay.hpp"

#include "core/invocation.hpp"

#include <gtest/gtest.h>

using namespace sluice::core;
using stage = replay::stage;

namespace {

std::string message(std::uint64_t epoch, std::vector<journal::record> records)
{
    auto bytes = journal::encode_head(epoch, "owner", 1);
    for (const auto& next : records)
        journal::append_record(bytes, next);
    return bytes;
}

journal::settled done(std::uint64_t sequence, std::uint64_t hash) { return {{sequence, hash}, journal::settled::how_kind::done, 1, 200}; }

}

TEST(replay_test, of_each_call_the_last_word_counts)
{
    replay read;
    ASSERT_TRUE(read.add(10, message(1, {journal::retry_scheduled{{5, 50}, 1, 1'000, 100}, done(6, 60)})));
    ASSERT_TRUE(read.find({5, 50}));
    EXPECT_EQ(read.find({5, 50})->reached, stage::queued);
    EXPECT_EQ(read.find({5, 50})->recorded_at, 1'000);
    EXPECT_EQ(read.find({5, 50})->delay_ms, 100u);
    EXPECT_EQ(read.find({5, 50})->attempts, 1u);
    ASSERT_TRUE(read.add(11, message(1, {journal::answered{{5, 50}, 2, 200, false, "http://x/", "", "body", "t", "f.s"}})));
    EXPECT_EQ(read.find({5, 50})->reached, stage::answered);
    EXPECT_EQ(read.find({5, 50})->whole_at, 11u);
    EXPECT_EQ(read.find({5, 50})->attempts, 2u);
    ASSERT_TRUE(read.add(12, message(1, {done(5, 50)})));
    EXPECT_EQ(read.find({5, 50})->reached, stage::settled);
    EXPECT_EQ(read.find({6, 60})->reached, stage::settled);
    EXPECT_FALSE(read.find({7, 70}));
    EXPECT_EQ(read.highest_call(), 6u);
    EXPECT_EQ(read.size(), 2u);
}

TEST(replay_test, another_call_that_had_the_sequence_settles_nothing)
{
    replay read;
    ASSERT_TRUE(read.add(1, message(1, {done(5, 50)})));
    EXPECT_FALSE(read.find({5, 51}));
    ASSERT_TRUE(read.add(2, message(2, {journal::retry_scheduled{{5, 51}, 1, 0, 0}})));
    EXPECT_EQ(read.find({5, 51})->reached, stage::queued);
    EXPECT_EQ(read.find({5, 50})->reached, stage::settled) << "one does not concern the other";
}

TEST(replay_test, a_batch_of_an_epoch_below_the_highest_is_void)
{
    replay read;
    ASSERT_TRUE(read.add(1, message(3, {done(1, 10)})));
    ASSERT_TRUE(read.add(2, message(5, {})));
    ASSERT_TRUE(read.add(3, message(3, {done(9, 90)})));
    ASSERT_TRUE(read.add(4, message(5, {done(2, 20)})));
    EXPECT_EQ(read.epoch(), 5u);
    EXPECT_TRUE(read.find({1, 10})) << "it was the owner's when it was written";
    EXPECT_FALSE(read.find({9, 90}));
    EXPECT_TRUE(read.find({2, 20}));
    EXPECT_EQ(read.highest_call(), 2u);
}

TEST(replay_test, extents_speak_of_every_message_the_void_ones_too)
{
    replay read;
    ASSERT_TRUE(read.add(4, message(5, {})));
    ASSERT_TRUE(read.add(5, message(5, {done(8, 80), journal::retry_scheduled{{9, 90}, 1, 0, 0}, done(2, 20)})));
    ASSERT_TRUE(read.add(7, message(1, {done(30, 90)})));
    ASSERT_EQ(read.extents().size(), 3u);
    EXPECT_EQ(read.extents()[0].highest_settled, 0u);
    EXPECT_EQ(read.extents()[0].bytes, message(5, {}).size());
    EXPECT_EQ(read.extents()[1].highest_settled, 8u);
    EXPECT_EQ(read.extents()[2].journal_sequence, 7u);
    EXPECT_EQ(read.extents()[2].highest_settled, 30u);
    EXPECT_FALSE(read.extents()[1].is_void);
    EXPECT_TRUE(read.extents()[2].is_void);
}

namespace {

const sluice::headers call_fields{{"Nats-Msg-Id", "id"}, {"Sluice-Call", "1 t f.s 1000"}};

journal::carried whole(std::uint64_t sequence) { return {{sequence, hash_id("id")}, call_fields, "POST / HTTP/1.1\r\n\r\nbody"}; }

}

TEST(replay_test, a_call_that_was_carried_is_alive_without_the_log)
{
    replay read;
    const journal::call_ref call{5, hash_id("id")};
    ASSERT_TRUE(read.add(1, message(1, {journal::retry_scheduled{call, 2, 100, 50}})));
    ASSERT_TRUE(read.held().empty()) << "it is in the log";
    ASSERT_TRUE(read.add(2, message(1, {whole(5)})));
    ASSERT_EQ(read.held().size(), 1u);
    const auto [ref, held] = read.held()[0];
    EXPECT_EQ(ref, call);
    EXPECT_EQ(held.whole_at, 2u);
    EXPECT_EQ(held.schedule_at, 1u) << "what was known before still holds";
    EXPECT_EQ(held.attempts, 2u);
    EXPECT_EQ(read.owner_of(held).tenant, "t");
    EXPECT_EQ(read.owner_of(held).function.full(), "f.s");
    ASSERT_TRUE(read.add(3, message(1, {done(5, hash_id("id"))})));
    EXPECT_TRUE(read.held().empty());
    ASSERT_TRUE(read.add(4, message(1, {whole(5)})));
    EXPECT_TRUE(read.held().empty()) << "a stage never goes back";
}

TEST(replay_test, what_was_copied_means_the_same_in_any_order)
{
    const journal::call_ref call{5, 50};
    const journal::answered answer{call, 2, 200, false, "http://x/", "", "body", "t", "f.s"};
    const journal::callback_scheduled attempt{call, 3, 1'000, 100};
    for (const bool answer_first : {true, false}) {
        replay read;
        ASSERT_TRUE(read.add(7, answer_first ? message(1, {answer}) : message(1, {attempt})));
        ASSERT_TRUE(read.add(8, answer_first ? message(1, {attempt}) : message(1, {answer})));
        const auto* found = read.find(call);
        EXPECT_EQ(found->reached, stage::answered);
        EXPECT_EQ(found->callback_attempts, 3u);
        EXPECT_EQ(found->delay_ms, 100u);
        EXPECT_EQ(found->attempts, 2u);
        EXPECT_EQ(found->whole_at, answer_first ? 7u : 8u);
    }
    replay read;
    ASSERT_TRUE(read.add(7, message(1, {journal::retry_scheduled{call, 1, 1'000, 100}, answer})));
    EXPECT_EQ(read.find(call)->schedule_at, 0u) << "the callback is due now: the schedule was of a retry";
}

TEST(replay_test, the_last_reservation_counts_and_a_handing_over_ends_all)
{
    replay read;
    ASSERT_TRUE(read.add(1, message(1, {journal::reserved{"a", 4}, journal::reserved{"b", 2}, journal::reserved{"a", 8}})));
    EXPECT_EQ(read.reservations().at("a").slots, 8u);
    EXPECT_EQ(read.reservations().at("b").at, 1u);
    ASSERT_TRUE(read.add(2, message(1, {journal::handed_over{}})));
    EXPECT_TRUE(read.reservations().empty());
    ASSERT_TRUE(read.add(3, message(2, {journal::reserved{"b", 1}})));
    EXPECT_EQ(read.reservations().size(), 1u);
}

TEST(replay_test, an_answer_of_no_function_or_a_carried_call_that_is_none_stops_it)
{
    replay read;
    EXPECT_FALSE(read.add(1, message(1, {journal::answered{{5, 50}, 2, 200, false, "http://x/", "", "body", "t", ""}})));
    EXPECT_FALSE(read.add(2, message(1, {journal::carried{{5, 50}, {}, "noise"}})));
}

TEST(replay_test, what_cannot_be_read_stops_it)
{
    replay read;
    EXPECT_FALSE(read.add(1, "noise"));
    auto newer = message(1, {});
    newer[3] = static_cast<char>(journal::format_version + 1);
    const auto refused = read.add(2, newer);
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().newer_version);
    EXPECT_EQ(read.size(), 0u);
    EXPECT_EQ(read.epoch(), 0u);
}

TEST(replay_test, forgets_what_was_read_in_the_log)
{
    replay read;
    ASSERT_TRUE(read.add(1, message(1, {done(1, 10), done(2, 20)})));
    read.forget({1, 10});
    EXPECT_FALSE(read.find({1, 10}));
    EXPECT_EQ(read.size(), 1u);
    read.clear();
    EXPECT_EQ(read.size(), 0u);
    EXPECT_EQ(read.epoch(), 1u) << "the next epoch still follows it";
}
