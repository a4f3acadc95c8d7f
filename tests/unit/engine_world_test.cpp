#include "tests/support/engine_world.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

using namespace sluice::testing_support;

namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise)
{
    const char* value = std::getenv(name);
    return value ? std::strtoull(value, nullptr, 10) : otherwise;
}

// The history that failed, once more, with its last events.
void print_history(std::uint64_t seed, mutation how)
{
    engine_world again(seed, how, true);
    again.run();
    const auto& notes = again.notes();
    const auto lines = from_environment("SLUICE_SIM_TRACE_LINES", 60);
    for (auto at = notes.size() - std::min<std::size_t>(notes.size(), lines); at < notes.size(); ++at)
        std::cerr << notes[at] << '\n';
}

}

// SLUICE_SIM_SEEDS and SLUICE_SIM_FIRST_SEED choose more, or one that failed.
TEST(engine_world_test, every_promise_holds_in_random_histories)
{
    const auto first = from_environment("SLUICE_SIM_FIRST_SEED", 1);
    const auto seeds = from_environment("SLUICE_SIM_SEEDS", 300);
    for (auto seed = first; seed < first + seeds; ++seed) {
        const auto failure = engine_world(seed).run();
        if (failure)
            print_history(seed, mutation::none);
        ASSERT_FALSE(failure) << "seed " << seed << ": " << *failure;
    }
}

TEST(engine_world_test, the_same_seed_is_the_same_history)
{
    engine_world one(7, mutation::none, true), other(7, mutation::none, true);
    EXPECT_EQ(one.run(), other.run());
    EXPECT_GT(one.notes().size(), 100u);
    EXPECT_EQ(one.notes(), other.notes());
}

struct broken_world : testing::TestWithParam<std::pair<const char*, mutation>> {};

// A simulator that notices nothing proves nothing.
TEST_P(broken_world, is_noticed)
{
    std::uint64_t seed = 1;
    std::optional<std::string> failure;
    while (seed <= 200 && !(failure = engine_world(seed, GetParam().second).run()))
        ++seed;
    ASSERT_TRUE(failure) << "not in 200 histories";
    std::cout << "after " << seed << " histories: " << *failure << '\n';
}

INSTANTIATE_TEST_SUITE_P(
    engine_world_test, broken_world,
    testing::Values(std::pair{"callback_before_record", mutation::callback_before_record}, std::pair{"no_fencing", mutation::no_fencing},
                    std::pair{"ack_without_storing", mutation::ack_without_storing}, std::pair{"replay_skips", mutation::replay_skips},
                    std::pair{"hash_ignored", mutation::hash_ignored}, std::pair{"log_skips", mutation::log_skips},
                    std::pair{"log_purged_too_far", mutation::log_purged_too_far},
                    std::pair{"journal_purged_too_far", mutation::journal_purged_too_far},
                    std::pair{"replica_overbooked", mutation::replica_overbooked},
                    std::pair{"tenant_overbooked", mutation::tenant_overbooked}, std::pair{"answer_forgotten", mutation::answer_forgotten}),
    [](const auto& test) { return std::string(test.param.first); });
