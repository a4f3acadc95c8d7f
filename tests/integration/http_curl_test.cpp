#include "adapters/curl/client.hpp"
#include "core/url_guard.hpp"
#include "tests/support/http_service.hpp"
#include "tests/support/loop_until.hpp"
#include "tests/support/no_descriptors_left.hpp"
#include "tests/support/raw_socket.hpp"

#include <cstdlib>
#include <gtest/gtest.h>

// Callbacks to names and addresses through libcurl: what is sent, what is refused, and that nobody is connected to who was not allowed.
namespace sluice {
namespace {

using namespace std::chrono_literals;

class http_curl : public ::testing::Test {
protected:
    void start(curl::client_options with = {}) { client_.emplace(loop_, with); }
    curl::client_request request(const std::string& host = "127.0.0.1", const std::string& path = "/cb")
    {
        curl::client_request out;
        out.url = "http://" + host + ":" + std::to_string(server_.port()) + path;
        out.deadline = 20s;
        return out;
    }
    outcome call(curl::client_request what)
    {
        auto got = test::wait_for<outcome>(loop_, [&](auto done) { client_->call(std::move(what), done); });
        return got ? std::move(*got) : outcome{outcome_kind::unreachable, {}, "no outcome at all", {}};
    }
    bool until(const std::function<bool()>& holds) { return test::loop_until(loop_, holds); }

    loop loop_;
    test::http_service service_;
    http::server server_{loop_, {}, service_};
    std::optional<curl::client> client_;
};

std::string value(const headers& fields, std::string_view name)
{
    const auto* found = find(fields, name);
    return found != nullptr ? *found : "none";
}

TEST_F(http_curl, posts_head_and_body)
{
    start();
    service_.on_call = [](http::exchange_ptr call) { call->reply({202, {{"X-A", "1"}, {"X-B", ""}}, "thanks"}); };
    auto what = request("localhost", "/a/../b?c=%20");
    what.head = "X-Call-Id: 7\r\nContent-Type: text/x\r\nX-Empty: \r\n";
    what.body = std::make_shared<const std::string>("HEADthe body");
    what.body_offset = 4;
    const auto got = call(std::move(what));
    ASSERT_EQ(got.kind, outcome_kind::delivered) << got.reason;
    EXPECT_EQ(got.reply.status, 202u);
    EXPECT_EQ(got.reply.body, "thanks");
    EXPECT_EQ(value(got.reply.fields, "X-A"), "1");
    EXPECT_EQ(value(got.reply.fields, "X-B"), "");
    ASSERT_EQ(service_.requests.size(), 1u);
    const auto& seen = service_.requests[0];
    EXPECT_EQ(seen.method, "POST");
    EXPECT_EQ(seen.target, "/a/../b?c=%20");
    EXPECT_EQ(seen.body, "the body");
    EXPECT_EQ(value(seen.fields, "X-Call-Id"), "7");
    EXPECT_EQ(value(seen.fields, "X-Empty"), "");
    EXPECT_EQ(value(seen.fields, "Content-Type"), "text/x");
    EXPECT_EQ(value(seen.fields, "Content-Length"), "8");
    EXPECT_EQ(value(seen.fields, "Host"), "localhost:" + std::to_string(server_.port()));
    EXPECT_EQ(value(seen.fields, "Expect"), "none");
}

TEST_F(http_curl, sends_an_empty_body_and_other_methods)
{
    start();
    EXPECT_EQ(call(request()).reply.body, "POST /cb\n");
    EXPECT_EQ(value(service_.requests[0].fields, "Content-Length"), "0");
    EXPECT_EQ(value(service_.requests[0].fields, "Content-Type"), "none");
    auto put = request();
    put.method = "PUT";
    put.body = std::make_shared<const std::string>(1'000, 'b');
    EXPECT_EQ(call(std::move(put)).reply.body, "PUT /cb\n" + std::string(1'000, 'b'));
    auto get = request();
    get.method = "GET";
    EXPECT_EQ(call(std::move(get)).reply.body, "GET /cb\n");
    auto head = request();
    head.method = "HEAD";
    EXPECT_EQ(call(std::move(head)).reply.body, "");
}

TEST_F(http_curl, does_not_connect_where_it_may_not)
{
    start();
    std::vector<std::string> asked;
    auto what = request("localhost");
    what.allows = [&](std::string_view address) {
        asked.emplace_back(address);
        return false;
    };
    const auto got = call(std::move(what));
    EXPECT_EQ(got.kind, outcome_kind::refused);
    EXPECT_NE(got.reason.find("is not allowed"), std::string::npos) << got.reason;
    ASSERT_FALSE(asked.empty());
    for (const auto& address : asked)
        EXPECT_TRUE(address == "127.0.0.1" || address == "::1") << address;
    EXPECT_EQ(server_.connections(), 0u);
    EXPECT_TRUE(service_.requests.empty());
}

TEST_F(http_curl, asks_again_on_a_connection_used_again)
{
    start();
    bool allowed = true;
    std::size_t asked = 0;
    const auto guarded = [&] {
        auto what = request("localhost");
        what.allows = [&](std::string_view) {
            ++asked;
            return allowed;
        };
        return what;
    };
    ASSERT_EQ(call(guarded()).kind, outcome_kind::delivered);
    ASSERT_EQ(call(guarded()).kind, outcome_kind::delivered);
    EXPECT_EQ(server_.connections(), 1u) << "the second call used the first one's connection";
    allowed = false;
    const auto before = asked;
    const auto got = call(guarded());
    EXPECT_EQ(got.kind, outcome_kind::refused) << got.reason;
    EXPECT_GT(asked, before);
    EXPECT_EQ(service_.requests.size(), 2u);
}

TEST_F(http_curl, asks_before_each_request_whether_it_may_be_sent)
{
    start();
    bool may = false;
    auto what = request("localhost");
    what.may_send = [&may] { return may; };
    EXPECT_EQ(call(what).kind, outcome_kind::overloaded);
    may = true;
    EXPECT_EQ(call(what).kind, outcome_kind::delivered);
    may = false;
    EXPECT_EQ(call(what).kind, outcome_kind::overloaded) << "on a kept connection too";
    EXPECT_EQ(service_.requests.size(), 1u);
}

TEST_F(http_curl, works_with_the_url_guard)
{
    start();
    const url_guard none({}), some({"127.0.0.0/8", "::1"});
    for (const auto* guard : {&none, &some}) {
        auto what = request("localhost");
        url_guard::target to{false, "localhost", server_.port(), "/cb", false};
        what.allows = [guard, to](std::string_view address) { return guard->allows(to, address); };
        EXPECT_EQ(call(std::move(what)).kind, guard == &some ? outcome_kind::delivered : outcome_kind::refused);
    }
}

TEST_F(http_curl, follows_no_redirect_and_no_environment)
{
    ::setenv("http_proxy", "http://127.0.0.1:1", 1);
    ::setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    start();
    service_.on_call = [](http::exchange_ptr call) { call->reply({302, {{"Location", "/elsewhere"}}, ""}); };
    const auto got = call(request());
    ::unsetenv("http_proxy");
    ::unsetenv("ALL_PROXY");
    EXPECT_EQ(got.kind, outcome_kind::delivered) << got.reason;
    EXPECT_EQ(got.reply.status, 302u);
    EXPECT_EQ(service_.requests.size(), 1u);
}

TEST_F(http_curl, speaks_http_only)
{
    start();
    for (const char* url : {"file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "dict://127.0.0.1/"}) {
        auto what = request();
        what.url = url;
        const auto got = call(std::move(what));
        EXPECT_EQ(got.kind, outcome_kind::refused) << url << ": " << got.reason;
    }
}

TEST_F(http_curl, bounds_and_counts_the_answer)
{
    start();
    service_.on_call = [](http::exchange_ptr call) { call->reply({200, {}, std::string(1'000'000, 'x')}); };
    auto what = request();
    what.answer_bytes_max = 100;
    const auto got = call(std::move(what));
    ASSERT_EQ(got.kind, outcome_kind::delivered) << got.reason;
    EXPECT_EQ(got.reply.body.size(), 100u);
    EXPECT_EQ(got.reply.body_bytes, 1'000'000u);
    EXPECT_TRUE(got.reply.truncated);
}

TEST_F(http_curl, where_only_the_status_counts_it_does_not_wait_for_the_rest)
{
    start();
    service_.on_call = [](http::exchange_ptr call) { call->reply({200, {}, std::string(4'000'000, 'x')}); };
    auto what = request();
    what.answer_bytes_max = 100;
    what.only_status = true;
    const auto got = call(std::move(what));
    ASSERT_EQ(got.kind, outcome_kind::delivered) << got.reason;
    EXPECT_EQ(got.reply.status, 200u);
    EXPECT_TRUE(got.reply.truncated);
    EXPECT_LT(got.reply.body_bytes, 4'000'000u);
}

TEST_F(http_curl, where_only_the_status_counts_it_may_break_off_behind_its_head)
{
    start();
    test::raw_listener peer(loop_);
    enum class ending { close, reset, silence };
    struct answer_case {
        std::string sent;
        bool counts;
    };
    const std::string head = "HTTP/1.1 201 Created\r\nContent-Length: 10\r\n\r\n";
    for (const auto& [sent, counts] : {answer_case{head, true},
                                       {head + "half", true},
                                       {"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n", false},
                                       {"HTTP/1.1 201 Created\r\nContent-", false}})
        for (const auto how : {ending::close, ending::reset, ending::silence}) {
            peer.on_accept = [&](test::raw_socket& socket) {
                socket.on_bytes = [&] {
                    if (!socket.received.ends_with("\r\n\r\n"))
                        return;
                    socket.send(sent);
                    if (how != ending::silence)
                        how == ending::close ? socket.close() : socket.reset();
                };
            };
            auto what = request();
            what.url = "http://127.0.0.1:" + std::to_string(peer.port()) + "/";
            what.only_status = true;
            what.deadline = how == ending::silence ? 1s : 20s;
            const auto got = call(std::move(what));
            const bool overtaken =
                how == ending::reset && got.kind == outcome_kind::unreachable; // a reset may overtake what was sent before it
            EXPECT_TRUE(overtaken || (got.kind == outcome_kind::delivered) == counts) << sent << ": " << got.reason;
            EXPECT_TRUE(!counts || overtaken || got.reply.status == 201);
            peer.accepted.clear();
        }
}

TEST_F(http_curl, a_shortage_of_descriptors_is_ours)
{
    start();
    ASSERT_EQ(call(request()).kind, outcome_kind::delivered);
    start();
    const test::no_descriptors_left none;
    EXPECT_EQ(call(request()).kind, outcome_kind::overloaded);
}

TEST_F(http_curl, bounds_the_header_of_the_answer)
{
    start({.header_bytes_max = 1000});
    service_.on_call = [](http::exchange_ptr call) { call->reply({200, {{"X", std::string(2000, 'x')}}, ""}); };
    const auto got = call(request());
    EXPECT_EQ(got.kind, outcome_kind::unreachable);
    EXPECT_NE(got.reason.find("1000 bytes"), std::string::npos) << got.reason;
}

TEST_F(http_curl, times_out_and_refuses)
{
    start();
    std::vector<http::exchange_ptr> held;
    service_.on_call = [&](http::exchange_ptr call) { held.push_back(std::move(call)); };
    auto what = request();
    what.deadline = 50ms;
    EXPECT_EQ(call(std::move(what)).kind, outcome_kind::timed_out);
    ASSERT_EQ(held.size(), 1u);
    EXPECT_TRUE(until([&] { return held[0]->abandoned(); }));
    service_.on_call = [](http::exchange_ptr) {}; // closes without an answer
    EXPECT_EQ(call(request()).kind, outcome_kind::unreachable);
    auto nobody = request();
    server_.close();
    EXPECT_EQ(call(std::move(nobody)).kind, outcome_kind::refused);
    auto name = request("no-such-name.invalid");
    EXPECT_EQ(call(std::move(name)).kind, outcome_kind::refused);
}

TEST_F(http_curl, verifies_tls)
{
    start();
    auto what = request();
    what.url.replace(0, 4, "https"); // the peer speaks no TLS at all
    const auto got = call(std::move(what));
    EXPECT_EQ(got.kind, outcome_kind::refused) << "nothing was sent";
    EXPECT_TRUE(service_.requests.empty());
}

TEST_F(http_curl, many_calls_share_the_bound_on_connections)
{
    start({.connections_max = 4});
    std::size_t delivered = 0;
    for (int i = 0; i < 100; ++i)
        client_->call(request(), [&](outcome got) { delivered += got.kind == outcome_kind::delivered; });
    EXPECT_EQ(client_->in_flight(), 100u);
    std::size_t most = 0;
    ASSERT_TRUE(until([&] {
        most = std::max(most, server_.connections());
        return delivered == 100;
    }));
    EXPECT_LE(most, 4u);
    EXPECT_EQ(client_->in_flight(), 0u);
}

TEST_F(http_curl, cancels_and_closes)
{
    start();
    std::vector<http::exchange_ptr> held;
    service_.on_call = [&](http::exchange_ptr call) { held.push_back(std::move(call)); };
    std::vector<outcome> got;
    const auto done = [&](outcome one) { got.push_back(std::move(one)); };
    const auto first = client_->call(request(), done);
    client_->call(request(), done);
    ASSERT_TRUE(until([&] { return held.size() == 2; }));
    client_->cancel(first);
    client_->cancel(first);
    EXPECT_TRUE(got.empty());
    ASSERT_TRUE(until([&] { return got.size() == 1; }));
    EXPECT_EQ(got[0].reason, "cancelled");
    client_->close();
    ASSERT_TRUE(until([&] { return got.size() == 2; }));
    EXPECT_EQ(call(request()).kind, outcome_kind::overloaded);
    held.clear();
    server_.close();
    EXPECT_TRUE(test::loop_runs_dry(loop_));
}

TEST_F(http_curl, may_be_destroyed_in_done)
{
    start();
    bool ran = false;
    client_->call(request(), [&](outcome) {
        ran = true;
        client_.reset();
    });
    client_->call(request(), [](outcome) {});
    ASSERT_TRUE(until([&] { return ran; }));
    server_.close();
    EXPECT_TRUE(test::loop_runs_dry(loop_));
}

}
}
