#include "core/retry.hpp"

#include "sluice/wire.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <iomanip>
#include <locale>
#include <sstream>
#include <vector>

namespace sluice::core {

namespace {

constexpr milliseconds rest_after_full{20};
constexpr milliseconds rest_after_refused{100};
constexpr milliseconds rest_max{120'000}; // of a replica, whatever its Retry-After says: its other calls wait too

std::optional<milliseconds> wish_of(const answer& reply, unix_ms now)
{
    const auto* asked = reply.status == 429 || reply.status == 503 ? find(reply.fields, "Retry-After") : nullptr;
    return asked ? parse_retry_after(*asked, now) : std::nullopt;
}

// IMF-fixdate and the two obsolete forms.
std::optional<unix_ms> parse_http_date(std::string_view text)
{
    using namespace std::chrono;
    constexpr std::string_view zone = " GMT";
    const bool has_zone = text.ends_with(zone); // the last form has none
    text.remove_suffix(has_zone ? zone.size() : 0);
    const auto forms = has_zone ? std::vector{"%a, %d %b %Y %H:%M:%S", "%A, %d-%b-%y %H:%M:%S"} : std::vector{"%a %b %d %H:%M:%S %Y"};
    for (const char* form : forms) {
        std::istringstream from{std::string(text)};
        from.imbue(std::locale::classic());
        std::tm read{};
        if (!(from >> std::get_time(&read, form)) || from.peek() != std::istringstream::traits_type::eof())
            continue;
        const year_month_day day(year(read.tm_year + 1'900), month(static_cast<unsigned>(read.tm_mon + 1)),
                                 std::chrono::day(static_cast<unsigned>(read.tm_mday)));
        if (!day.ok())
            continue;
        const auto at = sys_days(day) + hours(read.tm_hour) + minutes(read.tm_min) + seconds(read.tm_sec);
        return duration_cast<milliseconds>(at.time_since_epoch()).count();
    }
    return std::nullopt;
}

struct retried {
    std::uint32_t attempt = 0;
    const retry_policy& policy;
    attempt_end end;

    milliseconds wait(std::optional<milliseconds> wish) const
    {
        return wish ? std::max({*wish, policy.wait_min, milliseconds(1)})
                    : drawn(backoff(attempt, policy.wait_min, policy.wait_max), policy.jitter, end.random);
    }

    // Refusals are not counted: that the waits double follows from waiting for as long again as it has been refused already.
    milliseconds wait_of_refused(std::optional<milliseconds> wish) const
    {
        return wish ? wait(wish) : std::max(wait(wish), std::min(end.refused_for, policy.wait_max));
    }

    verdict again(unsigned status, std::string reason, std::optional<milliseconds> wish = std::nullopt) const
    {
        if (attempt > policy.retries_max)
            return {verdict_kind::dead, {}, status, std::move(reason)};
        return {verdict_kind::retry, wait(wish), status, std::move(reason)};
    }

    bool listed(unsigned status) const { return std::find(policy.codes.begin(), policy.codes.end(), status) != policy.codes.end(); }

    verdict after_answer(const answer& reply) const
    {
        const std::string* component = find(reply.fields, wire::internal_header);
        const auto wish = wish_of(reply, end.at);
        if (component && reply.status == 429)
            return {verdict_kind::give_back, std::clamp(wish.value_or(rest_after_full), rest_after_full, rest_max), 429, "replica is full"};
        if (reply.status == 429 && listed(429))
            return {verdict_kind::postpone, wait_of_refused(wish), 429, "the function answers 429"};
        if (component && reply.status >= 400 && reply.status != 401 && reply.status != 403)
            return again(reply.status, *component + " reports status " + std::to_string(reply.status), wish);
        if (!component && listed(reply.status))
            return again(reply.status, "the function answers " + std::to_string(reply.status), wish);
        return {verdict_kind::done, {}, reply.status, {}};
    }
};

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

milliseconds drawn(milliseconds wait, jitter how, std::uint64_t random) noexcept
{
    const auto least = how == jitter::exponential ? wait : how == jitter::equal ? wait / 2 : milliseconds(0);
    const auto span = static_cast<std::uint64_t>((wait - least).count()) + 1;
    return std::max(least + milliseconds(random % span), milliseconds(1));
}

std::optional<milliseconds> parse_retry_after(std::string_view text, unix_ms now)
{
    if (text.empty())
        return std::nullopt;
    if (text.find_first_not_of("0123456789") == text.npos) {
        std::int64_t seconds = 0;
        const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), seconds);
        const auto most = std::chrono::duration_cast<std::chrono::seconds>(retry_wait_limit).count();
        return failure != std::errc{} || seconds > most ? retry_wait_limit : milliseconds(seconds * 1'000);
    }
    const auto date = parse_http_date(text);
    return date ? std::optional(std::clamp(milliseconds(*date - now), milliseconds(0), retry_wait_limit)) : std::nullopt;
}

verdict after(const outcome& result, std::uint32_t attempt, const retry_policy& policy, attempt_end end)
{
    const retried rule{attempt, policy, end};
    switch (result.kind) {
    case outcome_kind::delivered: return rule.after_answer(result.reply);
    case outcome_kind::refused: return {verdict_kind::give_back, rest_after_refused, 503, result.reason};
    case outcome_kind::overloaded: return {verdict_kind::give_back, rest_after_refused, 503, result.reason};
    case outcome_kind::unreachable: return rule.again(503, result.reason);
    case outcome_kind::timed_out: {
        const std::string reason = "no answer within the call's deadline";
        return rule.listed(504) ? rule.again(504, reason) : verdict{verdict_kind::dead, {}, 504, reason};
    }
    }
    return {verdict_kind::dead, {}, 503, "unknown outcome"};
}

}
