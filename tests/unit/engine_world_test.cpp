#include "tests/support/engine_world.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

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

namespace {

void on_every_core(const std::function<void()>& work)
{
    std::vector<std::thread> threads;
    for (auto left = std::max(1u, std::thread::hardware_concurrency()); left > 0; --left)
        threads.emplace_back(work);
    for (auto& each : threads)
        each.join();
}

constexpr std::uint64_t full_run = 100'000; // histories, from which on each fault must have been hit
constexpr std::uint64_t broken_run = 2'000; // histories, within which a broken engine must be noticed
constexpr std::uint64_t hits_min = 1'000;   // that often
constexpr std::uint64_t events_min = 200;   // of each history, before all goes well

struct run_of_histories {
    std::mutex lock; // of what follows
    fault_counts faults;
    std::uint64_t events = 0, fewest_events = ~0ull;
    std::optional<std::pair<std::uint64_t, std::string>> failed; // the lowest seed
    std::atomic<std::uint64_t> next;
    std::uint64_t end;
};

void run_some(run_of_histories& all)
{
    fault_counts faults;
    std::uint64_t events = 0, fewest = ~0ull;
    for (auto seed = all.next++; seed < all.end; seed = all.next++) {
        engine_world world(seed);
        auto failure = world.run();
        if (!failure && world.events_in_bad_times() < events_min)
            failure = "its history has too few events: " + std::to_string(world.events_in_bad_times());
        faults += world.faults();
        events += world.events_in_bad_times();
        fewest = std::min(fewest, world.events_in_bad_times());
        if (!failure)
            continue;
        all.next = all.end;
        std::lock_guard locked(all.lock);
        if (!all.failed || all.failed->first > seed)
            all.failed = {seed, *failure};
    }
    std::lock_guard locked(all.lock);
    all.faults += faults;
    all.events += events;
    all.fewest_events = std::min(all.fewest_events, fewest);
}

void print_faults(const run_of_histories& all, std::uint64_t seeds)
{
    std::cout << seeds << " histories, " << all.events << " events in bad times, " << all.fewest_events << " in the shortest; of these\n";
    for (std::size_t kind = 0; kind < fault_counts::kinds; ++kind)
        std::cout << std::setw(12) << all.faults.counts[kind] << "  " << name_of(static_cast<fault>(kind)) << '\n';
}

}

// SLUICE_SIM_SEEDS and SLUICE_SIM_FIRST_SEED choose more, or one that failed.
TEST(engine_world_test, every_promise_holds_in_random_histories)
{
    const auto first = from_environment("SLUICE_SIM_FIRST_SEED", 1);
    const auto seeds = from_environment("SLUICE_SIM_SEEDS", 300);
    run_of_histories all;
    all.next = first;
    all.end = first + seeds;
    on_every_core([&all] { run_some(all); });
    if (all.failed)
        print_history(all.failed->first, mutation::none);
    ASSERT_FALSE(all.failed) << "seed " << all.failed->first << ": " << all.failed->second;
    print_faults(all, seeds);
    if (seeds < full_run)
        return;
    for (std::size_t kind = 0; kind < fault_counts::kinds; ++kind)
        EXPECT_GE(all.faults.counts[kind], hits_min) << name_of(static_cast<fault>(kind));
}

TEST(engine_world_test, the_same_seed_is_the_same_history)
{
    engine_world one(7, mutation::none, true), other(7, mutation::none, true);
    EXPECT_EQ(one.run(), other.run());
    EXPECT_GT(one.notes().size(), 100u);
    EXPECT_EQ(one.notes(), other.notes());
}

TEST(engine_world_test, its_documentation_names_every_fault_and_every_broken_engine)
{
    std::ifstream file(SLUICE_SOURCE_DIR "/docs/simulator.md");
    const std::string text(std::istreambuf_iterator<char>(file), {});
    for (std::size_t kind = 0; kind < fault_counts::kinds; ++kind)
        EXPECT_NE(text.find("\n* " + std::string(name_of(static_cast<fault>(kind))) + "\n"), std::string::npos)
            << name_of(static_cast<fault>(kind));
    for (const auto& each : broken_engines())
        EXPECT_NE(text.find("\n| `" + std::string(each.name) + "` | " + std::string(each.what) + " | " + std::string(each.noticed) + " |"),
                  std::string::npos)
            << each.name;
}

struct search_of_a_fault {
    std::atomic<std::uint64_t> next = 1;
    std::mutex lock;                                              // of what follows
    std::optional<std::pair<std::uint64_t, std::string>> noticed; // the lowest seed
    std::map<std::string, int> others;
};

void search_some(search_of_a_fault& all, const broken_engine& engine)
{
    for (auto seed = all.next++; seed <= broken_run; seed = all.next++) {
        const auto failure = engine_world(seed, engine.how).run();
        if (!failure)
            continue;
        std::lock_guard locked(all.lock);
        if (failure->find(engine.noticed) == std::string::npos) {
            ++all.others[*failure];
            continue;
        }
        all.next = broken_run + 1;
        if (!all.noticed || all.noticed->first > seed)
            all.noticed = {seed, *failure};
    }
}

struct broken_world : testing::TestWithParam<broken_engine> {};

// A simulator that notices nothing proves nothing.
TEST_P(broken_world, is_noticed)
{
    const auto& engine = GetParam();
    search_of_a_fault all;
    on_every_core([&] { search_some(all, engine); });
    if (all.noticed) {
        std::cout << "after " << all.noticed->first << " histories: " << all.noticed->second << '\n';
        return;
    }
    for (const auto& [failure, times] : all.others)
        std::cout << times << " times: " << failure << '\n';
    FAIL() << "not in " << broken_run << " histories: " << engine.noticed;
}

INSTANTIATE_TEST_SUITE_P(engine_world_test, broken_world, testing::ValuesIn(broken_engines()),
                         [](const auto& test) { return std::string(test.param.name); });
