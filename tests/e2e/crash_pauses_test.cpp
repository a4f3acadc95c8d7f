#include "tests/e2e/crash_fixture.hpp"

#include <fstream>

// What does not die but does not go on either, in the middle of 2,000 calls with callbacks: a store that hangs, and a worker that is stopped
// for longer than its lease and then goes on where it was.
namespace sluice::test {

namespace {

using namespace std::chrono_literals;

constexpr int calls_of_a_run = 2'000;

class pause_of_the_store : public crash {
protected:
    // Not started anew meanwhile: it comes back by itself.
    pause_of_the_store() : crash(calls_of_a_run, "echo", {"--nats-answer-deadline", "10m"}) {}
};

TEST_F(pause_of_the_store, of_30_seconds_loses_nothing_and_repeats_nothing)
{
    ASSERT_TRUE(function_answers());
    start_calls();
    ASSERT_TRUE(until([&] { return accepted_a_third(); }));
    mishap();
    const auto server = up_.role("nats-server");
    ASSERT_TRUE(process::signal(server, SIGSTOP));
    loop_for(loop_, 30s);
    EXPECT_GT(refused_, 0);
    ASSERT_TRUE(process::signal(server, SIGCONT));
    ASSERT_TRUE(until([&] { return all_done(); }));
    EXPECT_TRUE(up_.role("nats-server") == server);
    expect_nothing_lost();
    EXPECT_LE(repeated(), 0);
    EXPECT_EQ(up_.stop(), 0);
}

class pause_of_the_worker : public crash {
protected:
    pause_of_the_worker() : crash(calls_of_a_run, "echo", {"--role-option", "queue-worker.lease_ttl=1s"}) {}
};

TEST_F(pause_of_the_worker, beyond_its_lease_sends_nothing_once_another_has_taken_over)
{
    ASSERT_TRUE(function_answers());
    up_.start_beside("queue-worker", "standby", {"--worker-id=standby", "--ready-file=" + up_.state() + "/run/standby.ready"});
    ASSERT_TRUE(until([&] { return std::ifstream(up_.state() + "/run/standby.ready").good(); }));
    start_calls();
    ASSERT_TRUE(until([&] { return accepted_a_third(); }));
    mishap();
    const auto worker = up_.role("queue-worker");
    ASSERT_TRUE(process::signal(worker, SIGSTOP));
    function_server_.sender_replaced();
    receiver_.sender_replaced();
    ASSERT_TRUE(until([&] { return function_server_.successor_sends() && receiver_.successor_sends(); }));
    ASSERT_TRUE(process::signal(worker, SIGCONT));
    ASSERT_TRUE(until([&] { return all_done(); }));
    expect_nothing_lost();
    EXPECT_LE(repeated(), repeated_max);
    EXPECT_TRUE(up_.role("queue-worker") == worker) << "it goes on as a standby";
    EXPECT_EQ(function_server_.sent_too_late(), 0);
    EXPECT_EQ(receiver_.sent_too_late(), 0);
    EXPECT_EQ(up_.stop(), 0);
}

}

}
