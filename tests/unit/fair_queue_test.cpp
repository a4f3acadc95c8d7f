#include "core/fair_queue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <queue>
#include <random>
#include <tuple>

using namespace sluice::core;

namespace {

using item = fair_queue::item;
using work = fair_queue::work;
using std::chrono::milliseconds;

fair_queue::options at_most(std::uint32_t concurrency) { return {.concurrency = concurrency}; }

// What a fair queue promises, kept by brute force beside the real one: who is eligible, in which order a lane's items come, and how often
// each other was served while one was waiting.
class checked_queue {
public:
    checked_queue(std::size_t tenants, std::size_t lanes_each, std::uint32_t limit) : queue_(at_most(limit))
    {
        for (std::size_t t = 0; t < tenants; ++t) {
            tenants_.push_back({queue_.tenant("tenant-" + std::to_string(t)), limit, 0, false, {}});
            for (std::size_t l = 0; l < lanes_each; ++l) {
                lanes_.push_back({queue_.lane(tenants_.back().index, "function-" + std::to_string(l)), t, {}, false, {}});
                EXPECT_EQ(queue_.tenant_of(lanes_.back().index), tenants_.back().index);
            }
        }
    }

    std::size_t tenants() const { return tenants_.size(); }
    std::size_t lanes() const { return lanes_.size(); }

    void push(std::size_t lane, item what, bool front)
    {
        front ? queue_.push_front(lanes_[lane].index, what) : queue_.push_back(lanes_[lane].index, what);
        front ? lanes_[lane].items.push_front(what) : lanes_[lane].items.push_back(what);
        note_waiting();
    }
    void hold_lane(std::size_t lane, bool held)
    {
        queue_.hold_lane(lanes_[lane].index, held);
        lanes_[lane].held = held;
        note_waiting();
    }
    void hold_tenant(std::size_t tenant, bool held)
    {
        queue_.hold_tenant(tenants_[tenant].index, held);
        tenants_[tenant].held = held;
        note_waiting();
    }
    void limit(std::size_t tenant, std::uint32_t limit)
    {
        queue_.set_concurrency(tenants_[tenant].index, limit);
        tenants_[tenant].limit = std::max(1u, limit);
        note_waiting();
    }
    void erase(std::uint32_t partition)
    {
        queue_.erase(partition);
        for (auto& lane : lanes_)
            std::erase_if(lane.items, [partition](const item& i) { return i.partition == partition; });
        note_waiting();
    }
    // Takes the next item and checks it; false: nothing was eligible.
    bool next(std::size_t* from = nullptr, item* what = nullptr)
    {
        const auto picked = queue_.next();
        const bool any = std::any_of(lanes_.begin(), lanes_.end(), [this](const lane_model& l) { return eligible(l); });
        EXPECT_EQ(picked.has_value(), any);
        if (!picked || !any)
            return false;
        const auto at = std::find_if(lanes_.begin(), lanes_.end(), [&](const lane_model& l) { return l.index == picked->lane; });
        EXPECT_TRUE(at != lanes_.end() && eligible(*at));
        EXPECT_EQ(picked->what, at->items.front());
        at->items.pop_front();
        auto& tenant = tenants_[at->tenant];
        ++tenant.running;
        EXPECT_LE(tenant.running, tenant.limit);
        before_ = {tenants_, lanes_};
        charged_ = picked->charged;
        count_turn(*at);
        note_waiting();
        running_.push_back(static_cast<std::size_t>(at - lanes_.begin()));
        if (from)
            *from = running_.back();
        if (what)
            *what = picked->what;
        return true;
    }
    // What next() took last is not run: it is as if it had not been its turn.
    void give_back(std::size_t lane, item what)
    {
        queue_.push_front(lanes_[lane].index, what);
        queue_.not_run(lanes_[lane].index, charged_);
        running_.pop_back();
        std::tie(tenants_, lanes_) = before_;
        lanes_[lane].items.push_front(what);
        --tenants_[lanes_[lane].tenant].running;
        note_waiting();
    }
    std::size_t running() const { return running_.size(); }
    std::size_t finish(std::size_t which)
    {
        const auto lane = running_[which];
        running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(which));
        queue_.finished(lanes_[lane].index, charged_, charged_); // all alike
        --tenants_[lanes_[lane].tenant].running;
        note_waiting();
        return lane;
    }
    void check_counts() const
    {
        std::size_t waiting = 0;
        for (const auto& lane : lanes_) {
            EXPECT_EQ(queue_.waiting_in(lane.index), lane.items.size());
            waiting += lane.items.size();
        }
        for (const auto& tenant : tenants_)
            EXPECT_EQ(queue_.running(tenant.index), tenant.running);
        EXPECT_EQ(queue_.waiting(), waiting);
        EXPECT_EQ(queue_.running(), running_.size());
    }

private:
    struct tenant_model {
        fair_queue::tenant_index index;
        std::uint32_t limit;
        std::uint32_t running;
        bool held;
        std::map<std::size_t, int> served_before; // other tenants, since this one became eligible or was served
    };
    struct lane_model {
        fair_queue::lane_index index;
        std::size_t tenant;
        std::deque<item> items;
        bool held;
        std::map<std::size_t, int> served_before;
    };

    bool eligible(const lane_model& l) const { return !l.held && !l.items.empty() && may_run(tenants_[l.tenant]); }
    static bool may_run(const tenant_model& t) { return !t.held && t.running < t.limit; }
    bool eligible(std::size_t t) const
    {
        return std::any_of(lanes_.begin(), lanes_.end(), [&](const lane_model& l) { return l.tenant == t && eligible(l); });
    }

    // Nobody is served twice while another one who could be served waits; likewise the functions of a tenant.
    void count_turn(lane_model& served)
    {
        for (std::size_t t = 0; t < tenants_.size(); ++t)
            if (t != served.tenant && eligible(t)) {
                EXPECT_LE(++tenants_[t].served_before[served.tenant], 1) << "tenant " << t << " was passed over";
            }
        for (auto& other : lanes_)
            if (&other != &served && other.tenant == served.tenant && !other.held && !other.items.empty()) {
                EXPECT_LE(++other.served_before[served.index], 1) << "lane " << other.index << " was passed over";
            }
        tenants_[served.tenant].served_before.clear();
        served.served_before.clear();
    }
    void note_waiting()
    {
        for (std::size_t t = 0; t < tenants_.size(); ++t)
            if (!eligible(t))
                tenants_[t].served_before.clear();
        for (auto& l : lanes_)
            if (l.held || l.items.empty())
                l.served_before.clear();
    }

    fair_queue queue_;
    std::vector<tenant_model> tenants_;
    std::vector<lane_model> lanes_;
    std::vector<std::size_t> running_;
    std::pair<std::vector<tenant_model>, std::vector<lane_model>> before_; // the last turn was taken
    work charged_{0};
};

void random_step(checked_queue& queue, std::mt19937_64& random, std::uint64_t& sequence)
{
    const auto pick = [&](std::size_t below) { return static_cast<std::size_t>(random() % below); };
    const auto dice = pick(100);
    if (dice < 38) {
        queue.push(pick(queue.lanes()), {static_cast<std::uint32_t>(pick(3)), ++sequence}, false);
    } else if (dice < 68) {
        std::size_t lane = 0;
        item what;
        if (queue.next(&lane, &what) && pick(4) == 0) {
            queue.give_back(lane, what); // no replica could take it
        }
    } else if (dice < 88) {
        if (queue.running() > 0)
            queue.finish(pick(queue.running()));
    } else if (dice < 92) {
        queue.hold_lane(pick(queue.lanes()), pick(2) == 0);
    } else if (dice < 95) {
        queue.hold_tenant(pick(queue.tenants()), pick(2) == 0);
    } else if (dice < 99) {
        queue.limit(pick(queue.tenants()), static_cast<std::uint32_t>(pick(5)));
    } else {
        queue.erase(static_cast<std::uint32_t>(pick(3)));
    }
}

}

TEST(fair_queue_test, keeps_its_promises_in_random_histories)
{
    for (std::uint64_t seed = 1; seed <= 40 && !testing::Test::HasFailure(); ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        std::mt19937_64 random(seed);
        checked_queue queue(1 + seed % 4, 1 + seed % 3, static_cast<std::uint32_t>(1 + seed % 5));
        std::uint64_t sequence = 0;
        for (int step = 0; step < 400; ++step) {
            random_step(queue, random, sequence);
            queue.check_counts();
        }
    }
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
    queue.push_front(lane, first->what);
    queue.not_run(lane, first->charged);
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
    for (int i = 0; i < 3; ++i)
        ASSERT_TRUE(queue.next());
    queue.set_concurrency(tenant, 1);
    for (int still = 3; still > 1; --still) {
        EXPECT_FALSE(queue.next());
        queue.finished(lane, work(1), work(1));
    }
    EXPECT_FALSE(queue.next());
    queue.finished(lane, work(1), work(1));
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
                running_.push({now_ + durations_.at(next->lane), now_, next->lane, next->charged});
            }
            if (running_.empty() || running_.top().ends > until)
                return used;
            const auto one = running_.top();
            running_.pop();
            now_ = one.ends;
            used[queue_.tenant_of(one.lane)] += static_cast<double>((one.ends - one.began).count());
            queue_.finished(one.lane, one.charged, one.ends - one.began);
        }
    }

private:
    struct call {
        milliseconds ends, began;
        fair_queue::lane_index lane;
        work charged;
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
            queue.finished(lane, first->charged, cost);
        }
        for (const auto& [lane, cost] : costs)
            queue.push_back(lane, {0, ++sequence});
        std::vector<std::pair<fair_queue::lane_index, work>> running;
        for (int step = 0; step < 3'000; ++step) {
            const auto next = queue.next();
            ASSERT_TRUE(next);
            queue.push_back(next->lane, {0, ++sequence});
            running.push_back({next->lane, next->charged});
            EXPECT_EQ(next->charged, costs[next->lane]);
            auto& one = all[queue.tenant_of(next->lane)];
            const auto charged = static_cast<double>(next->charged.count()) / one.weight;
            if (step == 200 || step == 1'000)
                for (auto& each : all)
                    each.charged = 0; // it holds for any interval in which all of them wait
            one.charged += charged;
            if (random() % 2 == 0) {
                const auto which = random() % running.size();
                queue.finished(running[which].first, running[which].second, running[which].second);
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
    queue.finished(slow, queue.next()->charged, std::chrono::hours(1));
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
    queue.finished(slow_lane, queue.next()->charged, std::chrono::hours(1));
    queue.push_back(slow_lane, {0, 2});
    for (std::uint64_t i = 0; i < 200; ++i)
        queue.push_back(lane, {0, 10 + i});
    std::uint64_t others = 0;
    for (auto next = queue.next(); next && next->lane != slow_lane; next = queue.next())
        ++others;
    EXPECT_EQ(others, 100u) << "10 s of calls that are charged 100 ms";
}
