#include "core/reservations.hpp"

#include <algorithm>
#include <bit>
#include <cassert>

namespace sluice::core {

void reservations::restore(const std::string& tenant, std::uint32_t slots, std::uint64_t at)
{
    auto& what = tenants_[tenant];
    what.reserved = what.ghosts = slots;
    what.at = at;
}

void reservations::begin(mono_time now)
{
    if (!tenants_.empty())
        ghosts_until_ = now + options_.call_timeout;
    shrink_at_ = now + options_.interval;
}

bool reservations::may_start(const state& what) noexcept
{
    // One that is about to be lowered binds already; a larger one does so once it is on record.
    const auto allowed = what.is_pending ? std::min(what.reserved, what.pending) : what.reserved;
    return what.running + what.ghosts < allowed;
}

bool reservations::may_start(const std::string& tenant)
{
    if (options_.call_timeout == milliseconds(0))
        return true;
    const auto at = tenants_.find(tenant);
    return at != tenants_.end() && may_start(at->second);
}

void reservations::started(const std::string& tenant)
{
    if (options_.call_timeout == milliseconds(0))
        return;
    auto& what = tenants_[tenant];
    what.peak = std::max(what.peak, ++what.running);
}

void reservations::finished(const std::string& tenant)
{
    if (options_.call_timeout == milliseconds(0))
        return;
    if (const auto at = tenants_.find(tenant); at != tenants_.end() && at->second.running > 0)
        --at->second.running;
}

std::vector<journal::reserved> reservations::grow(const std::string& tenant)
{
    auto& what = tenants_[tenant];
    const auto needed = what.running + what.ghosts + 1;
    if (what.is_pending || needed <= what.reserved || needed > options_.limit)
        return {};
    what.pending = std::min(options_.limit, std::max(needed, 2 * what.reserved));
    what.is_pending = true;
    return {{tenant, what.pending}};
}

std::vector<journal::reserved> reservations::shrink(mono_time now)
{
    std::vector<journal::reserved> lower;
    if (now < shrink_at_)
        return lower;
    shrink_at_ = now + options_.interval;
    erase_if(tenants_, [](const auto& entry) {
        const auto& what = entry.second;
        return !what.is_pending && what.reserved + what.ghosts + what.running + what.peak == 0;
    });
    for (auto& [tenant, what] : tenants_) {
        const auto used = std::exchange(what.peak, what.running);
        const auto needed = what.ghosts + (used == 0 ? 0 : std::bit_ceil(used));
        if (what.is_pending || needed > what.reserved / 2 || what.reserved == 0)
            continue;
        what.pending = needed;
        what.is_pending = true;
        lower.push_back({tenant, needed});
    }
    std::sort(lower.begin(), lower.end(), [](const auto& a, const auto& b) { return a.tenant < b.tenant; });
    return lower;
}

std::uint64_t reservations::stored(const journal::reserved& what, std::uint64_t at)
{
    auto& entry = tenants_[what.tenant];
    // One that was copied says again what is on record; another may be under way.
    if (entry.is_pending && entry.pending == what.slots) {
        entry.reserved = what.slots;
        entry.is_pending = false;
    }
    return std::exchange(entry.at, what.slots > 0 ? at : 0);
}

bool reservations::counts(const journal::reserved& what, std::uint64_t at) const
{
    const auto entry = tenants_.find(what.tenant);
    return entry != tenants_.end() && entry->second.at == at && !entry->second.is_pending && entry->second.reserved == what.slots;
}

void reservations::end_ghosts(mono_time now)
{
    if (now < ghosts_until_)
        return;
    ghosts_until_ = mono_time::max();
    for (auto& [tenant, what] : tenants_)
        what.ghosts = 0;
}

}
