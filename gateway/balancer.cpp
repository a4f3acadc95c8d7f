#include "gateway/balancer.hpp"

#include <algorithm>
#include <cassert>

namespace sluice::gateway {

std::uint32_t balancer::under_way(const function_name& function, const std::string& replica) const
{
    const auto of = under_way_.find(function);
    if (of == under_way_.end())
        return 0;
    const auto at = of->second.find(replica);
    return at == of->second.end() ? 0 : at->second;
}

const endpoint* balancer::start(const function_endpoints& among, const std::vector<std::string>& tried)
{
    const endpoint* best = nullptr;
    std::uint32_t best_load = 0;
    const auto count = among.replicas.size();
    ++turn_;
    for (std::size_t i = 0; i < count; ++i) {
        const auto& candidate = among.replicas[(turn_ + i) % count];
        if (!candidate.ready || std::find(tried.begin(), tried.end(), candidate.replica) != tried.end())
            continue;
        const auto load = under_way(among.name, candidate.replica);
        if (!best || load < best_load) {
            best = &candidate;
            best_load = load;
        }
    }
    if (best)
        ++under_way_[among.name][best->replica];
    return best;
}

void balancer::finished(const function_name& function, const std::string& replica)
{
    const auto of = under_way_.find(function);
    assert(of != under_way_.end());
    const auto at = of->second.find(replica);
    assert(at != of->second.end());
    if (--at->second == 0)
        of->second.erase(at);
    if (of->second.empty())
        under_way_.erase(of);
}

}
