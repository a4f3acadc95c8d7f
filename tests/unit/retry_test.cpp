#include "core/retry.hpp"

#include "sluice/wire.hpp"

#include <gtest/gtest.h>

#include <set>

using namespace sluice;
using namespace sluice::core;

namespace {

const retry_policy policy = [] {
    retry_policy made;
    made.retries_max = 2;
    made.wait_min = milliseconds(1'000);
    return made;
}();
constexpr unix_ms noon = 1'767'268'800'000; // Thu, 01 Jan 2026 12:00:00 GMT

outcome answered(unsigned status, bool by_component = false, const std::string& retry_after = {})
{
    outcome result;
    result.kind = outcome_kind::delivered;
    result.reply.status = status;
    if (by_component)
        result.reply.fields.push_back({"x-openfaas-internal", "of-watchdog"});
    if (!retry_after.empty())
        result.reply.fields.push_back({"retry-after", retry_after});
    return result;
}

outcome failed(outcome_kind kind) { return {kind, {}, "why", {}}; }

verdict decide(const outcome& result, std::uint32_t attempt, const retry_policy& with = policy)
{
    return after(result, attempt, with, {noon, 0, {}});
}

}

TEST(retry_test, backoff_doubles_between_its_bounds)
{
    EXPECT_EQ(backoff(1, milliseconds(100), milliseconds(1'000)), milliseconds(100));
    EXPECT_EQ(backoff(2, milliseconds(100), milliseconds(1'000)), milliseconds(200));
    EXPECT_EQ(backoff(4, milliseconds(100), milliseconds(1'000)), milliseconds(800));
    EXPECT_EQ(backoff(5, milliseconds(100), milliseconds(1'000)), milliseconds(1'000));
    EXPECT_EQ(backoff(0xFFFFFFFF, milliseconds(100), milliseconds(1'000)), milliseconds(1'000));
    EXPECT_EQ(backoff(0xFFFFFFFF, milliseconds(0), milliseconds::max()), milliseconds::max()) << "it never overflows";
    EXPECT_EQ(backoff(1, milliseconds(0), milliseconds(10)), milliseconds(1)) << "never a busy loop";
    EXPECT_EQ(backoff(3, milliseconds(500), milliseconds(10)), milliseconds(10)) << "the upper bound wins";
}

TEST(retry_test, jitter_draws_from_the_whole_of_its_range_and_nothing_else)
{
    for (auto [how, least] : {std::pair(jitter::exponential, 10), std::pair(jitter::equal, 5), std::pair(jitter::full, 1)}) {
        std::set<std::int64_t> seen;
        for (std::uint64_t random = 0; random < 1'000; ++random)
            seen.insert(drawn(milliseconds(10), how, random).count());
        EXPECT_EQ(*seen.begin(), least) << to_string(how);
        EXPECT_EQ(*seen.rbegin(), 10) << to_string(how);
        EXPECT_EQ(seen.size(), static_cast<std::size_t>(10 - least + 1)) << to_string(how);
    }
    EXPECT_EQ(drawn(milliseconds(0), jitter::full, 7), milliseconds(1)) << "never a busy loop";
    EXPECT_LE(drawn(retry_wait_limit, jitter::full, ~0ull), retry_wait_limit);
}

TEST(retry_test, retry_after_is_seconds_or_a_date_in_any_of_http_s_forms)
{
    EXPECT_EQ(parse_retry_after("0", noon), milliseconds(0));
    EXPECT_EQ(parse_retry_after("120", noon), milliseconds(120'000));
    EXPECT_EQ(parse_retry_after("99999999999999999999999", noon), retry_wait_limit);
    for (const char* date : {"Thu, 01 Jan 2026 12:01:30 GMT", "Thursday, 01-Jan-26 12:01:30 GMT", "Thu Jan  1 12:01:30 2026"})
        EXPECT_EQ(parse_retry_after(date, noon), milliseconds(90'000)) << date;
    EXPECT_EQ(parse_retry_after("Thu, 01 Jan 2026 11:00:00 GMT", noon), milliseconds(0)) << "it has passed";
    EXPECT_EQ(parse_retry_after("Thu, 01 Jan 2099 11:00:00 GMT", noon), retry_wait_limit);
    for (const char* wrong :
         {"", "-1", "1.5", "soon", "1s", "Thu, 01 Jan 2026 12:01:30", "Thu, 01 Jan 2026 12:01:30 GMT+1", "Thu, 41 Jan 2026 12:01:30 GMT"})
        EXPECT_EQ(parse_retry_after(wrong, noon), std::nullopt) << wrong;
}

TEST(retry_test, an_answer_whose_status_is_not_listed_stands)
{
    for (unsigned status : {200u, 204u, 302u, 400u, 401u, 403u, 404u, 501u, 505u}) {
        const auto decided = decide(answered(status), 1);
        EXPECT_EQ(decided.kind, verdict_kind::done) << status;
        EXPECT_EQ(decided.status, status);
        EXPECT_TRUE(decided.reason.empty());
    }
    auto none = policy;
    none.codes.clear();
    for (unsigned status : {408u, 429u, 500u, 503u})
        EXPECT_EQ(decide(answered(status), 1, none).kind, verdict_kind::done) << status;
}

TEST(retry_test, a_listed_status_is_retried_and_then_dead_with_it)
{
    for (unsigned status : {408u, 500u, 502u, 503u, 504u}) {
        const auto first = decide(answered(status), 1);
        EXPECT_EQ(first.kind, verdict_kind::retry) << status;
        EXPECT_EQ(first.wait, milliseconds(1'000)) << status;
        EXPECT_EQ(decide(answered(status), 2).wait, milliseconds(2'000)) << status;
        const auto last = decide(answered(status), 3);
        EXPECT_EQ(last.kind, verdict_kind::dead) << status;
        EXPECT_EQ(last.status, status);
        EXPECT_NE(last.reason.find(std::to_string(status)), std::string::npos);
    }
}

TEST(retry_test, retry_after_replaces_the_wait_of_429_and_503_alone_but_for_a_shorter_one)
{
    EXPECT_EQ(decide(answered(503, false, "40"), 2).wait, milliseconds(40'000));
    EXPECT_EQ(decide(answered(503, false, "3600"), 1).wait, milliseconds(3'600'000)) << "beyond wait_max: it is what the function wants";
    EXPECT_EQ(decide(answered(503, false, "0"), 2).wait, policy.wait_min);
    EXPECT_EQ(decide(answered(503, false, "soon"), 2).wait, milliseconds(2'000));
    EXPECT_EQ(decide(answered(500, false, "40"), 2).wait, milliseconds(2'000));
    EXPECT_EQ(decide(answered(503, true, "40"), 2).wait, milliseconds(40'000));
}

TEST(retry_test, a_full_replica_and_a_refused_connection_give_the_call_back)
{
    for (std::uint32_t attempt : {1u, 3u, 1'000u}) {
        for (const auto& refusal :
             {answered(429, true), answered(429, true, "0"), failed(outcome_kind::refused), failed(outcome_kind::overloaded)}) {
            EXPECT_EQ(decide(refusal, attempt).kind, verdict_kind::give_back);
            EXPECT_GT(decide(refusal, attempt).wait, milliseconds(0)) << "the replica rests";
        }
    }
    EXPECT_EQ(decide(answered(429, true, "7"), 1).wait, milliseconds(7'000));
    EXPECT_EQ(decide(answered(429, true, "86400"), 1).wait, milliseconds(120'000)) << "bounded: others wait for the replica too";
}

TEST(retry_test, a_functions_own_429_postpones_the_call_without_an_end)
{
    for (std::uint32_t attempt : {1u, 3u, 1'000u})
        EXPECT_EQ(decide(answered(429), attempt).kind, verdict_kind::postpone);
    EXPECT_EQ(decide(answered(429), 2).wait, milliseconds(2'000));
    EXPECT_EQ(decide(answered(429, false, "7"), 1).wait, milliseconds(7'000));
    for (const char* at_once : {"0", "Thu, 01 Jan 2026 11:00:00 GMT"})
        EXPECT_EQ(decide(answered(429, false, at_once), 1).wait, policy.wait_min);
    auto eager = policy;
    eager.wait_min = milliseconds(0);
    EXPECT_EQ(decide(answered(429, false, "0"), 1, eager).wait, milliseconds(1)) << "never a busy loop";
}

TEST(retry_test, what_a_component_reports_of_itself_is_retried_and_then_dead_with_its_status)
{
    for (unsigned status : {400u, 404u, 500u, 502u, 599u}) {
        EXPECT_EQ(decide(answered(status, true), 2).kind, verdict_kind::retry);
        const auto last = decide(answered(status, true), 3);
        EXPECT_EQ(last.kind, verdict_kind::dead);
        EXPECT_EQ(last.status, status);
        EXPECT_NE(last.reason.find("of-watchdog"), std::string::npos);
    }
    for (unsigned status : {401u, 403u})
        EXPECT_EQ(decide(answered(status, true), 1).kind, verdict_kind::done) << "asking again would not help";
    EXPECT_EQ(decide(answered(200, true), 1).kind, verdict_kind::done);
}

TEST(retry_test, a_broken_connection_is_retried_whatever_is_listed_and_then_dead_with_503)
{
    auto none = policy;
    none.codes.clear();
    EXPECT_EQ(decide(failed(outcome_kind::unreachable), 1, none).wait, milliseconds(1'000));
    EXPECT_EQ(decide(failed(outcome_kind::unreachable), 2, none).wait, milliseconds(2'000));
    EXPECT_EQ(decide(failed(outcome_kind::unreachable), 2, none).kind, verdict_kind::retry);
    for (std::uint32_t attempt : {3u, 4u}) {
        const auto last = decide(failed(outcome_kind::unreachable), attempt, none);
        EXPECT_EQ(last.kind, verdict_kind::dead);
        EXPECT_EQ(last.status, 503u);
        EXPECT_EQ(last.reason, "why");
    }
}

TEST(retry_test, a_call_out_of_time_is_retried_where_504_is_listed_and_dead_with_it)
{
    EXPECT_EQ(decide(failed(outcome_kind::timed_out), 2).kind, verdict_kind::retry);
    EXPECT_EQ(decide(failed(outcome_kind::timed_out), 3).kind, verdict_kind::dead);
    auto others = policy;
    others.codes = {500};
    const auto decided = decide(failed(outcome_kind::timed_out), 1, others);
    EXPECT_EQ(decided.kind, verdict_kind::dead);
    EXPECT_EQ(decided.status, 504u);
    EXPECT_FALSE(decided.reason.empty());
}

TEST(retry_test, annotations_of_a_function_go_over_the_settings)
{
    const auto made = with_annotations({{"com.openfaas.retry.attempts", "3"},
                                        {"com.openfaas.retry.min_wait", "500ms"},
                                        {"com.openfaas.retry.max_wait", "90"},
                                        {"com.openfaas.retry.codes", "503, 500,503"},
                                        {"com.openfaas.other", "x"}},
                                       policy);
    EXPECT_TRUE(made.problems.empty());
    EXPECT_EQ(made.policy.retries_max, 3u);
    EXPECT_EQ(made.policy.wait_min, milliseconds(500));
    EXPECT_EQ(made.policy.wait_max, milliseconds(90'000)) << "a number alone is seconds";
    EXPECT_EQ(made.policy.codes, (std::vector<unsigned>{500, 503}));
    EXPECT_EQ(with_annotations({}, policy).policy, policy);
    EXPECT_EQ(with_annotations({{"com.openfaas.retry.attempts", "0"}}, policy).policy.retries_max, 0u);
    EXPECT_TRUE(with_annotations({{"com.openfaas.retry.codes", " "}}, policy).policy.codes.empty());
    const auto longer = with_annotations({{"com.openfaas.retry.min_wait", "10m"}}, policy).policy;
    EXPECT_EQ(longer.wait_max, longer.wait_min) << "the minimum is meant";
    const auto shorter = with_annotations({{"com.openfaas.retry.max_wait", "500ms"}}, policy).policy;
    EXPECT_EQ(shorter.wait_min, milliseconds(500)) << "the maximum is meant";
}

TEST(retry_test, an_annotation_that_makes_no_sense_is_named_and_not_taken)
{
    for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{{"attempts", ""},
                                                                                      {"attempts", "-1"},
                                                                                      {"attempts", "1001"},
                                                                                      {"attempts", "3x"},
                                                                                      {"min_wait", "soon"},
                                                                                      {"min_wait", "-1s"},
                                                                                      {"max_wait", "25h"},
                                                                                      {"codes", "200"},
                                                                                      {"codes", "500;503"},
                                                                                      {"codes", "500,"}})
    {
        const auto made = with_annotations({{"com.openfaas.retry." + name, value}}, policy);
        EXPECT_EQ(made.policy, policy) << name << value;
        ASSERT_EQ(made.problems.size(), 1u) << name << value;
        EXPECT_NE(made.problems[0].find("com.openfaas.retry." + name), std::string::npos) << made.problems[0];
    }
}
