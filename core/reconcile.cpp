#include "core/reconcile.hpp"

#include <algorithm>
#include <charconv>

namespace sluice::core {

namespace {

class pass {
public:
    pass(const function_state& function, const reconcile_policy& policy, mono_time now) : function_(function), policy_(policy), now_(now) {}

    reconcile_decision run(std::uint32_t free_slots)
    {
        for (const auto& replica : function_.replicas)
            watch_clock(replica);
        retire();
        start_missing(free_slots);
        return std::move(decision_);
    }

private:
    bool current(const replica_state& replica) const { return replica.spec_hash == function_.spec_hash; }
    static bool going(const replica_state& replica) { return replica.phase >= replica_phase::leaving; }

    void step(replica_action action, const replica_state& replica, const char* reason)
    {
        decision_.steps.push_back({action, replica.id, reason});
    }

    void wake_at(mono_time when)
    {
        if (!decision_.wake || when < *decision_.wake)
            decision_.wake = when;
    }

    // True once the replica has been in its phase that long; else the decision is asked for again at that moment.
    bool elapsed(const replica_state& replica, milliseconds bound)
    {
        const auto due = replica.since + bound;
        if (now_ >= due)
            return true;
        wake_at(due);
        return false;
    }

    void watch_clock(const replica_state& replica)
    {
        switch (replica.phase) {
        case replica_phase::ready:
        case replica_phase::failing: break;
        case replica_phase::starting:
        case replica_phase::silent:
            if (elapsed(replica, policy_.start_deadline))
                step(replica_action::kill, replica, replica.phase == replica_phase::starting ? "not ready in time" : "stopped answering");
            break;
        case replica_phase::leaving:
            if (elapsed(replica, policy_.leave_wait))
                step(replica_action::terminate, replica, "drains");
            break;
        case replica_phase::stopping:
            if (elapsed(replica, policy_.stop_deadline))
                step(replica_action::kill, replica, "did not end in time");
            break;
        }
    }

    std::uint32_t count_current(bool only_ready) const
    {
        return static_cast<std::uint32_t>(std::count_if(function_.replicas.begin(), function_.replicas.end(), [&](const auto& replica) {
            return current(replica) && !going(replica) && (!only_ready || replica.phase == replica_phase::ready);
        }));
    }

    void retire()
    {
        // Of the old version as many stay as the new one lacks, and only those that work.
        const auto ready = count_current(true);
        std::uint32_t old_kept = function_.desired > ready ? function_.desired - ready : 0;
        for (const auto& replica : function_.replicas) {
            if (current(replica) || going(replica))
                continue;
            if (replica.phase == replica_phase::ready && old_kept > 0)
                --old_kept;
            else
                step(replica_action::leave, replica, function_.desired == 0 ? "function removed" : "replaced by a new version");
        }
        const auto running = count_current(false);
        std::uint32_t surplus = running > function_.desired ? running - function_.desired : 0;
        for (const bool ready_ones : {false, true}) // one that is not ready serves nobody: it goes first, and the newest before the oldest
            for (auto at = function_.replicas.rbegin(); at != function_.replicas.rend() && surplus > 0; ++at)
                if (current(*at) && !going(*at) && (at->phase == replica_phase::ready) == ready_ones) {
                    step(replica_action::leave, *at, function_.desired == 0 ? "function removed" : "more than wanted");
                    --surplus;
                }
    }

    void start_missing(std::uint32_t free_slots)
    {
        const auto running = count_current(false);
        if (running >= function_.desired)
            return;
        if (function_.start_not_before && now_ < *function_.start_not_before)
            return wake_at(*function_.start_not_before);
        const auto count = std::min(function_.desired - running, free_slots);
        decision_.no_room_for = function_.desired - running - count;
        for (std::uint32_t i = 0; i < count; ++i)
            decision_.steps.push_back({replica_action::start, {}, {}});
    }

    const function_state& function_;
    const reconcile_policy& policy_;
    mono_time now_;
    reconcile_decision decision_;
};

std::optional<std::uint32_t> whole_number(const std::string& text)
{
    std::uint32_t number = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size())
        return std::nullopt;
    return number;
}

}

reconcile_decision reconcile(const function_state& function, const reconcile_policy& policy, std::uint32_t free_slots, mono_time now)
{
    return pass(function, policy, now).run(free_slots);
}

wanted_replicas replicas_wanted(const std::optional<std::string>& scale_min, const std::optional<std::string>& scale_max)
{
    wanted_replicas wanted;
    if (scale_min) {
        if (const auto min = whole_number(*scale_min))
            wanted.count = std::max(1U, *min); // nothing wakes a function at zero by itself
        else
            wanted.wrong = {"com.openfaas.scale.min", "is no whole number: '" + *scale_min + "'"};
    }
    if (scale_max) {
        const auto max = whole_number(*scale_max);
        if (!max || *max == 0)
            wanted.wrong = {"com.openfaas.scale.max", "is no whole number above 0: '" + *scale_max + "'"};
        else
            wanted.count = std::min(wanted.count, *max);
    }
    return wanted;
}

}
