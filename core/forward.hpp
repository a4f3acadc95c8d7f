#pragma once
#include "sluice/http.hpp"

#include <cstdint>
#include <string>
#include <string_view>

// What a gateway changes in a request on its way to a function (OpenFaaS's rules; RFC 9110 § 7.6). Pure.
namespace sluice::core {

// "/function/NAME[.NS][/rest][?query]" taken apart, nothing decoded. Views into the target.
struct function_target {
    std::string_view name;  // as written
    std::string_view path;  // "/rest", or empty
    std::string_view query; // with its '?', or empty
};
// `prefix` ends with a slash and starts the target.
function_target split_target(std::string_view target, std::string_view prefix) noexcept;

// W3C Trace Context § 3.2: the whole value has a valid form.
bool is_traceparent(std::string_view value) noexcept;
// A trace that starts here: its trace id is the invocation id's hexadecimal digits, its flag "sampled" leaves the choice to the function.
std::string make_traceparent(std::string_view id);

struct additions {
    std::string_view id;              // the invocation's
    std::int64_t start_unix_ns = 0;   // X-Start-Time, beside the caller's own
    std::string_view user_agent = {}; // where the caller sent none; empty: none then
};

// Appends the field lines that the function gets: the caller's in their order, without those of the connection (also the ones that
// Connection names), Host, Content-Length, Expect, and our replica token, which only we may send; then X-Call-Id, X-Forwarded-For,
// X-Forwarded-Host and User-Agent where the caller sent none, X-Start-Time, and a traceparent where the caller's is missing or invalid
// (an invalid one is left out together with tracestate). Returns the call id: the caller's, else the invocation's.
std::string_view append_forwarded(std::string& block, const http_request& from, const additions& more);

// Bytes that append_forwarded may need beyond the caller's own fields.
inline constexpr std::size_t additions_bytes_max = 512;
std::size_t field_bytes(const http_request& from) noexcept;

}
