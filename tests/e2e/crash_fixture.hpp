#pragma once
#include "adapters/http/server.hpp"
#include "tests/support/http_service.hpp"
#include "tests/support/poll_until.hpp"
#include "tests/support/sluice_up.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <list>
#include <map>
#include <set>

// A run of calls with callbacks through the real thing, in whose middle something happens to it. Nothing that was answered 202 is lost, whatever that
// is: each such call is executed at least once and called back.
namespace sluice::test {

// A server of the test's that times what comes, and knows who it comes from.
class watched_server {
public:
    using answer = std::function<http_response(const http_request&)>;
    watched_server(loop& on, answer reply) : server_(on, {}, service_)
    {
        service_.body_bytes_max = 4 * 1024 * 1024;
        service_.on_call = [this, reply = std::move(reply)](http::exchange_ptr call) {
            note(std::string(call->request().peer));
            call->reply(reply(call->request()));
        };
    }

    std::uint16_t port() { return server_.port(); }
    // From now on the longest time without a request is measured.
    void watch() { last_ = std::chrono::steady_clock::now(); }
    std::chrono::milliseconds longest_pause() const { return std::chrono::duration_cast<std::chrono::milliseconds>(longest_pause_); }
    // Whoever sends over the connections seen so far is being replaced: once its successor sends, nothing may come over them any more.
    void sender_replaced() { former_ = peers_; }
    bool successor_sends() const { return successors_ > 0; }
    int sent_too_late() const { return too_late_; }

private:
    void note(const std::string& peer)
    {
        if (last_) {
            const auto now = std::chrono::steady_clock::now();
            longest_pause_ = std::max(longest_pause_, now - *last_);
            last_ = now;
        }
        peers_.insert(peer);
        if (former_.empty())
            return;
        if (!former_.count(peer))
            ++successors_;
        else if (successors_ > 0)
            ++too_late_;
    }

    http_service service_;
    http::server server_;
    std::optional<std::chrono::steady_clock::time_point> last_;
    std::chrono::steady_clock::duration longest_pause_{};
    std::set<std::string> peers_, former_;
    int successors_ = 0, too_late_ = 0;
};

class crash : public ::testing::Test {
protected:
    static constexpr int at_once = 16;
    static constexpr int function_slots = 8;
    // Executions whose answer is not on record when a worker dies: what is at the function, and the records of the batch that was not sent yet.
    // A batch is sent as soon as the one before it is acknowledged, so it holds what was answered in one round trip to the store.
    static constexpr int repeated_max = function_slots + 256;

    crash(int calls, std::string function, std::vector<std::string> flags = {}, std::string state = {})
        : up_(loop_, with_echo(std::move(flags)), std::move(state)), calls_(calls), function_(std::move(function))
    {}

    ::testing::AssertionResult function_answers()
    {
        // The gateway has heard of the function.
        const bool answered = poll_until(loop_, [&] {
            return up_.call("/function/" + function_, {"POST", {}, "hello"}).reply.status == 200;
        });
        executed_.clear();
        return answered ? ::testing::AssertionSuccess() : ::testing::AssertionFailure() << up_.logs();
    }
    void start_calls()
    {
        for (int i = 0; i < at_once; ++i)
            send_next();
    }
    ::testing::AssertionResult until(std::function<bool()> holds, std::chrono::seconds deadline = std::chrono::seconds(180))
    {
        const bool held = poll_until(loop_, std::move(holds), deadline);
        return held ? ::testing::AssertionSuccess() : ::testing::AssertionFailure() << summary() << up_.logs();
    }
    bool accepted_a_third() const { return accepted_.size() >= static_cast<std::size_t>(calls_) / 3; }
    bool all_done() const { return missing_.empty() && accepted_.size() == static_cast<std::size_t>(calls_); }
    // The middle of the run is now.
    void mishap()
    {
        function_server_.watch();
        receiver_.watch();
    }
    // Kills the victim when a third of the calls was accepted, and waits until all of them are called back.
    void kill_in_mid_run(const std::function<process::identity()>& choose)
    {
        start_calls();
        ASSERT_TRUE(until([&] { return accepted_a_third(); }));
        mishap();
        victim_ = choose();
        ASSERT_TRUE(process::signal(victim_, SIGKILL));
        ASSERT_TRUE(until([&] { return all_done(); }));
    }
    // What was accepted was executed and called back with its own answer.
    void expect_nothing_lost()
    {
        EXPECT_EQ(statuses_, std::set<std::string>{"200"});
        for (const auto& [id, body] : accepted_) {
            EXPECT_TRUE(called_back_[id] == (function_ == "echo" ? answer_to(body) : body)) << id;
            EXPECT_TRUE(function_ != "echo" || executed_.count(body)) << id;
        }
        RecordProperty("longest_pause_ms", std::to_string(receiver_.longest_pause().count()));
        RecordProperty("executed_again", repeated());
        std::cout << summary() << '\n';
    }
    int repeated() const
    {
        int again = 0;
        for (const auto& [body, times] : executed_)
            again += times - 1;
        return again;
    }
    std::string summary() const
    {
        return std::to_string(accepted_.size()) + " accepted, " + std::to_string(called_back_.size()) + " called back, "
            + std::to_string(refused_) + " refused, " + std::to_string(repeated()) + " executed again, longest time without a callback "
            + std::to_string(receiver_.longest_pause().count()) + " ms";
    }

    loop loop_;
    watched_server function_server_{loop_, [this](const http_request& request) {
                                        ++executed_[std::string(request.body)];
                                        return http_response{200, {{"Content-Type", "text/plain"}}, answer_to(std::string(request.body))};
                                    }};
    watched_server receiver_{loop_, [this](const http_request& request) {
                                 if (receiver_down_)
                                     return http_response{503, {}, ""};
                                 const std::string id(request.field("X-Call-Id"));
                                 called_back_.emplace(id, std::string(request.body));
                                 missing_.erase(id);
                                 statuses_.insert(std::string(request.field("X-Function-Status")));
                                 return http_response{204, {}, ""};
                             }};
    sluice_up up_;
    process::identity victim_;
    std::map<std::string, std::string> accepted_;    // X-Call-Id -> body
    std::map<std::string, std::string> called_back_; // X-Call-Id -> body
    std::set<std::string> missing_;                  // accepted and not called back yet
    std::map<std::string, int> executed_;            // body -> times
    std::set<std::string> statuses_;
    bool receiver_down_ = false;
    std::string padding_; // of each answer of the function
    int refused_ = 0;
    const int calls_;

private:
    std::string answer_to(const std::string& body) const { return "did " + body + padding_; }
    std::vector<std::string> with_echo(std::vector<std::string> flags)
    {
        flags.insert(
            flags.end(),
            {"--static-function",
             "echo=http://127.0.0.1:" + std::to_string(function_server_.port()) + ",max_inflight=" + std::to_string(function_slots)});
        return flags;
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
        const auto url = "http://127.0.0.1:" + std::to_string(receiver_.port()) + "/done";
        up_.send("/async-function/" + function_, {"POST", {{"X-Callback-Url", url}}, body, false}, [this, body](const outcome& answer) {
            if (answer.kind == outcome_kind::delivered && answer.reply.status == 202) {
                const auto& id = *find(answer.reply.fields, "X-Call-Id");
                accepted_[id] = body;
                if (!called_back_.count(id))
                    missing_.insert(id);
                return send_next();
            }
            ++again_;
            ++refused_;
            waiting_.remove_if([](const timer& each) { return !each.armed(); });
            const auto pause = waiting_.emplace(waiting_.end(), loop_);
            pause->after(std::chrono::milliseconds(20), [this] { send_next(); });
        });
    }

    std::list<timer> waiting_;
    const std::string function_;
    int next_ = 0, number_ = 0, again_ = 0;
};

}
