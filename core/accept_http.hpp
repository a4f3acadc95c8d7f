#pragma once
#include "core/accept.hpp"
#include "sluice/http.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::core {

inline constexpr std::string_view async_prefix = "/async-function/";

// What the moment of acceptance is made of: the caller's clock and randomness.
struct accept_moment {
    std::int64_t unix_ns = 0;
    std::uint64_t random = 0;
};

// Whether such a request may be accepted, as far as its head tells: so that a body that is for nobody need not be waited for.
accept_result<admission> admit(const http_request& head, const directory& known, const accept_policy& policy);

// A request to /async-function/NAME[.NS][/rest][?query] as a call, or why not (OpenFaaS's statuses; 413 and 400 name the field). The
// method is the router's business. The same request at the same moment gives the same id: a publish whose outcome is unknown is asked for
// again. Pure: the request's server has refused control characters, and bounded every field.
accept_result<accepted> accept(const http_request& request, const directory& known, const accept_policy& policy, const accept_moment& now);

// X-Call-Id and X-Start-Time of the 202 to a request that was accepted at that moment for that partition.
headers accept_answer(const http_request& request, std::uint32_t partition, const accept_moment& now);

}
