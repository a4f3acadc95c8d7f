#pragma once
#include "core/invocation.hpp"
#include "core/journal_records.hpp"
#include "core/retry.hpp"
#include "sluice/outcome.hpp"

namespace sluice::core {

// The callback of a call that is over, complete, as the journal keeps it: OpenFaaS's header fields (X-Call-Id, X-Function-Name,
// X-Function-Status, X-Duration-Seconds) after those of the function's answer, traceparent, and the answer's body. A body cut at the bound
// is marked by X-Sluice-Truncated with both sizes. When retries are exhausted the last answer is posted, as OpenFaaS does; without any answer
// (`last.kind` not delivered) the body says why and the status is the verdict's. Pure.
journal::answered make_callback(const invocation& call, const verdict& decided, const outcome& last, std::uint32_t attempts);

}
