#include "adapters/http/server.hpp"
#include "tests/support/http_service.hpp"
#include "tests/support/loop_until.hpp"
#include "tests/support/sluice_up.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <list>
#include <map>
#include <set>

// Nothing that was answered 202 is lost, whatever is killed meanwhile: each such call is executed at least once and called back.
namespace sluice::test {

namespace {

constexpr int calls = 300, at_once = 16, killed_after = 100;

// The function and the receiver of callbacks, in this process.
struct outside {
    explicit outside(loop& on) : function(on, {}, function_service), callbacks(on, {}, callback_service)
    {
        function_service.on_call = [this](http::exchange_ptr call) {
            executed.insert(std::string(call->request().body));
            call->reply({200, {{"Content-Type", "text/plain"}}, "did " + std::string(call->request().body)});
        };
        callback_service.on_call = [this](http::exchange_ptr call) {
            const auto& request = call->request();
            called_back.emplace(std::string(request.field("X-Call-Id")), std::string(request.body));
            statuses.insert(std::string(request.field("X-Function-Status")));
            call->reply({204, {}, ""});
        };
    }
    http_service function_service, callback_service;
    http::server function, callbacks;
    std::set<std::string> executed;                 // bodies
    std::map<std::string, std::string> called_back; // X-Call-Id -> body
    std::set<std::string> statuses;
};

class crash : public ::testing::TestWithParam<const char*> {
protected:
    // Keeps some calls under way until so many were accepted; what is refused or unknown is sent again as another call.
    void send_next()
    {
        if (next_ >= calls && again_ == 0)
            return;
        if (again_ > 0)
            --again_;
        else
            ++next_;
        const auto body = "call " + std::to_string(number_++);
        const auto url = "http://127.0.0.1:" + std::to_string(outside_.callbacks.port()) + "/done";
        up_.send("/async-function/echo", {"POST", {{"X-Callback-Url", url}}, body, false}, [this, body](const outcome& answer) {
            if (answer.kind == outcome_kind::delivered && answer.reply.status == 202) {
                accepted_[*find(answer.reply.fields, "X-Call-Id")] = body;
                return send_next();
            }
            ++again_;
            ++refused_;
            const auto pause = waiting_.emplace(waiting_.end(), loop_);
            pause->after(std::chrono::milliseconds(20), [this] { send_next(); });
        });
    }

    bool all_done() const
    {
        for (const auto& [id, body] : accepted_)
            if (!outside_.called_back.count(id))
                return false;
        return accepted_.size() == calls;
    }

    loop loop_;
    outside outside_{loop_};
    sluice_up up_{loop_, {"--static-function", "echo=http://127.0.0.1:" + std::to_string(outside_.function.port()) + ",max_inflight=8"}};
    std::map<std::string, std::string> accepted_; // X-Call-Id -> body
    std::list<timer> waiting_;
    int next_ = 0, number_ = 0, again_ = 0, refused_ = 0;
};

TEST_P(crash, in_mid_run_loses_nothing_that_was_accepted)
{
    ASSERT_TRUE(loop_until(loop_, [&, tick = timer(loop_)]() mutable { // the gateway has heard of the function
        tick.after(std::chrono::milliseconds(5), [] {});
        return up_.call("/function/echo", {"POST", {}, "hello"}).reply.status == 200;
    })) << up_.logs();
    for (int i = 0; i < at_once; ++i)
        send_next();
    ASSERT_TRUE(loop_until(loop_, [&] { return accepted_.size() >= killed_after; })) << up_.logs();
    const auto victim = up_.role(GetParam());
    ASSERT_TRUE(process::signal(victim, SIGKILL));

    ASSERT_TRUE(loop_until(
        loop_, [&] { return all_done(); }, std::chrono::seconds(120)))
        << accepted_.size() << " accepted, " << outside_.called_back.size() << " called back, " << refused_ << " refused" << up_.logs();
    EXPECT_TRUE(up_.role_runs_anew(GetParam(), victim));
    for (const auto& [id, body] : accepted_) {
        EXPECT_TRUE(outside_.executed.count(body)) << id;
        EXPECT_EQ(outside_.called_back[id], "did " + body);
    }
    EXPECT_EQ(outside_.statuses, std::set<std::string>{"200"});
    EXPECT_EQ(up_.stop(), 0);
}

INSTANTIATE_TEST_SUITE_P(of, crash, ::testing::Values("queue-worker", "gateway", "nats-server"), [](const auto& which) {
    std::string name = which.param;
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
});

}

}
