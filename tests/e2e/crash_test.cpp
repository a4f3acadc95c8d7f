#include "core/replica_records.hpp"
#include "tests/e2e/crash_fixture.hpp"

#include <fstream>

// kill -9 of each process in the middle of 2,000 calls with callbacks.
namespace sluice::test {

namespace {

constexpr int calls_of_a_run = 2'000;

class crash_of_a_role : public crash, public ::testing::WithParamInterface<const char*> {
protected:
    crash_of_a_role() : crash(calls_of_a_run, "echo") {}
};

TEST_P(crash_of_a_role, in_mid_run_loses_nothing_that_was_accepted)
{
    ASSERT_TRUE(function_answers());
    kill_in_mid_run([&] { return up_.role(GetParam()); });
    EXPECT_TRUE(up_.role_runs_anew(GetParam(), victim_));
    expect_nothing_lost();
    EXPECT_LE(repeated(), GetParam() == std::string("queue-worker") ? repeated_max : 0);
    EXPECT_EQ(up_.stop(), 0);
}

INSTANTIATE_TEST_SUITE_P(of, crash_of_a_role, ::testing::Values("queue-worker", "gateway", "nats-server"), [](const auto& which) {
    std::string name = which.param;
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
});

class crash_of_the_supervisor : public crash {
protected:
    crash_of_the_supervisor() : crash(calls_of_a_run, "echo") {}
};

// All that it started is ended, by the death of its parent or by the next one.
TEST_F(crash_of_the_supervisor, in_mid_run_loses_nothing_that_was_accepted)
{
    ASSERT_TRUE(function_answers());
    start_calls();
    ASSERT_TRUE(until([&] { return accepted_a_third(); }));
    mishap();
    up_.kill();
    up_.start();
    ASSERT_TRUE(until([&] { return all_done(); }));
    expect_nothing_lost();
    EXPECT_LE(repeated(), repeated_max);
    EXPECT_EQ(up_.stop(), 0);
}

// The function's processes are ours here: a replica that is killed is replaced, and a killed provider leaves them to the next one.
class crash_below_a_function : public crash, public ::testing::WithParamInterface<const char*> {
protected:
    crash_below_a_function() : crash(calls_of_a_run, "cat") {}

    process::identity replica() const
    {
        std::ifstream in(up_.state() + "/provider/replicas.json");
        const auto records = core::decode_replica_records(std::string(std::istreambuf_iterator<char>(in), {}));
        return records && !records->empty() ? process::identity{records->front().pid, records->front().start_ticks} : process::identity{};
    }
};

TEST_P(crash_below_a_function, in_mid_run_loses_nothing_that_was_accepted)
{
    up_.deploy(R"({"service": "cat", "image": "cat", "envProcess": "cat", "labels": {"com.openfaas.scale.min": "2"}})", "cat");
    ASSERT_TRUE(function_answers());
    const bool provider = GetParam() == std::string("provider");
    kill_in_mid_run([&] { return provider ? up_.role("provider") : replica(); });
    EXPECT_FALSE(process::alive(victim_));
    EXPECT_TRUE(!provider || up_.role_runs_anew("provider", victim_));
    expect_nothing_lost();
    EXPECT_EQ(up_.stop(), 0);
}

INSTANTIATE_TEST_SUITE_P(of, crash_below_a_function, ::testing::Values("provider", "watchdog"),
                         [](const auto& which) { return std::string(which.param); });

}

}
