#include "core/fair_queue.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace sluice::core {

namespace {

// A mean in which each call counts for an eighth of what is known.
constexpr int mean_of = 8;

}

fair_queue::fair_queue(options with) : options_(with) { options_.concurrency = std::max(1u, options_.concurrency); }

fair_queue::tenant_index fair_queue::tenant(std::string_view name)
{
    if (auto known = names_.find(name); known != names_.end())
        return known->second;
    auto index = static_cast<tenant_index>(tenants_.size());
    tenants_.emplace_back().limit = options_.concurrency;
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
    arrange_tenant(tenant);
}

void fair_queue::set_weight(tenant_index tenant, std::uint32_t weight) { tenants_[tenant].weight = std::max(1u, weight); }

void fair_queue::hold_tenant(tenant_index tenant, bool held)
{
    tenants_[tenant].held = held;
    arrange_tenant(tenant);
}

void fair_queue::hold_lane(lane_index lane, bool held)
{
    lanes_[lane].held = held;
    arrange_lane(lane);
}

void fair_queue::push_back(lane_index lane, item what)
{
    lanes_[lane].items.push_back(what);
    ++waiting_;
    arrange_lane(lane);
}

void fair_queue::push_front(lane_index lane, item what)
{
    lanes_[lane].items.push_front(what);
    ++waiting_;
    arrange_lane(lane);
}

void fair_queue::erase(std::uint32_t partition)
{
    for (lane_index index = 0; index < lanes_.size(); ++index) {
        auto& items = lanes_[index].items;
        waiting_ -= std::erase_if(items, [partition](const item& each) { return each.partition == partition; });
        arrange_lane(index);
    }
}

// ---- the turn

void fair_queue::enter(turn& among, share& of, std::uint32_t index)
{
    of.order = std::exchange(of.first, false) ? --first_ : ++last_;
    of.in_turn = true;
    among.insert({of.used, of.order, index});
}

void fair_queue::leave(turn& among, share& of, std::uint32_t index)
{
    of.in_turn = false;
    among.erase({of.used, of.order, index});
}

void fair_queue::arrange(turn& among, share& of, std::uint32_t index, bool is_ready, std::int64_t served_at)
{
    if (of.in_turn == is_ready)
        return;
    if (!is_ready)
        return leave(among, of, index);
    of.used = std::max(of.used, served_at); // who was out of the turn saved nothing up
    enter(among, of, index);
}

void fair_queue::arrange_lane(lane_index index)
{
    auto& lane = lanes_[index];
    auto& tenant = tenants_[lane.tenant];
    arrange(tenant.lanes_in_turn, lane.of_tenant, index, ready(lane), tenant.served_at);
    arrange_tenant(lane.tenant);
}

void fair_queue::arrange_tenant(tenant_index index)
{
    auto& tenant = tenants_[index];
    arrange(turn_, tenant.of_all, index, ready(tenant), served_at_);
}

void fair_queue::add(turn& among, share& of, std::uint32_t index, std::int64_t used, std::int64_t served_at)
{
    const bool in_turn = of.in_turn;
    if (in_turn)
        leave(among, of, index);
    of.used = std::min(of.used + used, std::max(of.used, served_at + options_.debt_max.count()));
    if (in_turn)
        enter(among, of, index);
}

void fair_queue::charge(lane_index index, work by)
{
    auto& lane = lanes_[index];
    auto& tenant = tenants_[lane.tenant];
    add(tenant.lanes_in_turn, lane.of_tenant, index, by.count(), tenant.served_at);
    add(turn_, tenant.of_all, lane.tenant, by.count() / tenant.weight, served_at_);
}

std::optional<fair_queue::pick> fair_queue::next()
{
    if (turn_.empty())
        return std::nullopt;
    auto& tenant = tenants_[turn_.begin()->index];
    const auto index = tenant.lanes_in_turn.begin()->index;
    auto& lane = lanes_[index];
    served_at_ = std::max(served_at_, tenant.of_all.used);
    tenant.served_at = std::max(tenant.served_at, lane.of_tenant.used);
    // Who is served has used what others have: with a charge of `debt_max` at most it is not beyond that, and what is given back is what was charged.
    const pick taken{index, lane.items.front(), std::min(lane.mean.value_or(options_.first_charge), options_.debt_max)};
    lane.items.pop_front();
    --waiting_;
    ++tenant.running;
    ++running_;
    charge(index, taken.charged);
    arrange_lane(index);
    return taken;
}

void fair_queue::finished(lane_index index, work charged, work used)
{
    used = std::max(used, work(1));
    auto& mean = lanes_[index].mean;
    mean = mean ? std::max(*mean + (used - *mean) / mean_of, work(1)) : used;
    ended(index, used - charged);
}

void fair_queue::give_back(const pick& taken)
{
    push_front(taken.lane, taken.what);
    not_run(taken.lane, taken.charged);
}

void fair_queue::not_run(lane_index index, work charged)
{
    lanes_[index].of_tenant.first = tenants_[lanes_[index].tenant].of_all.first = true;
    ended(index, -charged);
}

void fair_queue::ended(lane_index index, work correction)
{
    auto& tenant = tenants_[lanes_[index].tenant];
    assert(tenant.running > 0);
    --tenant.running;
    --running_;
    if (correction != work(0))
        charge(index, correction);
    arrange_lane(index);
}

}
