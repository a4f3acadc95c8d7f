#pragma once
#include "core/retry_policy.hpp"
#include "sluice/outcome.hpp"
#include "sluice/time.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace sluice::core {

// What to do after one attempt.
enum class verdict_kind : std::uint8_t {
    done,      // the function's answer stands, whatever its status
    retry,     // again after `wait`; the attempt counts
    give_back, // nothing was executed: back to the queue, the attempt does not count; the replica rests for `wait`
    postpone,  // the function asks for later: again after `wait`, the attempt does not count; the replica goes on
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
// Drawn from a wait by a random number; at least a millisecond.
milliseconds drawn(milliseconds wait, jitter how, std::uint64_t random) noexcept;

// The wait that Retry-After asks for (RFC 9110, 10.2.3): seconds, or a date in any of the three forms of 5.6.7, by our clock; a date that has
// passed is no wait. Nothing when it is neither. At most retry_wait_limit.
std::optional<milliseconds> parse_retry_after(std::string_view text, unix_ms now);

// When an attempt ended, a random number for its jitter, and for how long the call had been refused by then, with nothing else between.
struct attempt_end {
    unix_ms at = 0;
    std::uint64_t random = 0;
    milliseconds refused_for{0};
};

// Pure. `attempt` counts from 1 and includes this one.
// Retried: a broken connection; an error that a core component reports of itself (X-OpenFaaS-Internal), but for 401 and 403, which asking again
// does not help; a function's own answer with one of the policy's codes; no answer in the call's time where 504 is one of them. Without
// attempts left it is dead. Retry-After of 429 and 503 replaces the wait, but for one shorter than wait_min.
// Not counted: a replica's limiter's 429 and a refused connection give the call back, a function's own 429, where it is among the codes, postpones
// it by its Retry-After, else by a retry's wait or as long again as it has been refused, at most wait_max. Any other answer stands, an error
// status included.
verdict after(const outcome& attempt_outcome, std::uint32_t attempt, const retry_policy& policy, attempt_end end);

// After a callback that was not delivered.
struct callback_policy {
    std::uint32_t attempts_max = 12;
    milliseconds wait_min{1'000};
    milliseconds wait_max{300'000};
};

}
