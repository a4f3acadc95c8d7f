#include "core/fair_queue.hpp"

#include <algorithm>
#include <cassert>

namespace sluice::core {

fair_queue::fair_queue(std::uint32_t concurrency_default) : concurrency_default_(std::max(1u, concurrency_default)) {}

fair_queue::tenant_index fair_queue::tenant(std::string_view name)
{
    if (auto known = names_.find(name); known != names_.end())
        return known->second;
    auto index = static_cast<tenant_index>(tenants_.size());
    tenants_.emplace_back().limit = concurrency_default_;
    names_.emplace(name, index);
    return index;
}

fair_queue::lane_index fair_queue::lane(tenant_index of, std::string_view function)
{
    auto& lanes = tenants_[of].lanes;
    if (auto known = lanes.find(function); known != lanes.end())
        return known->second;
    auto index = static_cast<lane_index>(lanes_.size());
    lanes_.emplace_back().tenant = of;
    lanes.emplace(function, index);
    return index;
}

void fair_queue::set_concurrency(tenant_index tenant, std::uint32_t limit)
{
    tenants_[tenant].limit = std::max(1u, limit);
    join_tenant(tenant);
}

void fair_queue::hold_tenant(tenant_index tenant, bool held)
{
    tenants_[tenant].held = held;
    join_tenant(tenant);
}

void fair_queue::hold_lane(lane_index lane, bool held)
{
    lanes_[lane].held = held;
    join(lane);
}

void fair_queue::push_back(lane_index lane, item what)
{
    lanes_[lane].items.push_back(what);
    ++waiting_;
    join(lane);
}

void fair_queue::push_front(lane_index lane, item what)
{
    lanes_[lane].items.push_front(what);
    ++waiting_;
    join(lane);
}

void fair_queue::erase(std::uint32_t partition)
{
    for (auto& lane : lanes_) {
        auto kept = std::remove_if(lane.items.begin(), lane.items.end(), [partition](const item& i) { return i.partition == partition; });
        waiting_ -= static_cast<std::size_t>(lane.items.end() - kept);
        lane.items.erase(kept, lane.items.end());
    }
}

void fair_queue::join(lane_index index)
{
    auto& lane = lanes_[index];
    if (lane.in_turn || !ready(lane))
        return;
    lane.in_turn = true;
    tenants_[lane.tenant].turn.push_back(index);
    join_tenant(lane.tenant);
}

void fair_queue::join_tenant(tenant_index index)
{
    auto& tenant = tenants_[index];
    if (tenant.in_turn || tenant.turn.empty() || !ready(tenant))
        return;
    tenant.in_turn = true;
    turn_.push_back(index);
}

std::optional<fair_queue::lane_index> fair_queue::next_lane(tenant_state& tenant)
{
    while (!tenant.turn.empty()) {
        auto index = tenant.turn.front();
        tenant.turn.pop_front();
        lanes_[index].in_turn = false;
        if (ready(lanes_[index]))
            return index;
    }
    return std::nullopt;
}

std::optional<fair_queue::pick> fair_queue::next()
{
    while (!turn_.empty()) {
        auto index = turn_.front();
        turn_.pop_front();
        auto& tenant = tenants_[index];
        tenant.in_turn = false;
        if (!ready(tenant))
            continue;
        auto lane = next_lane(tenant);
        if (!lane)
            continue;
        auto& items = lanes_[*lane].items;
        pick taken{*lane, items.front()};
        items.pop_front();
        --waiting_;
        ++tenant.running;
        ++running_;
        join(*lane);
        join_tenant(index);
        return taken;
    }
    return std::nullopt;
}

void fair_queue::finished(lane_index lane)
{
    auto index = lanes_[lane].tenant;
    assert(tenants_[index].running > 0);
    --tenants_[index].running;
    --running_;
    join_tenant(index);
}

}
