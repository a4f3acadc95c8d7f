#include "core/fair_queue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <queue>
#include <random>
#include <vector>

using namespace sluice::core;

namespace {

using work = fair_queue::work;
using std::chrono::milliseconds;

fair_queue::options at_most(std::uint32_t concurrency) { return {.concurrency = concurrency}; }

}

TEST(fair_queue_test, takes_turns_over_tenants_and_then_over_their_functions)
{
    fair_queue queue(at_most(10));
    const auto noisy = queue.tenant("noisy"), quiet = queue.tenant("quiet");
    const auto a = queue.lane(noisy, "a"), b = queue.lane(noisy, "b"), q = queue.lane(quiet, "a");
    for (std::uint64_t i = 0; i < 3; ++i)
        queue.push_back(a, {0, 10 + i});
    queue.push_back(b, {0, 20});
    queue.push_back(q, {0, 30});
    queue.push_back(q, {0, 31});
    std::vector<std::uint64_t> order;
    while (auto next = queue.next())
        order.push_back(next->what.sequence);
    EXPECT_EQ(order, (std::vector<std::uint64_t>{10, 30, 20, 31, 11, 12}));
}

TEST(fair_queue_test, a_call_given_back_is_the_next_of_its_function)
{
    fair_queue queue(at_most(10));
    const auto lane = queue.lane(queue.tenant("t"), "f");
    for (std::uint64_t i = 1; i <= 3; ++i)
        queue.push_back(lane, {0, i});
    const auto first = queue.next();
    ASSERT_TRUE(first);
    queue.give_back(*first);
    EXPECT_EQ(queue.next()->what.sequence, 1u);
    EXPECT_EQ(queue.next()->what.sequence, 2u);
}

TEST(fair_queue_test, lowering_a_limit_stops_nothing_and_holds_back_the_next)
{
    fair_queue queue(at_most(3));
    const auto tenant = queue.tenant("t");
    const auto lane = queue.lane(tenant, "f");
    for (std::uint64_t i = 1; i <= 5; ++i)
        queue.push_back(lane, {0, i});
    const std::array running{queue.next().value(), queue.next().value(), queue.next().value()};
    queue.set_concurrency(tenant, 1);
    for (const auto& each : running) {
        EXPECT_FALSE(queue.next());
        queue.finished(each, work(1));
    }
    EXPECT_TRUE(queue.next());
    EXPECT_FALSE(queue.next());
}

// A function that fails must not use up what its tenant has for the others, however much of it waits to be tried again.
TEST(fair_queue_test, retries_run_within_their_share_and_what_is_new_goes_on)
{
    fair_queue queue({.concurrency = 10, .retries_percent = 20});
    const auto tenant = queue.tenant("t");
    const auto failing = queue.lane(tenant, "failing"), well = queue.lane(tenant, "well");
    for (std::uint64_t i = 1; i <= 100; ++i)
        queue.push_back(failing, {0, i, true});
    for (std::uint64_t i = 101; i <= 103; ++i)
        queue.push_back(well, {0, i});
    std::vector<fair_queue::pick> running;
    while (const auto next = queue.next())
        running.push_back(*next);
    EXPECT_EQ(std::count_if(running.begin(), running.end(), [](const auto& each) { return each.what.again; }), 2);
    EXPECT_EQ(running.size(), 5u);
    queue.push_back(failing, {0, 104});
    EXPECT_EQ(queue.next().value().what.sequence, 104u) << "the failing function's first attempts are not held up either";
    EXPECT_FALSE(queue.next());
    for (const auto& each : running)
        if (each.what.again) {
            queue.finished(each, each.charged);
            EXPECT_TRUE(queue.next().value().what.again);
            EXPECT_FALSE(queue.next());
        }
}

TEST(fair_queue_test, one_retry_may_run_however_small_the_share)
{
    fair_queue queue({.concurrency = 2, .retries_percent = 1});
    const auto lane = queue.lane(queue.tenant("t"), "f");
    queue.push_back(lane, {0, 1, true});
    queue.push_back(lane, {0, 2, true});
    EXPECT_TRUE(queue.next());
    EXPECT_FALSE(queue.next());
}

TEST(fair_queue_test, names_are_known_again)
{
    fair_queue queue(at_most(1));
    EXPECT_EQ(queue.tenant("a"), queue.tenant("a"));
    EXPECT_NE(queue.tenant("a"), queue.tenant("b"));
    EXPECT_EQ(queue.lane(queue.tenant("a"), "f"), queue.lane(queue.tenant("a"), "f"));
    EXPECT_NE(queue.lane(queue.tenant("a"), "f"), queue.lane(queue.tenant("b"), "f"));
}

namespace {

// Time at the functions, shared by a worker with so many places: who has used how much when that time is over.
class busy_worker {
public:
    busy_worker(fair_queue& queue, std::size_t places) : queue_(queue), places_(places) {}

    // A lane that always has a call waiting, of which each takes so long.
    void add(fair_queue::lane_index lane, milliseconds each)
    {
        durations_[lane] = each;
        queue_.push_back(lane, {0, ++sequence_});
    }
    std::map<fair_queue::tenant_index, double> run(milliseconds until)
    {
        std::map<fair_queue::tenant_index, double> used;
        for (;;) {
            while (running_.size() < places_) {
                const auto next = queue_.next();
                if (!next)
                    break;
                queue_.push_back(next->lane, {0, ++sequence_});
                running_.push({now_ + durations_.at(next->lane), now_, *next});
            }
            if (running_.empty() || running_.top().ends > until)
                return used;
            const auto one = running_.top();
            running_.pop();
            now_ = one.ends;
            used[queue_.tenant_of(one.what.lane)] += static_cast<double>((one.ends - one.began).count());
            queue_.finished(one.what, one.ends - one.began);
        }
    }

private:
    struct call {
        milliseconds ends, began;
        fair_queue::pick what;
        friend bool operator<(const call& a, const call& b) { return a.ends > b.ends; }
    };
    fair_queue& queue_;
    std::size_t places_;
    std::map<fair_queue::lane_index, milliseconds> durations_;
    std::priority_queue<call> running_;
    milliseconds now_{0};
    std::uint64_t sequence_ = 0;
};

// Jain, Chiu and Hawe, 1984.
double jain(double a, double b) { return (a + b) * (a + b) / (2 * (a * a + b * b)); }

}

TEST(fair_queue_test, time_at_the_functions_is_shared_not_calls)
{
    for (const std::uint32_t weight : {1u, 3u}) {
        fair_queue queue(at_most(1'000));
        const auto brief = queue.tenant("brief"), slow = queue.tenant("slow");
        queue.set_weight(slow, weight);
        busy_worker worker(queue, 50);
        worker.add(queue.lane(brief, "f"), milliseconds(20));
        worker.add(queue.lane(slow, "f"), milliseconds(2'000));
        auto used = worker.run(milliseconds(60'000));
        EXPECT_GE(jain(used[brief], used[slow] / weight), 0.99) << used[brief] << " ms and " << used[slow] << " ms, weight " << weight;
    }
}

TEST(fair_queue_test, the_functions_of_a_tenant_share_its_time)
{
    fair_queue queue(at_most(1'000));
    const auto one = queue.tenant("one"), other = queue.tenant("other");
    busy_worker worker(queue, 40);
    for (const auto* name : {"a", "b", "c"})
        worker.add(queue.lane(one, name), milliseconds(50));
    worker.add(queue.lane(other, "a"), milliseconds(50));
    auto used = worker.run(milliseconds(60'000));
    EXPECT_GE(jain(used[one], used[other]), 0.99) << "three functions are not three tenants";
}

TEST(fair_queue_test, a_tenant_that_comes_late_gets_its_share_from_then_on_and_no_more)
{
    fair_queue queue(at_most(1'000));
    const auto first = queue.tenant("first"), late = queue.tenant("late");
    busy_worker worker(queue, 10);
    worker.add(queue.lane(first, "f"), milliseconds(100));
    const auto alone = worker.run(milliseconds(60'000));
    EXPECT_NEAR(alone.at(first), 600'000, 2'000);
    worker.add(queue.lane(late, "f"), milliseconds(100));
    auto used = worker.run(milliseconds(120'000));
    EXPECT_GE(jain(used[first], used[late]), 0.99);
}

// The bound that the header states, for every pair, at every step.
TEST(fair_queue_test, nobody_gets_ahead_by_more_than_a_charge_of_each)
{
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        std::mt19937_64 random(seed);
        fair_queue queue(at_most(1'000'000));
        struct backlogged {
            fair_queue::tenant_index tenant = 0;
            double weight = 1, charged = 0, largest = 0;
        };
        std::vector<backlogged> all(2 + seed % 4);
        std::map<fair_queue::lane_index, work> costs;
        std::uint64_t sequence = 0;
        for (std::size_t t = 0; t < all.size(); ++t) {
            all[t].tenant = queue.tenant(std::to_string(t));
            all[t].weight = static_cast<double>(1 + random() % 5);
            queue.set_weight(all[t].tenant, static_cast<std::uint32_t>(all[t].weight));
            for (auto left = 1 + random() % 3; left > 0; --left) {
                const auto lane = queue.lane(all[t].tenant, std::to_string(left));
                costs[lane] = milliseconds(1 + random() % 1'000);
                all[t].largest = std::max(all[t].largest, static_cast<double>(costs[lane].count()) / all[t].weight);
            }
        }
        // Each function's calls take what they took before.
        for (const auto& [lane, cost] : costs) {
            queue.push_back(lane, {0, ++sequence});
            const auto first = queue.next();
            queue.finished(*first, cost);
        }
        for (const auto& [lane, cost] : costs)
            queue.push_back(lane, {0, ++sequence});
        std::vector<fair_queue::pick> running;
        for (int step = 0; step < 3'000; ++step) {
            const auto next = queue.next();
            ASSERT_TRUE(next);
            queue.push_back(next->lane, {0, ++sequence});
            running.push_back(*next);
            EXPECT_EQ(next->charged, costs[next->lane]);
            auto& one = all[queue.tenant_of(next->lane)];
            const auto charged = static_cast<double>(next->charged.count()) / one.weight;
            if (step == 200 || step == 1'000)
                for (auto& each : all)
                    each.charged = 0; // it holds for any interval in which all of them wait
            one.charged += charged;
            if (random() % 2 == 0) {
                const auto which = random() % running.size();
                queue.finished(running[which], running[which].charged);
                running.erase(running.begin() + static_cast<std::ptrdiff_t>(which));
            }
            if (step < 200)
                continue;
            for (const auto& a : all)
                for (const auto& b : all)
                    ASSERT_LE(a.charged - b.charged, a.largest + b.largest + 1) << "seed " << seed << " step " << step;
        }
    }
}

TEST(fair_queue_test, a_long_call_that_is_given_back_saves_nothing_up)
{
    fair_queue queue({.concurrency = 1'000, .debt_max = std::chrono::seconds(10)});
    const auto tenant = queue.tenant("of a long one");
    const auto slow = queue.lane(tenant, "slow"), brief = queue.lane(tenant, "brief"), other = queue.lane(queue.tenant("other"), "f");
    queue.push_back(slow, {0, 1});
    queue.finished(queue.next().value(), std::chrono::hours(1));
    queue.push_back(slow, {0, 2});
    auto next = queue.next();
    ASSERT_EQ(next->lane, slow);
    queue.push_back(brief, {0, 3});
    queue.give_back(*next);
    queue.hold_lane(slow, true); // no replica takes it
    std::map<fair_queue::lane_index, int> served;
    for (std::uint64_t i = 0; i < 1'000; ++i) {
        queue.push_back(brief, {0, 10 + i});
        queue.push_back(other, {1, 10 + i});
    }
    for (int turn = 0; turn < 500; ++turn)
        ++served[queue.next()->lane];
    EXPECT_LE(served[brief], served[other]) << "its tenant has its share, not an hour that it did not use";
    EXPECT_GE(served[brief], 150) << "nor is it behind for more than the first one's";
}

TEST(fair_queue_test, what_a_tenant_is_behind_for_has_an_end)
{
    fair_queue queue({.concurrency = 1'000, .debt_max = std::chrono::seconds(10)});
    const auto slow = queue.tenant("slow"), other = queue.tenant("other");
    const auto slow_lane = queue.lane(slow, "f"), lane = queue.lane(other, "f");
    queue.push_back(slow_lane, {0, 1});
    queue.finished(queue.next().value(), std::chrono::hours(1));
    queue.push_back(slow_lane, {0, 2});
    for (std::uint64_t i = 0; i < 200; ++i)
        queue.push_back(lane, {0, 10 + i});
    std::uint64_t others = 0;
    for (auto next = queue.next(); next && next->lane != slow_lane; next = queue.next())
        ++others;
    EXPECT_EQ(others, 100u) << "10 s of calls that are charged 100 ms";
}
