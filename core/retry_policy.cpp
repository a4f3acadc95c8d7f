#include "core/retry_policy.hpp"

#include "core/config.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <stdexcept>
#include <utility>

namespace sluice::core {

namespace {

constexpr std::size_t codes_count_max = 100;
constexpr std::string_view prefix = "com.openfaas.retry.";
constexpr std::array<std::pair<std::string_view, jitter>, 3> jitters{
    {{"exponential", jitter::exponential}, {"full", jitter::full}, {"equal", jitter::equal}}};

std::string_view trimmed(std::string_view text)
{
    const auto first = text.find_first_not_of(' ');
    return first == text.npos ? std::string_view() : text.substr(first, text.find_last_not_of(' ') - first + 1);
}

unsigned number(std::string_view text, unsigned from, unsigned to, const char* otherwise)
{
    unsigned value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc{} || end != text.data() + text.size() || value < from || value > to)
        throw std::invalid_argument(otherwise);
    return value;
}

milliseconds wait(std::string_view text)
{
    const auto value = config::parse_duration(text);
    if (value > retry_wait_limit)
        throw std::invalid_argument("is more than 24h");
    return value;
}

}

jitter parse_jitter(std::string_view text)
{
    for (auto [name, value] : jitters)
        if (name == text)
            return value;
    throw std::invalid_argument("is none of exponential, full, equal");
}

std::string_view to_string(jitter what) noexcept
{
    return std::find_if(jitters.begin(), jitters.end(), [what](const auto& each) { return each.second == what; })->first;
}

std::vector<unsigned> parse_retry_codes(std::string_view text)
{
    std::vector<unsigned> codes;
    if (trimmed(text).empty())
        return codes;
    for (std::size_t from = 0; from <= text.size();) {
        const auto to = std::min(text.find(',', from), text.size());
        codes.push_back(number(trimmed(text.substr(from, to - from)), 400, 599, "is no list of statuses from 400 to 599, such as 429,503"));
        if (codes.size() > codes_count_max)
            throw std::invalid_argument("has more than 100 statuses");
        from = to + 1;
    }
    std::sort(codes.begin(), codes.end());
    codes.erase(std::unique(codes.begin(), codes.end()), codes.end());
    return codes;
}

annotated_policy with_annotations(const string_map& annotations, const retry_policy& defaults)
{
    annotated_policy made{defaults, {}};
    const auto take = [&](std::string_view name, auto&& apply) {
        const auto found = annotations.find(std::string(prefix) + std::string(name));
        if (found == annotations.end())
            return;
        try {
            apply(trimmed(found->second));
        } catch (const std::invalid_argument& problem) {
            made.problems.push_back(found->first + " '" + found->second + "' " + problem.what());
        }
    };
    take("attempts", [&](std::string_view text) {
        made.policy.retries_max = number(text, 0, retries_limit, "is no number of retries from 0 to 1000");
    });
    take("min_wait", [&](std::string_view text) { made.policy.wait_min = wait(text); });
    take("max_wait", [&](std::string_view text) { made.policy.wait_max = wait(text); });
    take("codes", [&](std::string_view text) { made.policy.codes = parse_retry_codes(text); });
    if (!annotations.contains(std::string(prefix) + "min_wait"))
        made.policy.wait_min = std::min(made.policy.wait_min, made.policy.wait_max);
    made.policy.wait_max = std::max(made.policy.wait_max, made.policy.wait_min);
    return made;
}

}
