#pragma once
#include "core/invocation.hpp"
#include "core/journal_records.hpp"
#include "core/retry.hpp"
#include "sluice/outcome.hpp"

namespace sluice::core {

struct attempts_made {
    std::uint32_t attempts = 1; // that may have executed the function
    std::uint32_t retries_max = 0;
};

// The callback of a call that is over, complete, as the journal keeps it: OpenFaaS's header fields (X-Call-Id, X-Function-Name,
// X-Function-Status, X-Duration-Seconds) after those of the function's answer, traceparent, and the answer's body. A body cut at the bound
// is marked by X-Sluice-Truncated with both sizes. When retries are exhausted the last answer is posted, as OpenFaaS does; without any answer
// (`last.kind` not delivered) the body says why and the status is the verdict's. X-Retry is the number of retries, where there were any, X-Retry-Max
// how many there could have been. Pure.
journal::answered make_callback(const invocation& call, const verdict& decided, const outcome& last, attempts_made tried);

}
