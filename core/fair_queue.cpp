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
    (what.again ? lanes_[lane].retries : lanes_[lane].items).push_back(what);
    ++waiting_;
    arrange_lane(lane);
}

void fair_queue::push_front(lane_index lane, item what)
{
    (what.again ? lanes_[lane].retries : lanes_[lane].items).push_front(what);
    ++waiting_;
    arrange_lane(lane);
}

void fair_queue::erase(std::uint32_t partition)
{
    for (lane_index index = 0; index < lanes_.size(); ++index) {
        for (auto* items : {&lanes_[index].items, &lanes_[index].retries})
            waiting_ -= std::erase_if(*items, [partition](const item& each) { return each.partition == partition; });
        arrange_lane(index);
    }
}

// ---- the turn

bool fair_queue::may_retry(const tenant_state& tenant) const
{
    const auto may_run = std::uint64_t{tenant.limit} * options_.retries_percent / 100;
    return tenant.retries_running < std::max<std::uint64_t>(may_run, 1);
}

bool fair_queue::ready(const tenant_state& tenant) const
{
    const auto& lanes = tenant.lanes_in_turn;
    return !tenant.held && tenant.running < tenant.limit && (!lanes.fresh.empty() || (!lanes.again.empty() && may_retry(tenant)));
}

// Of a tenant that is ready: the lane, and whether a retry of it. A lane's retries are before what it has not tried, where they may run.
std::pair<fair_queue::lane_index, bool> fair_queue::next_of(const tenant_state& tenant) const
{
    const auto &fresh = tenant.lanes_in_turn.fresh, &again = tenant.lanes_in_turn.again;
    const bool retry = !again.empty() && may_retry(tenant) && (fresh.empty() || *again.begin() <= *fresh.begin());
    return {retry ? again.begin()->index : fresh.begin()->index, retry};
}

void fair_queue::put(turn& among, share& of, std::uint32_t index, bool fresh, bool again)
{
    const place here{of.used, of.order, index};
    if (std::exchange(of.fresh, fresh) != fresh)
        fresh ? void(among.fresh.insert(here)) : void(among.fresh.erase(here));
    if (std::exchange(of.again, again) != again)
        again ? void(among.again.insert(here)) : void(among.again.erase(here));
}

// Who was out of the turn saved nothing up; nor did who was in it with retries alone, which may have been without room.
void fair_queue::catch_up(turn& among, share& of, std::uint32_t index, std::int64_t served_at)
{
    if (of.fresh || of.used >= served_at)
        return;
    const bool again = of.again;
    put(among, of, index, false, false);
    of.used = served_at;
    put(among, of, index, false, again);
}

void fair_queue::arrange(turn& among, share& of, std::uint32_t index, bool fresh, bool again, std::int64_t served_at)
{
    if (fresh || (again && !of.again))
        catch_up(among, of, index, served_at);
    if (!of.fresh && !of.again && (fresh || again))
        of.order = next_order(of);
    put(among, of, index, fresh, again);
}

void fair_queue::arrange_lane(lane_index index)
{
    auto& lane = lanes_[index];
    auto& tenant = tenants_[lane.tenant];
    arrange(tenant.lanes_in_turn, lane.of_tenant, index, !lane.held && !lane.items.empty(), !lane.held && !lane.retries.empty(),
            tenant.served_at);
    arrange_tenant(lane.tenant);
}

void fair_queue::arrange_tenant(tenant_index index)
{
    auto& tenant = tenants_[index];
    arrange(turn_, tenant.of_all, index, ready(tenant), false, served_at_);
}

void fair_queue::add(turn& among, share& of, std::uint32_t index, std::int64_t used, std::int64_t served_at)
{
    const bool fresh = of.fresh, again = of.again;
    put(among, of, index, false, false);
    of.used = std::min(of.used + used, std::max(of.used, served_at + options_.debt_max.count()));
    if (fresh || again)
        of.order = next_order(of);
    put(among, of, index, fresh, again);
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
    if (turn_.fresh.empty())
        return std::nullopt;
    auto& tenant = tenants_[turn_.fresh.begin()->index];
    const auto [index, again] = next_of(tenant);
    auto& lane = lanes_[index];
    catch_up(tenant.lanes_in_turn, lane.of_tenant, index, tenant.served_at);
    served_at_ = std::max(served_at_, tenant.of_all.used);
    tenant.served_at = std::max(tenant.served_at, lane.of_tenant.used);
    auto& items = again ? lane.retries : lane.items;
    // Who is served has used what others have: with a charge of `debt_max` at most it is not beyond that, and what is given back is what was charged.
    const pick taken{index, items.front(), std::min(lane.mean.value_or(options_.first_charge), options_.debt_max)};
    items.pop_front();
    --waiting_;
    ++tenant.running;
    tenant.retries_running += again ? 1 : 0;
    ++running_;
    charge(index, taken.charged);
    arrange_lane(index);
    return taken;
}

void fair_queue::finished(const pick& taken, work used)
{
    used = std::max(used, work(1));
    auto& mean = lanes_[taken.lane].mean;
    mean = mean ? std::max(*mean + (used - *mean) / mean_of, work(1)) : used;
    ended(taken, used - taken.charged);
}

void fair_queue::give_back(const pick& taken)
{
    push_front(taken.lane, taken.what);
    not_run(taken);
}

void fair_queue::not_run(const pick& taken)
{
    const auto& lane = lanes_[taken.lane];
    lanes_[taken.lane].of_tenant.first = tenants_[lane.tenant].of_all.first = true;
    ended(taken, -taken.charged);
}

void fair_queue::ended(const pick& taken, work correction)
{
    auto& tenant = tenants_[lanes_[taken.lane].tenant];
    assert(tenant.running > 0 && tenant.retries_running >= (taken.what.again ? 1u : 0u));
    --tenant.running;
    tenant.retries_running -= taken.what.again ? 1 : 0;
    --running_;
    if (correction != work(0))
        charge(taken.lane, correction);
    arrange_lane(taken.lane);
}

}
