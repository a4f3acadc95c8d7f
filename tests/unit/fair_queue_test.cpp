#include "core/fair_queue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>

using namespace sluice::core;

namespace {

using item = fair_queue::item;

// What a fair queue promises, kept by brute force beside the real one: who is eligible, in which order a lane's items come, and how often
// each other was served while one was waiting.
class checked_queue {
public:
    checked_queue(std::size_t tenants, std::size_t lanes_each, std::uint32_t limit) : queue_(limit)
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
        count_turn(*at);
        note_waiting();
        running_.push_back(static_cast<std::size_t>(at - lanes_.begin()));
        if (from)
            *from = running_.back();
        if (what)
            *what = picked->what;
        return true;
    }
    std::size_t running() const { return running_.size(); }
    std::size_t finish(std::size_t which)
    {
        const auto lane = running_[which];
        running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(which));
        queue_.finished(lanes_[lane].index);
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
        std::map<const void*, int> served_before; // other tenants, since this one became eligible or was served
    };
    struct lane_model {
        fair_queue::lane_index index;
        std::size_t tenant;
        std::deque<item> items;
        bool held;
        std::map<const void*, int> served_before;
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
                EXPECT_LE(++tenants_[t].served_before[&tenants_[served.tenant]], 1) << "tenant " << t << " was passed over";
            }
        for (auto& other : lanes_)
            if (&other != &served && other.tenant == served.tenant && !other.held && !other.items.empty()) {
                EXPECT_LE(++other.served_before[&served], 1) << "lane " << other.index << " was passed over";
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
            queue.push(lane, what, true); // given back: no replica could take it
            queue.finish(queue.running() - 1);
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
    fair_queue queue(10);
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
    fair_queue queue(10);
    const auto lane = queue.lane(queue.tenant("t"), "f");
    for (std::uint64_t i = 1; i <= 3; ++i)
        queue.push_back(lane, {0, i});
    const auto first = queue.next();
    ASSERT_TRUE(first);
    queue.push_front(lane, first->what);
    queue.finished(lane);
    EXPECT_EQ(queue.next()->what.sequence, 1u);
    EXPECT_EQ(queue.next()->what.sequence, 2u);
}

TEST(fair_queue_test, lowering_a_limit_stops_nothing_and_holds_back_the_next)
{
    fair_queue queue(3);
    const auto tenant = queue.tenant("t");
    const auto lane = queue.lane(tenant, "f");
    for (std::uint64_t i = 1; i <= 5; ++i)
        queue.push_back(lane, {0, i});
    for (int i = 0; i < 3; ++i)
        ASSERT_TRUE(queue.next());
    queue.set_concurrency(tenant, 1);
    for (int still = 3; still > 1; --still) {
        EXPECT_FALSE(queue.next());
        queue.finished(lane);
    }
    EXPECT_FALSE(queue.next());
    queue.finished(lane);
    EXPECT_TRUE(queue.next());
    EXPECT_FALSE(queue.next());
}

TEST(fair_queue_test, names_are_known_again)
{
    fair_queue queue(1);
    EXPECT_EQ(queue.tenant("a"), queue.tenant("a"));
    EXPECT_NE(queue.tenant("a"), queue.tenant("b"));
    EXPECT_EQ(queue.lane(queue.tenant("a"), "f"), queue.lane(queue.tenant("a"), "f"));
    EXPECT_NE(queue.lane(queue.tenant("a"), "f"), queue.lane(queue.tenant("b"), "f"));
}
