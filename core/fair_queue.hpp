#pragma once
#include <boost/container_hash/hash.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::core {

// Who is next: tenants take turns, within a tenant its functions take turns, within a function the oldest call goes first. A tenant at its
// limit of running calls, or held, and a function that is held (no replica can take a call) leave the turn and cost nothing; each decision is
// O(1) whatever their number. Pure; one per shard, over all its partitions, so that a tenant's share does not depend on the partition.
class fair_queue {
public:
    struct item {
        std::uint32_t partition = 0;
        std::uint64_t sequence = 0;

        friend auto operator<=>(const item&, const item&) = default;
    };
    using tenant_index = std::uint32_t;
    using lane_index = std::uint32_t; // a function of a tenant

    struct pick {
        lane_index lane = 0;
        item what;
    };

    explicit fair_queue(std::uint32_t concurrency_default);

    // Both make what they do not know yet; indices stay for the queue's life.
    tenant_index tenant(std::string_view name);
    lane_index lane(tenant_index of, std::string_view function);
    tenant_index tenant_of(lane_index lane) const { return lanes_[lane].tenant; }

    // At least 1. Lowering it stops nothing that runs.
    void set_concurrency(tenant_index tenant, std::uint32_t limit);
    void hold_tenant(tenant_index tenant, bool held);
    void hold_lane(lane_index lane, bool held);

    void push_back(lane_index lane, item what);
    void push_front(lane_index lane, item what); // given back: it keeps its turn
    // Forgets the waiting items of a partition.
    void erase(std::uint32_t partition);
    // Takes the next item, which then counts as running for its tenant.
    std::optional<pick> next();
    void finished(lane_index lane);

    std::size_t waiting() const noexcept { return waiting_; }
    std::size_t waiting_in(lane_index lane) const { return lanes_[lane].items.size(); }
    std::uint32_t running(tenant_index tenant) const { return tenants_[tenant].running; }
    std::size_t running() const noexcept { return running_; }

private:
    struct text_hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept { return boost::hash<std::string_view>{}(text); }
    };
    using names = boost::unordered_flat_map<std::string, std::uint32_t, text_hash, std::equal_to<>>;

    struct lane_state {
        tenant_index tenant = 0;
        std::deque<item> items;
        bool held = false;
        bool in_turn = false;
    };
    struct tenant_state {
        std::uint32_t limit = 1;
        std::uint32_t running = 0;
        bool held = false;
        bool in_turn = false;
        std::deque<lane_index> turn;
        names lanes;
    };
    bool ready(const tenant_state& tenant) const { return !tenant.held && tenant.running < tenant.limit; }
    bool ready(const lane_state& lane) const { return !lane.held && !lane.items.empty(); }
    void join(lane_index lane);
    void join_tenant(tenant_index tenant);
    std::optional<lane_index> next_lane(tenant_state& tenant);

    std::uint32_t concurrency_default_;
    std::vector<tenant_state> tenants_;
    std::vector<lane_state> lanes_;
    names names_;
    std::deque<tenant_index> turn_;
    std::size_t waiting_ = 0;
    std::size_t running_ = 0;
};

}
