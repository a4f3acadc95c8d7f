#include "core/replay.hpp"

#include <gtest/gtest.h>

using namespace sluice::core;
using word = replay::word;

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
    EXPECT_EQ(read.find({5, 50})->last, word::retry);
    EXPECT_EQ(read.find({5, 50})->recorded_at, 1'000);
    EXPECT_EQ(read.find({5, 50})->delay_ms, 100u);
    EXPECT_EQ(read.find({5, 50})->attempts, 1u);
    ASSERT_TRUE(read.add(11, message(1, {journal::answered{{5, 50}, 2, 200, false, "http://x/", "", "body"}})));
    EXPECT_EQ(read.find({5, 50})->last, word::answered);
    EXPECT_EQ(read.find({5, 50})->journal_sequence, 11u);
    EXPECT_EQ(read.find({5, 50})->attempts, 2u);
    ASSERT_TRUE(read.add(12, message(1, {done(5, 50)})));
    EXPECT_EQ(read.find({5, 50})->last, word::settled);
    EXPECT_EQ(read.find({6, 60})->last, word::settled);
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
    EXPECT_EQ(read.find({5, 51})->last, word::retry);
    EXPECT_FALSE(read.find({5, 50})) << "its message is gone";
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
    ASSERT_TRUE(read.add(5, message(5, {done(8, 80), done(2, 20)})));
    ASSERT_TRUE(read.add(7, message(1, {done(30, 90)})));
    ASSERT_EQ(read.extents().size(), 3u);
    EXPECT_EQ(read.extents()[0].highest_call, 0u);
    EXPECT_EQ(read.extents()[1].highest_call, 8u);
    EXPECT_EQ(read.extents()[2].journal_sequence, 7u);
    EXPECT_EQ(read.extents()[2].highest_call, 30u);
    EXPECT_FALSE(read.extents()[1].is_void);
    EXPECT_TRUE(read.extents()[2].is_void);
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
    read.forget(1);
    EXPECT_FALSE(read.find({1, 10}));
    EXPECT_EQ(read.size(), 1u);
    read.clear();
    EXPECT_EQ(read.size(), 0u);
    EXPECT_EQ(read.epoch(), 1u) << "the next epoch still follows it";
}
