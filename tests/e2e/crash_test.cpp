#include "adapters/http/server.hpp"
#include "core/replica_records.hpp"
#include "tests/support/http_service.hpp"
#include "tests/support/loop_until.hpp"
#include "tests/support/sluice_up.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <list>
#include <map>
#include <set>

// Nothing that was answered 202 is lost, whatever is killed meanwhile: each such call is executed at least once and called back.
namespace sluice::test {

namespace {

constexpr int at_once = 16;

// The receiver of callbacks, in this process.
struct receiver {
    explicit receiver(loop& on) : callbacks(on, {}, callback_service)
    {
        callback_service.on_call = [this](http::exchange_ptr call) {
            const auto& request = call->request();
            called_back.emplace(std::string(request.field("X-Call-Id")), std::string(request.body));
            statuses.insert(std::string(request.field("X-Function-Status")));
            call->reply({204, {}, ""});
        };
    }
    http_service callback_service;
    http::server callbacks;
    std::map<std::string, std::string> called_back; // X-Call-Id -> body
    std::set<std::string> statuses;
};

// The function, in this process too.
struct echo {
    explicit echo(loop& on) : function(on, {}, function_service)
    {
        function_service.on_call = [this](http::exchange_ptr call) {
            executed.insert(std::string(call->request().body));
            call->reply({200, {{"Content-Type", "text/plain"}}, "did " + std::string(call->request().body)});
        };
    }
    std::string as_static() const { return "echo=http://127.0.0.1:" + std::to_string(function.port()) + ",max_inflight=8"; }
    http_service function_service;
    http::server function;
    std::set<std::string> executed; // bodies
};

class crash : public ::testing::TestWithParam<const char*> {
protected:
    crash(int calls, const std::string& function) : calls_(calls), function_(function) {}

    ::testing::AssertionResult function_answers()
    {
        const bool answered = loop_until(loop_, [&, tick = timer(loop_)]() mutable { // the gateway has heard of the function
            tick.after(std::chrono::milliseconds(5), [] {});
            return up_.call("/function/" + function_, {"POST", {}, "hello"}).reply.status == 200;
        });
        return answered ? ::testing::AssertionSuccess() : ::testing::AssertionFailure() << up_.logs();
    }
    // Kills the victim when a third of the calls was accepted, and waits until all of them are called back.
    void kill_in_mid_run(const std::function<process::identity()>& choose)
    {
        for (int i = 0; i < at_once; ++i)
            send_next();
        ASSERT_TRUE(loop_until(loop_, [&] { return accepted_.size() >= static_cast<std::size_t>(calls_) / 3; })) << up_.logs();
        victim_ = choose();
        ASSERT_TRUE(process::signal(victim_, SIGKILL));
        ASSERT_TRUE(loop_until(
            loop_, [&] { return all_done(); }, std::chrono::seconds(120)))
            << accepted_.size() << " accepted, " << receiver_.called_back.size() << " called back, " << refused_ << " refused"
            << up_.logs();
        EXPECT_EQ(receiver_.statuses, std::set<std::string>{"200"});
    }

    // Keeps some calls under way until so many were accepted; what is refused or unknown is sent again as another call.
    void send_next()
    {
        if (next_ >= calls_ && again_ == 0)
            return;
        if (again_ > 0)
            --again_;
        else
            ++next_;
        const auto body = "call " + std::to_string(number_++);
        const auto url = "http://127.0.0.1:" + std::to_string(receiver_.callbacks.port()) + "/done";
        up_.send("/async-function/" + function_, {"POST", {{"X-Callback-Url", url}}, body, false}, [this, body](const outcome& answer) {
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
            if (!receiver_.called_back.count(id))
                return false;
        return accepted_.size() == static_cast<std::size_t>(calls_);
    }

    loop loop_;
    echo echo_{loop_};
    receiver receiver_{loop_};
    sluice_up up_{loop_, {"--static-function", echo_.as_static()}};
    process::identity victim_;
    std::map<std::string, std::string> accepted_; // X-Call-Id -> body
    std::list<timer> waiting_;
    const int calls_;
    const std::string function_;
    int next_ = 0, number_ = 0, again_ = 0, refused_ = 0;
};

class crash_of_a_role : public crash {
protected:
    crash_of_a_role() : crash(300, "echo") {}
};

TEST_P(crash_of_a_role, in_mid_run_loses_nothing_that_was_accepted)
{
    ASSERT_TRUE(function_answers());
    kill_in_mid_run([&] { return up_.role(GetParam()); });
    EXPECT_TRUE(up_.role_runs_anew(GetParam(), victim_));
    for (const auto& [id, body] : accepted_) {
        EXPECT_TRUE(echo_.executed.count(body)) << id;
        EXPECT_EQ(receiver_.called_back[id], "did " + body);
    }
    EXPECT_EQ(up_.stop(), 0);
}

INSTANTIATE_TEST_SUITE_P(of, crash_of_a_role, ::testing::Values("queue-worker", "gateway", "nats-server"), [](const auto& which) {
    std::string name = which.param;
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
});

// The function's processes are ours here: a replica that is killed is replaced, and a killed provider leaves them to the next one.
class crash_below_a_function : public crash {
protected:
    crash_below_a_function() : crash(2'000, "cat") {}

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
    for (const auto& [id, body] : accepted_)
        EXPECT_EQ(receiver_.called_back[id], body);
    EXPECT_EQ(up_.stop(), 0);
}

INSTANTIATE_TEST_SUITE_P(of, crash_below_a_function, ::testing::Values("provider", "watchdog"),
                         [](const auto& which) { return std::string(which.param); });

}

}
