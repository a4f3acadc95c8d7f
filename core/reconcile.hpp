#pragma once
#include "sluice/time.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// What to do about the replicas of one function. Pure: the provider asks after each change and at `wake`, and performs.
namespace sluice::core {

enum class replica_phase : std::uint8_t {
    starting, // its process runs, no positive answer yet
    ready,    // answers that it takes calls
    failing,  // was ready, now answers that it is not: left alone, as it may be busy with a call
    silent,   // was ready, does not answer at all
    leaving,  // no longer published; calls that were on their way still arrive
    stopping, // was told to finish and end
};

struct replica_state {
    std::string id;
    std::uint64_t spec_hash = 0; // what it runs
    replica_phase phase = replica_phase::starting;
    mono_time since{}; // of the phase
};

struct function_state {
    std::uint32_t desired = 0;                 // 0 also when the function was removed
    std::uint64_t spec_hash = 0;               // what is to run
    std::vector<replica_state> replicas;       // oldest first
    std::optional<mono_time> start_not_before; // after failures: no start earlier
};

struct reconcile_policy {
    milliseconds start_deadline{60'000}; // a replica that is starting or silent for that long is killed
    milliseconds leave_wait{300};        // from unpublishing to the order to stop
    milliseconds stop_deadline{35'000};  // from the order to stop to SIGKILL
};

enum class replica_action : std::uint8_t { start, leave, terminate, kill };

struct reconcile_step {
    replica_action action;
    std::string replica; // empty for start
    std::string reason;  // for people
};

struct reconcile_decision {
    std::vector<reconcile_step> steps;
    std::uint32_t no_room_for = 0; // wanted replicas beyond free_slots
    std::optional<mono_time> wake; // the next moment at which time alone changes the decision
};

// `free_slots`: how many more replicas this machine may run. An old version leaves only as far as the new one's ready replicas
// make up for it, so a version that never gets ready takes nothing down.
reconcile_decision reconcile(const function_state& function, const reconcile_policy& policy, std::uint32_t free_slots, mono_time now);

// The count asked for by the labels com.openfaas.scale.min (default 1, at least 1) and com.openfaas.scale.max (a ceiling). A label that
// is no whole number is left out, and `wrong` says so.
struct wanted_replicas {
    struct wrong_label {
        std::string label;
        std::string message; // continues the label's name
    };
    std::uint32_t count = 1;
    std::optional<wrong_label> wrong; // what was ignored
};
wanted_replicas replicas_wanted(const std::optional<std::string>& scale_min, const std::optional<std::string>& scale_max);

}
