#include "core/permits.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

using namespace sluice;
using namespace sluice::core;

namespace {

endpoint replica(const std::string& name, std::uint32_t max = 2, bool ready = true)
{
    return {name, "127.0.0.1", 8080, max, "token", ready};
}

const mono_time start{std::chrono::hours(1)};

}

TEST(permits_test, gives_no_more_than_the_replicas_have)
{
    permits slots(50);
    EXPECT_FALSE(slots.take(start));
    EXPECT_FALSE(slots.any_ready());
    slots.update({replica("a", 2), replica("b", 1)});
    EXPECT_TRUE(slots.any_ready());
    std::multiset<std::string> given;
    while (auto permit = slots.take(start))
        given.insert(permit->target->replica);
    EXPECT_EQ(given, (std::multiset<std::string>{"a", "a", "b"}));
    EXPECT_EQ(slots.in_flight(), 3u);
    EXPECT_FALSE(slots.next_chance(start)) << "full is nothing that time cures";
}

TEST(permits_test, uses_the_default_where_none_is_declared)
{
    permits slots(3);
    slots.update({replica("a", 0)});
    int given = 0;
    while (slots.take(start))
        ++given;
    EXPECT_EQ(given, 3);
}

TEST(permits_test, a_replica_that_is_not_ready_gets_nothing)
{
    permits slots(50);
    slots.update({replica("a", 2, false)});
    EXPECT_FALSE(slots.take(start));
    EXPECT_FALSE(slots.any_ready());
    slots.update({replica("a", 2, true)});
    EXPECT_TRUE(slots.take(start));
}

TEST(permits_test, the_least_busy_first_and_turns_among_equals)
{
    permits slots(50);
    slots.update({replica("a", 5), replica("b", 5), replica("c", 5)});
    std::vector<std::string> order;
    for (int i = 0; i < 6; ++i)
        order.push_back(slots.take(start)->target->replica);
    EXPECT_EQ(order, (std::vector<std::string>{"a", "b", "c", "a", "b", "c"}));
    slots.give_back(2);
    EXPECT_EQ(slots.take(start)->target->replica, "b");
}

TEST(permits_test, keeps_the_slots_of_a_replica_that_stays_and_forgets_those_of_one_that_went)
{
    permits slots(50);
    slots.update({replica("a", 1), replica("b", 1)});
    const auto first = slots.take(start), second = slots.take(start);
    ASSERT_TRUE(first && second);
    slots.update({replica("b", 1), replica("c", 1)});
    EXPECT_EQ(slots.in_flight(), 1u);
    EXPECT_EQ(slots.take(start)->target->replica, "c");
    EXPECT_FALSE(slots.take(start));
    slots.give_back(first->replica); // of the one that went: nobody's slot
    EXPECT_EQ(slots.in_flight(), 2u);
    slots.give_back(second->replica);
    EXPECT_EQ(slots.take(start)->target->replica, "b");
}

TEST(permits_test, a_replica_rests_until_its_time)
{
    permits slots(50);
    slots.update({replica("a", 1), replica("b", 1)});
    const auto first = slots.take(start), second = slots.take(start);
    slots.give_back(first->replica);
    slots.give_back(second->replica);
    slots.rest(first->replica, start + milliseconds(20));
    slots.rest(second->replica, start + milliseconds(100));
    slots.rest(second->replica, start + milliseconds(50)); // never shortened
    EXPECT_FALSE(slots.take(start));
    EXPECT_EQ(slots.next_chance(start), start + milliseconds(20));
    EXPECT_EQ(slots.take(start + milliseconds(20))->replica, first->replica);
    EXPECT_FALSE(slots.take(start + milliseconds(99)));
    EXPECT_EQ(slots.next_chance(start + milliseconds(99)), start + milliseconds(100)) << "the full one is no chance";
    EXPECT_TRUE(slots.take(start + milliseconds(100)));
}

TEST(permits_test, never_exceeds_a_replicas_slots_in_random_histories)
{
    std::mt19937_64 random(11);
    permits slots(2);
    std::map<std::string, std::uint32_t> busy, max;
    std::vector<std::pair<std::uint64_t, std::string>> out;
    for (int step = 0; step < 5'000; ++step) {
        const auto dice = random() % 10;
        if (dice < 5) {
            if (auto permit = slots.take(start)) {
                const auto& name = permit->target->replica;
                ASSERT_TRUE(max.contains(name));
                ASSERT_LE(++busy[name], max[name]);
                out.emplace_back(permit->replica, name);
            } else {
                for (const auto& [name, most] : max)
                    ASSERT_EQ(busy[name], most);
            }
        } else if (dice < 9 && !out.empty()) {
            const auto at = out.begin() + static_cast<std::ptrdiff_t>(random() % out.size());
            slots.give_back(at->first);
            if (busy.contains(at->second) && busy[at->second] > 0)
                --busy[at->second];
            out.erase(at);
        } else if (dice == 9) {
            // Replicas come and go; a name is never used again.
            std::vector<endpoint> next;
            std::map<std::string, std::uint32_t> kept;
            for (const auto& [name, most] : max)
                if (random() % 3 != 0)
                    kept[name] = most;
            if (kept.size() < 3)
                kept["replica-" + std::to_string(step)] = 1 + static_cast<std::uint32_t>(random() % 3);
            for (const auto& [name, most] : kept)
                next.push_back(replica(name, most));
            std::erase_if(busy, [&](const auto& entry) { return !kept.contains(entry.first); });
            std::erase_if(out, [&](const auto& entry) { return !kept.contains(entry.second) && random() % 2 == 0; });
            max = std::move(kept);
            slots.update(next);
        }
        std::uint32_t sum = 0;
        for (const auto& [name, count] : busy)
            sum += count;
        ASSERT_EQ(slots.in_flight(), sum);
    }
}
