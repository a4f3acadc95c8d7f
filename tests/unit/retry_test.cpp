#include "core/retry.hpp"

#include "sluice/wire.hpp"

#include <gtest/gtest.h>

using namespace sluice;
using namespace sluice::core;

namespace {

const retry_policy policy{3, milliseconds(1'000), milliseconds(120'000)};

outcome answered(unsigned status, bool by_component = false)
{
    outcome result;
    result.kind = outcome_kind::delivered;
    result.reply.status = status;
    if (by_component)
        result.reply.fields.push_back({"x-openfaas-internal", "of-watchdog"});
    return result;
}

outcome failed(outcome_kind kind) { return {kind, {}, "why", {}}; }

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

TEST(retry_test, a_functions_own_answer_stands_whatever_its_status)
{
    for (unsigned status : {200u, 204u, 400u, 404u, 429u, 500u, 502u, 503u, 504u}) {
        const auto decided = after(answered(status), 1, policy);
        EXPECT_EQ(decided.kind, verdict_kind::done) << status;
        EXPECT_EQ(decided.status, status);
        EXPECT_TRUE(decided.reason.empty());
    }
}

TEST(retry_test, a_full_replica_and_a_refused_connection_give_the_call_back)
{
    for (std::uint32_t attempt : {1u, 3u, 1'000u}) {
        EXPECT_EQ(after(answered(429, true), attempt, policy).kind, verdict_kind::give_back);
        EXPECT_EQ(after(failed(outcome_kind::refused), attempt, policy).kind, verdict_kind::give_back);
        EXPECT_EQ(after(failed(outcome_kind::overloaded), attempt, policy).kind, verdict_kind::give_back);
        EXPECT_GT(after(failed(outcome_kind::refused), attempt, policy).wait, milliseconds(0)) << "the replica rests";
    }
}

TEST(retry_test, what_a_component_reports_of_itself_is_retried_and_then_dead_with_its_status)
{
    for (unsigned status : {500u, 502u}) {
        EXPECT_EQ(after(answered(status, true), 2, policy).kind, verdict_kind::retry);
        const auto last = after(answered(status, true), 3, policy);
        EXPECT_EQ(last.kind, verdict_kind::dead);
        EXPECT_EQ(last.status, status);
        EXPECT_NE(last.reason.find("of-watchdog"), std::string::npos);
    }
    EXPECT_EQ(after(answered(401, true), 1, policy).kind, verdict_kind::done) << "asking again would not help";
    EXPECT_EQ(after(answered(200, true), 1, policy).kind, verdict_kind::done);
}

TEST(retry_test, a_broken_connection_is_retried_with_backoff_and_then_dead_with_503)
{
    EXPECT_EQ(after(failed(outcome_kind::unreachable), 1, policy).wait, milliseconds(1'000));
    EXPECT_EQ(after(failed(outcome_kind::unreachable), 2, policy).wait, milliseconds(2'000));
    EXPECT_EQ(after(failed(outcome_kind::unreachable), 2, policy).kind, verdict_kind::retry);
    for (std::uint32_t attempt : {3u, 4u}) {
        const auto last = after(failed(outcome_kind::unreachable), attempt, policy);
        EXPECT_EQ(last.kind, verdict_kind::dead);
        EXPECT_EQ(last.status, 503u);
        EXPECT_EQ(last.reason, "why");
    }
}

TEST(retry_test, a_call_out_of_time_is_dead_with_504)
{
    const auto decided = after(failed(outcome_kind::timed_out), 1, policy);
    EXPECT_EQ(decided.kind, verdict_kind::dead);
    EXPECT_EQ(decided.status, 504u);
    EXPECT_FALSE(decided.reason.empty());
}
