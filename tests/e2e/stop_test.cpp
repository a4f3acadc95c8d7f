#include "adapters/http/server.hpp"
#include "tests/support/http_service.hpp"
#include "tests/support/loop_until.hpp"
#include "tests/support/nats_server.hpp"
#include "tests/support/sluice_up.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

// Stopping while calls run, and a NATS server of somebody else.
namespace sluice::test {

namespace {

// A function that answers when the test says so, and a receiver of callbacks.
class stop : public ::testing::Test {
protected:
    stop()
    {
        function_service_.on_call = [this](http::exchange_ptr call) { held_.push_back(std::move(call)); };
        callback_service_.on_call = [](http::exchange_ptr call) { call->reply({204, {}, ""}); };
    }

    std::vector<std::string> flags() const
    {
        return {"--static-function", "slow=http://127.0.0.1:" + std::to_string(function_.port()) + ",max_inflight=8"};
    }

    // Returns once the function has the call.
    void start_call(sluice_up& up)
    {
        const auto before = held_.size();
        const auto url = "http://127.0.0.1:" + std::to_string(callbacks_.port()) + "/done";
        outcome answer;
        while (answer.reply.status != 202)
            answer = up.call("/async-function/slow", {"POST", {{"X-Callback-Url", url}}, "work", false});
        ASSERT_TRUE(loop_until(loop_, [&] { return held_.size() > before; })) << up.logs();
    }

    bool gateway_is_gone(const sluice_up& up)
    {
        timer tick(loop_);
        return loop_until(loop_, [&] {
            if (!tick.armed())
                tick.after(std::chrono::milliseconds(5), [] {});
            return !std::filesystem::exists(up.state() + "/run/gateway.ready");
        });
    }

    loop loop_;
    http_service function_service_, callback_service_;
    std::vector<http::exchange_ptr> held_;
    http::server function_{loop_, {}, function_service_}, callbacks_{loop_, {}, callback_service_};
};

TEST_F(stop, lets_a_running_call_finish)
{
    auto quiet = flags();
    quiet.emplace_back("--log-level=warn");
    sluice_up up(loop_, quiet);
    start_call(up);
    up.terminate();
    ASSERT_TRUE(gateway_is_gone(up)) << up.logs();
    EXPECT_NE(up.said().find("stopping: running calls have up to 30s to finish; once more: at once"), std::string::npos) << up.said();
    held_.back()->reply({200, {}, "finished"});
    EXPECT_EQ(up.wait_end(), 0) << up.logs();
    up.start(); // whatever of the callback was still open
    ASSERT_TRUE(loop_until(loop_, [&] { return !callback_service_.requests.empty(); })) << up.logs();
    EXPECT_EQ(callback_service_.requests.front().body, "finished");
    EXPECT_EQ(held_.size(), 1u) << "executed once";
    EXPECT_EQ(up.stop(), 0);
}

TEST_F(stop, a_second_signal_waits_for_nothing_and_the_call_runs_again)
{
    sluice_up up(loop_, flags());
    start_call(up);
    up.terminate();
    ASSERT_TRUE(gateway_is_gone(up)) << up.logs();
    up.terminate();
    EXPECT_EQ(up.wait_end(), 0) << up.logs();
    EXPECT_EQ(up.said().find("ended by itself"), std::string::npos) << up.said();
    EXPECT_EQ(callback_service_.requests.size(), 0u);
    up.start();
    ASSERT_TRUE(loop_until(loop_, [&] { return held_.size() == 2; })) << up.logs();
    held_.back()->reply({200, {}, "at last"});
    ASSERT_TRUE(loop_until(loop_, [&] { return !callback_service_.requests.empty(); })) << up.logs();
    EXPECT_EQ(callback_service_.requests.front().body, "at last");
    EXPECT_EQ(up.stop(), 0);
}

TEST_F(stop, a_server_of_somebody_else_is_used_and_left_running)
{
    nats_server_options account;
    account.user = "somebody";
    account.password = "secret";
    const nats_server server(account);
    const temp_folder folder;
    std::ofstream(folder / "password") << "secret\n";
    auto with = flags();
    const std::vector<std::string> access{"--nats", server.url(), "--nats-user", "somebody", "--nats-password-file", folder / "password"};
    with.insert(with.end(), access.begin(), access.end());
    for (const char* small : {"gateway.log_bytes_max", "queue-worker.log_bytes_max", "queue-worker.journal_bytes_max"})
        with.insert(with.end(), {"--role-option", std::string(small) + "=32MiB"}); // room is reserved, and the disk may be small
    sluice_up up(loop_, with);
    EXPECT_EQ(up.role("nats-server").pid, 0);
    start_call(up);
    held_.back()->reply({200, {}, "done"});
    ASSERT_TRUE(loop_until(loop_, [&] { return !callback_service_.requests.empty(); })) << up.logs();
    EXPECT_EQ(up.stop(), 0);
    EXPECT_NE(server.pid(), 0);
}

}

}
