#pragma once
#include "sluice/http.hpp"
#include "sluice/time.hpp"

namespace sluice {

// What became of one attempt to call a function. Adapters translate their errors to one of these, once.
enum class outcome_kind : std::uint8_t {
    delivered,   // an answer arrived, whatever its status
    refused,     // nothing was executed: connection refused, or the replica had no free slot (429 of its own limiter)
    unreachable, // the connection broke after the request may have been sent: executed or not is unknown
    timed_out,   // the call's own deadline passed
    overloaded,  // we could not even try: no descriptor, no memory, pool exhausted
};

// An answer of a function, bounded: `body` holds at most the configured bound.
struct answer {
    unsigned status = 0;
    headers fields;
    std::string body;
    std::uint64_t body_bytes = 0; // what the function sent; greater than body.size() when truncated
    bool truncated = false;
};

// Believes a watchdog that says it cut the answer (wire::cut_answer_header), and removes the field. Only for answers of our own watchdogs.
void adopt_cut(answer& reply);

struct outcome {
    outcome_kind kind = outcome_kind::unreachable;
    answer reply;       // filled for delivered only
    std::string reason; // for people: one line, empty when delivered
    std::chrono::microseconds took{0};
};

}
