#include "core/watermark.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

using namespace sluice::core;

namespace {

// The same by brute force: what was read and not settled.
struct model {
    std::uint64_t read_to; // one beyond the last that was read
    std::map<std::uint64_t, std::uint32_t> live;
    std::uint64_t value() const { return live.empty() ? read_to : live.begin()->first; }
    std::uint64_t bytes() const
    {
        std::uint64_t sum = 0;
        for (const auto& [sequence, size] : live)
            sum += size;
        return sum;
    }
};

}

TEST(watermark_test, agrees_with_a_set_in_random_histories)
{
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        std::mt19937_64 random(seed);
        const std::uint64_t begin = seed % 2 ? 1 : 1'000'000;
        watermark mark(begin);
        model truth{begin, {}};
        std::uint64_t purged = begin;
        for (int step = 0; step < 600; ++step) {
            if (random() % 5 < 2) {
                const auto sequence = truth.read_to + (random() % 6 == 0 ? random() % 20 : 0); // some were jumped over
                const auto bytes = static_cast<std::uint32_t>(random() % 500);
                mark.read(sequence, bytes);
                truth.live[sequence] = bytes;
                truth.read_to = sequence + 1;
            } else if (!truth.live.empty()) {
                const auto at = std::next(truth.live.begin(), static_cast<std::ptrdiff_t>(random() % truth.live.size()));
                mark.settled(at->first);
                truth.live.erase(at);
            }
            ASSERT_EQ(mark.value(), truth.value());
            ASSERT_EQ(mark.live_bytes(), truth.bytes());
            if (const auto target = mark.purge_target(7, 100, 0); target != 0) {
                ASSERT_GT(target, purged);
                ASSERT_LE(target, purged + 7);
                ASSERT_LE(target, truth.value());
                ASSERT_GT(mark.dead_bytes(), mark.live_bytes());
                const auto before = mark.dead_bytes();
                mark.purged(target);
                ASSERT_LE(mark.dead_bytes(), before);
                purged = target;
            }
            const auto first = mark.stragglers(3, 1'000'000);
            ASSERT_EQ(first.size(), std::min<std::size_t>(3, truth.live.size()));
            ASSERT_TRUE(std::equal(first.begin(), first.end(), truth.live.begin(),
                                   [](std::uint64_t sequence, const auto& live) { return sequence == live.first; }));
            ASSERT_LE(mark.stuck_bytes(), mark.dead_bytes());
        }
    }
}

TEST(watermark_test, a_purge_is_worth_it_only_when_dead_bytes_outweigh_the_live_ones)
{
    watermark mark(1);
    for (std::uint64_t s = 1; s <= 10; ++s)
        mark.read(s, 100);
    for (std::uint64_t s = 1; s <= 5; ++s)
        mark.settled(s);
    EXPECT_EQ(mark.value(), 6u);
    EXPECT_EQ(mark.purge_target(1'000, 100, 0), 0u) << "as many dead as live";
    mark.settled(6);
    EXPECT_EQ(mark.purge_target(1'000, 601, 0), 0u) << "too few to be worth it";
    EXPECT_EQ(mark.purge_target(1'000, 600, 0), 7u);
    EXPECT_EQ(mark.purge_target(2, 600, 0), 3u) << "in steps";
}

TEST(watermark_test, everything_settled_and_purged_leaves_nothing_to_do)
{
    watermark mark(5);
    mark.read(5, 10);
    mark.read(6, 10);
    mark.settled(6);
    EXPECT_EQ(mark.value(), 5u);
    mark.settled(5);
    EXPECT_EQ(mark.purge_target(100, 1, 0), 7u);
    mark.purged(7);
    EXPECT_EQ(mark.dead_bytes(), 0u);
    EXPECT_EQ(mark.purge_target(100, 0, 0), 0u);
    mark.purged(7); // told twice
    mark.purged(100);
    EXPECT_EQ(mark.value(), 7u);
}

TEST(watermark_test, what_is_settled_behind_a_straggler_is_stuck)
{
    watermark mark(1);
    for (std::uint64_t s = 1; s <= 5; ++s)
        mark.read(s, 100);
    mark.settled(1);
    mark.settled(3);
    mark.settled(3); // told twice
    mark.settled(9); // never read
    EXPECT_EQ(mark.stuck_bytes(), 100u) << "the third, behind the second";
    EXPECT_EQ(mark.dead_bytes(), 200u);
    EXPECT_EQ(mark.stragglers(2, 1'000), (std::vector<std::uint64_t>{2, 4}));
    EXPECT_EQ(mark.stragglers(5, 150), (std::vector<std::uint64_t>{2})) << "a bound in bytes";
    EXPECT_EQ(mark.stragglers(5, 0), (std::vector<std::uint64_t>{2})) << "but always one";
    EXPECT_EQ(mark.purge_target(10, 1'000, 0), 0u);
    EXPECT_EQ(mark.purge_target(10, 1'000, 2), 2u) << "somebody wants it";
    mark.settled(2);
    EXPECT_EQ(mark.stuck_bytes(), 0u);
    EXPECT_EQ(mark.value(), 4u);
}
