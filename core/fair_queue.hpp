#pragma once
#include <boost/container_hash/hash.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::core {

// Who is next: of the tenants that could run something now, the one that has used least for its weight; of its functions the one that has used
// least; of a function the oldest call. What is used is time at the functions: a call is charged what its function's calls took of late when it is
// taken, and the difference when it ends. A tenant at its limit of running calls, or held, and a function that is held (no replica can take a
// call) are out of the turn, cost nothing, and save nothing up. O(log n) in tenants and functions. Start-time fair queueing at both levels
// (Goyal, Vin and Cheng, SIGCOMM 1996). What is tried again may take a share of a tenant's running calls and no more: so a function that fails
// costs the tenant's other calls at most that share, however many wait to be tried again. Pure; one per shard, over all its partitions, so that a
// tenant's share does not depend on the partition.
//
// Bound: of two tenants that could both run something all the while, neither gets ahead of the other, in charges by weight, by more than one
// charge of each by its weight. A call that takes longer than its charge is made up for when it ends, up to `debt_max`.
class fair_queue {
public:
    using work = std::chrono::microseconds; // at the functions

    struct options {
        std::uint32_t concurrency = 256;          // running calls of a tenant, until told otherwise
        work first_charge{100'000};               // of a function that has run nothing yet
        work debt_max = std::chrono::seconds(60); // how far a tenant can be behind for what its calls took beyond their charge
        std::uint32_t retries_percent = 100;      // of a tenant's limit, that running items tried again may use; at least one may run
    };
    struct item {
        std::uint32_t partition = 0;
        std::uint64_t sequence = 0;
        bool again = false; // an attempt of it was counted

        friend auto operator<=>(const item&, const item&) = default;
    };
    using tenant_index = std::uint32_t;
    using lane_index = std::uint32_t; // a function of a tenant

    struct pick {
        lane_index lane = 0;
        item what;
        work charged{0};
    };

    explicit fair_queue(options with);

    // Both make what they do not know yet; indices stay for the queue's life.
    tenant_index tenant(std::string_view name);
    lane_index lane(tenant_index of, std::string_view function);
    tenant_index tenant_of(lane_index lane) const { return lanes_[lane].tenant; }

    // At least 1. Lowering it stops nothing that runs.
    void set_concurrency(tenant_index tenant, std::uint32_t limit);
    // At least 1, which is the default. It counts for what is charged from now on.
    void set_weight(tenant_index tenant, std::uint32_t weight);
    void hold_tenant(tenant_index tenant, bool held);
    void hold_lane(lane_index lane, bool held);

    void push_back(lane_index lane, item what);
    // Before all others of its lane that were, or were not, tried already as it was.
    void push_front(lane_index lane, item what);
    // Forgets the waiting items of a partition.
    void erase(std::uint32_t partition);
    // Takes the next item, which then counts as running for its tenant, until one of those below.
    std::optional<pick> next();
    // It ran, for so long.
    void finished(const pick& taken, work used);
    // It did not run, and waits again, in front.
    void give_back(const pick& taken);
    // It did not run: nothing is charged.
    void not_run(const pick& taken);

    std::size_t waiting() const noexcept { return waiting_; }
    std::size_t waiting_in(lane_index lane) const { return lanes_[lane].items.size() + lanes_[lane].retries.size(); }
    std::uint32_t running(tenant_index tenant) const { return tenants_[tenant].running; }
    std::size_t running() const noexcept { return running_; }

private:
    struct text_hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept { return boost::hash<std::string_view>{}(text); }
    };
    using names = boost::unordered_flat_map<std::string, std::uint32_t, text_hash, std::equal_to<>>;

    // Those that could run something, the one that has used least first; among equals the one that came first.
    struct place {
        std::int64_t used = 0; // as `share` has it
        std::uint64_t order = 0;
        std::uint32_t index = 0;
        friend auto operator<=>(const place&, const place&) = default;
    };
    struct turn {
        std::set<place> fresh; // those with items that have not been tried
        std::set<place> again; // those with items that have: in the same place as in the other, where they are in both
    };
    // What one has used, in microseconds by weight, on a scale that runs with those that are served: who enters the turn anew starts there.
    struct share {
        std::int64_t used = 0;
        std::uint64_t order = 0;
        bool fresh = false, again = false; // where it is in the turn
        bool first = false;                // among equals, when it enters next: what it took was given back
    };
    struct lane_state {
        tenant_index tenant = 0;
        share of_tenant;
        std::deque<item> items;
        std::deque<item> retries; // items that have been tried
        std::optional<work> mean; // of its calls' times, the last ones counting most
        bool held = false;
    };
    struct tenant_state {
        std::uint32_t limit = 1;
        std::uint32_t running = 0;
        std::uint32_t retries_running = 0;
        std::int64_t weight = 1;
        share of_all;
        bool held = false;
        turn lanes_in_turn;
        std::int64_t served_at = 0; // where those of the turn are that are served
        names lanes;
    };
    bool may_retry(const tenant_state& tenant) const;
    bool ready(const tenant_state& tenant) const;
    std::pair<lane_index, bool> next_of(const tenant_state& tenant) const;
    std::uint64_t next_order(share& of) { return std::exchange(of.first, false) ? --first_ : ++last_; }
    static void put(turn& among, share& of, std::uint32_t index, bool fresh, bool again);
    void add(turn& among, share& of, std::uint32_t index, std::int64_t used, std::int64_t served_at);
    static void catch_up(turn& among, share& of, std::uint32_t index, std::int64_t served_at);
    void arrange(turn& among, share& of, std::uint32_t index, bool fresh, bool again, std::int64_t served_at);
    void arrange_lane(lane_index lane);
    void arrange_tenant(tenant_index tenant);
    void charge(lane_index lane, work by);
    void ended(const pick& taken, work correction);

    options options_;
    std::vector<tenant_state> tenants_;
    std::vector<lane_state> lanes_;
    names names_;
    turn turn_; // of tenants, all of them as fresh
    std::int64_t served_at_ = 0;
    std::uint64_t last_ = 1ull << 62; // orders: of who came last, and first, among equals
    std::uint64_t first_ = 1ull << 62;
    std::size_t waiting_ = 0;
    std::size_t running_ = 0;
};

}
