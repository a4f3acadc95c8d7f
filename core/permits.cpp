#include "core/permits.hpp"

#include <algorithm>
#include <numeric>

namespace sluice::core {

bool permits::has_slot(const replica_state& replica) const noexcept
{
    auto max = replica.target->max_inflight ? replica.target->max_inflight : inflight_default_;
    return replica.target->ready && replica.in_flight < max;
}

permits::replica_state* permits::find(std::uint64_t number) noexcept
{
    auto at = std::find_if(replicas_.begin(), replicas_.end(), [number](const replica_state& r) { return r.number == number; });
    return at == replicas_.end() ? nullptr : &*at;
}

void permits::update(const std::vector<endpoint>& endpoints)
{
    std::vector<replica_state> next;
    next.reserve(endpoints.size());
    for (const auto& target : endpoints) {
        auto known =
            std::find_if(replicas_.begin(), replicas_.end(), [&](const replica_state& r) { return r.target->replica == target.replica; });
        replica_state state = known == replicas_.end() ? replica_state{++numbers_, nullptr, 0, {}} : *known;
        if (!state.target || !(*state.target == target))
            state.target = std::make_shared<const endpoint>(target);
        next.push_back(std::move(state));
    }
    replicas_ = std::move(next);
}

std::optional<permits::permit> permits::take(mono_time now)
{
    replica_state* best = nullptr;
    for (std::size_t i = 0; i < replicas_.size(); ++i) {
        auto& replica = replicas_[(cursor_ + i) % replicas_.size()];
        if (has_slot(replica) && replica.rests_until <= now && (!best || replica.in_flight < best->in_flight))
            best = &replica;
    }
    if (!best)
        return std::nullopt;
    cursor_ = static_cast<std::size_t>(best - replicas_.data()) + 1;
    ++best->in_flight;
    return permit{best->number, best->target};
}

void permits::give_back(std::uint64_t number)
{
    if (auto* replica = find(number); replica && replica->in_flight > 0)
        --replica->in_flight;
}

void permits::rest(std::uint64_t number, mono_time until)
{
    if (auto* replica = find(number))
        replica->rests_until = std::max(replica->rests_until, until);
}

std::optional<mono_time> permits::next_chance(mono_time now) const
{
    std::optional<mono_time> earliest;
    for (const auto& replica : replicas_) {
        if (!has_slot(replica))
            continue;
        if (replica.rests_until <= now)
            return std::nullopt;
        if (!earliest || replica.rests_until < *earliest)
            earliest = replica.rests_until;
    }
    return earliest;
}

std::uint32_t permits::in_flight() const noexcept
{
    return std::accumulate(replicas_.begin(), replicas_.end(), 0u,
                           [](std::uint32_t sum, const replica_state& r) { return sum + r.in_flight; });
}

bool permits::any_ready() const noexcept
{
    return std::any_of(replicas_.begin(), replicas_.end(), [](const replica_state& r) { return r.target->ready; });
}

}
