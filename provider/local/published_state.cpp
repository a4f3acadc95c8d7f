#include "core/function_codec.hpp"
#include "provider/local/functions.hpp"

#include <algorithm>

// What others are told of a function: its endpoints, and what keeps it from running as its spec says.
namespace sluice::provider {

using core::replica_phase;

void functions::note_room(entry& of, std::uint32_t no_room_for)
{
    if (of.no_room_for == 0 && no_room_for > 0)
        events_.warn("replicas not started function={} missing={} replicas_max={}", of.name.full(), no_room_for, options_.replicas_max);
    of.no_room_for = no_room_for;
}

std::uint32_t functions::taking_calls(const entry& of)
{
    return static_cast<std::uint32_t>(std::count_if(of.replicas.begin(), of.replicas.end(), [&](const auto& runs) {
        return runs->phase() == replica_phase::ready && of.plan && runs->record().spec_hash == of.plan->spec_hash;
    }));
}

// What keeps the function from running as its spec says, as far as it is known.
std::optional<function_trouble> functions::trouble_of(const entry& of) const
{
    if (!of.refused.empty())
        return function_trouble{of.refused, of.failures};
    if (!of.plan || taking_calls(of) >= of.plan->replicas)
        return std::nullopt;
    for (const auto& runs : of.replicas)
        if (runs->phase() == replica_phase::failing || runs->phase() == replica_phase::silent)
            return function_trouble{runs->why_not_ready(), of.failures};
    for (const auto& runs : of.replicas)
        if (runs->starts_slowly() && runs->record().spec_hash == of.plan->spec_hash)
            return function_trouble{runs->why_not_ready() + " after " + config::format_duration(options_.slow_start_after), of.failures};
    if (!of.failure.empty())
        return function_trouble{of.failure, of.failures};
    if (of.no_room_for > 0)
        return function_trouble{"replicas_max is reached: this machine runs " + std::to_string(options_.replicas_max)
                                    + " replicas, and this function wants " + std::to_string(of.no_room_for) + " more",
                                of.failures};
    return std::nullopt;
}

void functions::publish(entry& of)
{
    if (of.plan && taking_calls(of) + of.no_room_for >= of.plan->replicas)
        of.failure.clear(); // it is over: all that there is room for are ready
    const auto key = of.name.key();
    if (find_static(key))
        return; // what is left of an ordinary function of that name
    if (!of.wanted)
        return publisher_.erase(key);
    function_endpoints published{of.name, of.plan ? of.plan->replicas : 1, {}, trouble_of(of)};
    for (const auto& runs : of.replicas) {
        const auto& record = runs->record();
        if (runs->phase() < replica_phase::leaving)
            published.replicas.push_back(
                {record.replica, "127.0.0.1", record.port, record.max_inflight, record.token, runs->phase() == replica_phase::ready});
    }
    publisher_.set(key, core::encode(published));
}

}
