#include "core/fair_queue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <tuple>

using namespace sluice::core;

namespace {

using item = fair_queue::item;

constexpr std::uint32_t retries_percent = 40;

// What a fair queue promises, kept by brute force beside the real one: who is eligible, in which order a lane's items come, how many retries of a
// tenant run, and how often each other was served while one was waiting.
class checked_queue {
public:
    checked_queue(std::size_t tenants, std::size_t lanes_each, std::uint32_t limit)
        : queue_({.concurrency = limit, .retries_percent = retries_percent})
    {
        for (std::size_t t = 0; t < tenants; ++t) {
            tenants_.push_back({queue_.tenant("tenant-" + std::to_string(t)), limit, 0, 0, false, {}});
            for (std::size_t l = 0; l < lanes_each; ++l) {
                lanes_.push_back({queue_.lane(tenants_.back().index, "function-" + std::to_string(l)), t, {}, {}, false, {}});
                EXPECT_EQ(queue_.tenant_of(lanes_.back().index), tenants_.back().index);
            }
        }
    }

    std::size_t tenants() const { return tenants_.size(); }
    std::size_t lanes() const { return lanes_.size(); }

    void push(std::size_t lane, item what, bool front)
    {
        front ? queue_.push_front(lanes_[lane].index, what) : queue_.push_back(lanes_[lane].index, what);
        auto& items = of_its_kind(lanes_[lane], what);
        front ? items.push_front(what) : items.push_back(what);
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
            for (auto* items : {&lane.items, &lane.retries})
                std::erase_if(*items, [partition](const item& i) { return i.partition == partition; });
        note_waiting();
    }
    // Takes the next item and checks it; false: nothing was eligible.
    bool next()
    {
        const auto picked = queue_.next();
        const bool any = std::any_of(lanes_.begin(), lanes_.end(), [this](const lane_model& l) { return eligible(l); });
        EXPECT_EQ(picked.has_value(), any);
        if (!picked || !any)
            return false;
        const auto at = std::find_if(lanes_.begin(), lanes_.end(), [&](const lane_model& l) { return l.index == picked->lane; });
        EXPECT_TRUE(at != lanes_.end() && eligible(*at));
        auto& items = of_its_kind(*at, picked->what);
        EXPECT_FALSE(items.empty());
        EXPECT_EQ(picked->what, items.front());
        EXPECT_TRUE(picked->what.again || !may_retry(tenants_[at->tenant]) || at->retries.empty())
            << "a retry of a lane is before the others";
        items.pop_front();
        auto& tenant = tenants_[at->tenant];
        ++tenant.running;
        tenant.retries += picked->what.again ? 1 : 0;
        EXPECT_LE(tenant.running, tenant.limit);
        before_ = {tenants_, lanes_};
        count_turn(*at);
        note_waiting();
        running_.push_back({static_cast<std::size_t>(at - lanes_.begin()), *picked});
        return true;
    }
    // What next() took last is not run: it is as if it had not been its turn.
    void give_back()
    {
        const auto [lane, taken] = running_.back();
        queue_.give_back(taken);
        running_.pop_back();
        std::tie(tenants_, lanes_) = before_;
        of_its_kind(lanes_[lane], taken.what).push_front(taken.what);
        left(lane, taken);
    }
    std::size_t running() const { return running_.size(); }
    void finish(std::size_t which)
    {
        const auto [lane, taken] = running_[which];
        running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(which));
        queue_.finished(taken, taken.charged); // all alike
        left(lane, taken);
    }
    void check_counts() const
    {
        std::size_t waiting = 0;
        for (const auto& lane : lanes_) {
            EXPECT_EQ(queue_.waiting_in(lane.index), lane.items.size() + lane.retries.size());
            waiting += lane.items.size() + lane.retries.size();
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
        std::uint32_t retries; // of those
        bool held;
        std::map<std::size_t, int> served_before; // other tenants, since this one became eligible or was served
    };
    struct lane_model {
        fair_queue::lane_index index;
        std::size_t tenant;
        std::deque<item> items, retries;
        bool held;
        std::map<std::size_t, int> served_before;
    };

    static std::deque<item>& of_its_kind(lane_model& lane, const item& what) { return what.again ? lane.retries : lane.items; }
    void left(std::size_t lane, const fair_queue::pick& taken)
    {
        auto& tenant = tenants_[lanes_[lane].tenant];
        --tenant.running;
        tenant.retries -= taken.what.again ? 1 : 0;
        note_waiting();
    }
    static bool may_retry(const tenant_model& t) { return t.retries < std::max(t.limit * retries_percent / 100, 1u); }
    // As far as its tenant may run anything.
    bool has_any(const lane_model& l) const
    {
        return !l.held && (!l.items.empty() || (!l.retries.empty() && may_retry(tenants_[l.tenant])));
    }
    bool eligible(const lane_model& l) const { return has_any(l) && may_run(tenants_[l.tenant]); }
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
            if (&other != &served && other.tenant == served.tenant && has_any(other)) {
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
            if (!has_any(l))
                l.served_before.clear();
    }

    fair_queue queue_;
    std::vector<tenant_model> tenants_;
    std::vector<lane_model> lanes_;
    std::vector<std::pair<std::size_t, fair_queue::pick>> running_;        // with their lanes
    std::pair<std::vector<tenant_model>, std::vector<lane_model>> before_; // the last turn was taken
};

void random_step(checked_queue& queue, std::mt19937_64& random, std::uint64_t& sequence)
{
    const auto pick = [&](std::size_t below) { return static_cast<std::size_t>(random() % below); };
    const auto dice = pick(100);
    if (dice < 38) {
        queue.push(pick(queue.lanes()), {static_cast<std::uint32_t>(pick(3)), ++sequence, pick(3) == 0}, false);
    } else if (dice < 68) {
        if (queue.next() && pick(4) == 0)
            queue.give_back(); // no replica could take it
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

TEST(fair_queue_model_test, keeps_its_promises_in_random_histories)
{
    for (std::uint64_t seed = 1; seed <= 200 && !testing::Test::HasFailure(); ++seed) {
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
