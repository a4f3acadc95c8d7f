#pragma once
#include "sluice/function.hpp"
#include "sluice/time.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// How often and when a call is tried again: the worker's settings, and a function's annotations over them (OpenFaaS: com.openfaas.retry.*).
// Pure.
namespace sluice::core {

// What is drawn from the doubled wait: itself, between nothing and it, between half of it and it.
enum class jitter : std::uint8_t { exponential, full, equal };

struct retry_policy {
    std::uint32_t retries_max = 10;                            // attempts that may have executed the function, beyond the first
    milliseconds wait_min{10'000};                             // before the second attempt, doubling
    milliseconds wait_max{120'000};                            // between two attempts, unless the function asks for longer (Retry-After)
    std::vector<unsigned> codes{408, 429, 500, 502, 503, 504}; // statuses of the function that are tried again
    core::jitter jitter = core::jitter::exponential;

    friend bool operator==(const retry_policy&, const retry_policy&) = default;
};

inline constexpr std::uint32_t retries_limit = 1'000;
inline constexpr milliseconds retry_wait_limit{24 * 3'600'000};

// "exponential", "full", "equal"; throws std::invalid_argument.
jitter parse_jitter(std::string_view text);
std::string_view to_string(jitter what) noexcept;

// "408,429,500": statuses from 400 to 599, at most 100 of them; throws std::invalid_argument. Empty: none.
std::vector<unsigned> parse_retry_codes(std::string_view text);

struct annotated_policy {
    retry_policy policy;
    std::vector<std::string> problems; // "com.openfaas.retry.attempts 'x' is ...", of values that were not taken
};

// com.openfaas.retry.attempts (retries, 0 to 1000), .min_wait and .max_wait (Go's durations or whole seconds, at most 24h), .codes. A value
// that makes no sense is not taken. Where the minimum is above the maximum the one that the function gives counts, of two the minimum.
annotated_policy with_annotations(const string_map& annotations, const retry_policy& defaults);

}
