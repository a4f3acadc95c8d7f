#pragma once
#include "sluice/outcome.hpp"
#include "sluice/time.hpp"

#include <cstdint>
#include <string>

namespace sluice::core {

struct retry_policy {
    std::uint32_t attempts_max = 10; // attempts that may have executed the function
    milliseconds wait_min{1'000};    // before the second attempt, doubling
    milliseconds wait_max{120'000};
};

// What to do after one attempt.
enum class verdict_kind : std::uint8_t {
    done,      // the function's answer stands, whatever its status
    retry,     // again after `wait`; the attempt counts
    give_back, // nothing was executed: back to the queue, the attempt does not count; the replica rests for `wait`
    dead,      // no more attempts
};

struct verdict {
    verdict_kind kind = verdict_kind::done;
    milliseconds wait{0};
    unsigned status = 0; // what a callback reports: the function's own status, or 503 (no answer), 504 (too late)
    std::string reason;  // for people; empty for done
};

// Doubling from min to max; `attempt` counts from 1.
milliseconds backoff(std::uint32_t attempt, milliseconds min, milliseconds max) noexcept;

// Pure. `attempt` counts from 1 and includes this one. A broken connection is retried, and an error that a core component reports of
// itself (X-OpenFaaS-Internal with 500 or 502); a full replica (its limiter's 429) and a refused connection give the call back; a
// function's own answer, an error status included, stands; a call that ran out of its time is dead.
verdict after(const outcome& attempt_outcome, std::uint32_t attempt, const retry_policy& policy);

// After a callback that was not delivered.
struct callback_policy {
    std::uint32_t attempts_max = 12;
    milliseconds wait_min{1'000};
    milliseconds wait_max{300'000};
};

}
