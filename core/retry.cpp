#include "core/retry.hpp"

#include "sluice/wire.hpp"

#include <algorithm>

namespace sluice::core {

namespace {

constexpr milliseconds rest_after_full{20};
constexpr milliseconds rest_after_refused{100};

verdict again(std::uint32_t attempt, const retry_policy& policy, unsigned status, std::string reason)
{
    if (attempt >= policy.attempts_max)
        return {verdict_kind::dead, {}, status, std::move(reason)};
    return {verdict_kind::retry, backoff(attempt, policy.wait_min, policy.wait_max), status, std::move(reason)};
}

verdict after_answer(const answer& reply, std::uint32_t attempt, const retry_policy& policy)
{
    const std::string* component = find(reply.fields, wire::internal_header);
    if (component && reply.status == 429)
        return {verdict_kind::give_back, rest_after_full, 429, "replica is full"};
    if (component && (reply.status == 500 || reply.status == 502))
        return again(attempt, policy, reply.status, *component + " reports status " + std::to_string(reply.status));
    return {verdict_kind::done, {}, reply.status, {}};
}

}

milliseconds backoff(std::uint32_t attempt, milliseconds min, milliseconds max) noexcept
{
    auto wait = std::max(min, milliseconds(1));
    for (std::uint32_t i = 1; i < attempt; ++i) {
        if (wait > max / 2)
            return max;
        wait *= 2;
    }
    return std::min(wait, max);
}

verdict after(const outcome& result, std::uint32_t attempt, const retry_policy& policy)
{
    switch (result.kind) {
    case outcome_kind::delivered: return after_answer(result.reply, attempt, policy);
    case outcome_kind::refused: return {verdict_kind::give_back, rest_after_refused, 503, result.reason};
    case outcome_kind::overloaded: return {verdict_kind::give_back, rest_after_refused, 503, result.reason};
    case outcome_kind::unreachable: return again(attempt, policy, 503, result.reason);
    case outcome_kind::timed_out: return {verdict_kind::dead, {}, 504, "no answer within the call's deadline"};
    }
    return {verdict_kind::dead, {}, 503, "unknown outcome"};
}

}
