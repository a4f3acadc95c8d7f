#pragma once
#include "adapters/http/client.hpp"
#include "adapters/log/log.hpp"
#include "tests/support/poll_until.hpp"
#include "tests/support/temp_folder.hpp"
#include "watchdog/replica.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

namespace sluice::test {

// A replica on the test's own loop, with real processes behind it and real calls to it.
class watchdog_test : public testing::Test {
protected:
    ~watchdog_test() override
    {
        if (replica_) {
            bool closed = false;
            replica_->on_closed([&] { closed = true; });
            replica_->stop("end of test");
            replica_->stop("end of test");
            replica_->stop("end of test");
            poll_until(loop_, [&] { return closed; });
            EXPECT_TRUE(closed);
        }
        client_.close();
        EXPECT_TRUE(loop_runs_dry(loop_));
    }

    void start(string_map environment, const std::string& token = {})
    {
        given_.listen = "127.0.0.1:0";
        environment.try_emplace("PATH", core::function_path);
        environment.try_emplace("prefix_logs", "false");
        auto config = core::read_watchdog_config(environment);
        replica_ = std::make_unique<watchdog::replica>(loop_, given_, std::move(config), core::replica_setup{token, environment}, *events_);
    }

    http::client_request request(std::string target, std::string body = {}, std::string head = {}, std::string method = "POST")
    {
        http::client_request made;
        made.host = "127.0.0.1";
        made.port = replica_->port();
        made.method = std::move(method);
        made.target = std::move(target);
        made.head = std::move(head);
        made.body = std::make_shared<const std::string>(std::move(body));
        made.answer_bytes_max = 64 * 1024 * 1024;
        made.deadline = generous;
        return made;
    }

    outcome call(http::client_request made)
    {
        auto got = wait_for<outcome>(loop_, [&](auto done) { client_.call(std::move(made), done); });
        return got ? *std::move(got) : outcome{};
    }
    outcome call(std::string body = {}, std::string head = {}) { return call(request("/", std::move(body), std::move(head))); }
    unsigned status_of(const std::string& path) { return call(request(path, {}, {}, "GET")).reply.status; }

    static std::string field(const outcome& from, const char* name)
    {
        const auto* value = find(from.reply.fields, name);
        return value ? *value : std::string();
    }

    loop loop_;
    std::shared_ptr<logger> events_ = make_logger("watchdog", "warn");
    http::client client_{loop_, {}};
    watchdog::options given_;
    std::unique_ptr<watchdog::replica> replica_;
    temp_folder folder_;
};

}
