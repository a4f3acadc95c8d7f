#include "tests/support/http_client_fixture.hpp"
#include "tests/support/no_descriptors_left.hpp"

#include <array>

// How the client connects, sends, waits and gives up.
namespace sluice {
namespace {

using namespace std::chrono_literals;
using test::ok;

class http_client : public test::http_client_fixture {};

TEST_F(http_client, sends_what_it_was_given_and_reads_the_answer)
{
    start();
    answer_with({"HTTP/1.1 201 Made\r\nX-B: 1\r\nContent-Length: 5\r\nx-b:  2 \r\nX-A:\r\n\r\nhello"});
    auto what = request();
    what.target = "/a/%2e?b";
    what.head = "X-One: 1\r\nContent-Type: text/plain\r\n";
    what.body = std::make_shared<const std::string>("HEADbodyx");
    what.body_offset = 4;
    const auto got = call(std::move(what));
    EXPECT_EQ(got.kind, outcome_kind::delivered);
    EXPECT_EQ(got.reason, "");
    EXPECT_EQ(got.reply.status, 201u);
    EXPECT_EQ(got.reply.body, "hello");
    EXPECT_EQ(got.reply.body_bytes, 5u);
    EXPECT_FALSE(got.reply.truncated);
    ASSERT_EQ(got.reply.fields.size(), 4u);
    EXPECT_EQ(got.reply.fields[0].name, "X-B");
    EXPECT_EQ(got.reply.fields[2].value, "2");
    EXPECT_EQ(got.reply.fields[3].value, "");
    ASSERT_EQ(requests_.size(), 1u);
    EXPECT_EQ(requests_[0],
              "POST /a/%2e?b HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(peer_.port())
                  + "\r\nX-One: 1\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nbodyx");
}

TEST(host_field_of, leaves_a_default_port_out)
{
    EXPECT_EQ(http::host_field_of("192.0.2.1", 80), "192.0.2.1");
    EXPECT_EQ(http::host_field_of("192.0.2.1", 8080), "192.0.2.1:8080");
    EXPECT_EQ(http::host_field_of("2001:db8::1", 80), "[2001:db8::1]");
    EXPECT_EQ(http::host_field_of("2001:db8::1", 443), "[2001:db8::1]:443");
}

TEST_F(http_client, a_shortage_of_descriptors_is_ours)
{
    start();
    const test::no_descriptors_left none;
    EXPECT_EQ(call(request()).kind, outcome_kind::overloaded);
}

TEST_F(http_client, refused_means_that_nothing_was_executed)
{
    start();
    const auto what = request();
    peer_.close();
    const auto got = call(what);
    EXPECT_EQ(got.kind, outcome_kind::refused);
    EXPECT_NE(got.reason.find("refused"), std::string::npos) << got.reason;
    auto name = what;
    name.host = "localhost";
    EXPECT_EQ(call(name).kind, outcome_kind::refused) << "names are not resolved here";
}

TEST_F(http_client, asks_before_the_first_byte_whether_it_may_be_sent)
{
    start();
    answer_with({ok});
    auto forbidden = request();
    int asked = 0;
    forbidden.may_send = [&asked] {
        ++asked;
        return false;
    };
    EXPECT_EQ(call(forbidden).kind, outcome_kind::overloaded);
    EXPECT_EQ(asked, 1);
    EXPECT_EQ(call(request()).kind, outcome_kind::delivered);
    EXPECT_EQ(call(forbidden).kind, outcome_kind::overloaded) << "on a kept connection too";
    EXPECT_EQ(requests_.size(), 1u);
}

TEST_F(http_client, times_out_by_the_calls_deadline)
{
    start();
    on_request = [](test::raw_socket& socket) { socket.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome"); };
    auto what = request();
    what.deadline = 50ms;
    const auto got = call(std::move(what));
    EXPECT_EQ(got.kind, outcome_kind::timed_out);
    EXPECT_GE(got.took, 50ms);
    EXPECT_TRUE(until([&] { return peer_.accepted.back()->ended; }));
}

TEST_F(http_client, refuses_by_the_connect_deadline)
{
    start();
    peer_.close();
    // A listener that accepts nothing and whose queue is full answers no one.
    const int full = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    ASSERT_EQ(::bind(full, reinterpret_cast<sockaddr*>(&at), size), 0);
    ASSERT_EQ(::listen(full, 0), 0);
    ASSERT_EQ(::getsockname(full, reinterpret_cast<sockaddr*>(&at), &size), 0);
    std::vector<int> fillers;
    for (int i = 0; i < 8; ++i) {
        fillers.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        ::connect(fillers.back(), reinterpret_cast<sockaddr*>(&at), size);
    }
    auto what = request();
    what.port = ntohs(at.sin_port);
    what.connect_deadline = 50ms;
    const auto got = call(std::move(what));
    EXPECT_EQ(got.kind, outcome_kind::refused);
    EXPECT_EQ(got.reason, "no connection within 50 ms");
    for (int fd : fillers)
        ::close(fd);
    ::close(full);
}

TEST_F(http_client, replaces_a_connection_that_was_closed_while_idle)
{
    start();
    answer_with({ok});
    EXPECT_EQ(call(request()).reply.body, "ok");
    peer_.accepted[0]->close();
    EXPECT_EQ(call(request()).reply.body, "ok");
    EXPECT_EQ(peer_.accepted.size(), 2u);
}

TEST_F(http_client, sends_again_only_what_may_be_sent_twice)
{
    start();
    answer_with({ok});
    EXPECT_EQ(call(request()).reply.body, "ok");
    std::size_t closed = 0;
    on_request = [&](test::raw_socket& socket) {
        ++closed;
        socket.close(); // after it has the request, before it says a word
    };
    const auto post = call(request("POST"));
    EXPECT_EQ(post.kind, outcome_kind::unreachable);
    EXPECT_EQ(closed, 1u) << "a POST may have been executed";
    answer_with({ok});
    EXPECT_EQ(call(request()).reply.body, "ok");
    on_request = [&](test::raw_socket& socket) {
        if (++closed == 2)
            return socket.close();
        socket.send(ok);
    };
    EXPECT_EQ(call(request("GET")).reply.body, "ok");
    EXPECT_EQ(closed, 3u);
    on_request = [&](test::raw_socket& socket) {
        ++closed;
        socket.close();
    };
    EXPECT_EQ(call(request("GET")).kind, outcome_kind::unreachable) << "once again, not for ever";
    EXPECT_EQ(closed, 5u);
}

TEST_F(http_client, closes_an_idle_connection_on_which_something_comes)
{
    start();
    answer_with({ok});
    EXPECT_EQ(call(request()).reply.body, "ok");
    peer_.accepted[0]->send("HTTP/1.1 200 Unasked\r\nContent-Length: 5\r\n\r\nwrong");
    EXPECT_EQ(call(request()).reply.body, "ok");
    EXPECT_EQ(peer_.accepted.size(), 2u);
}

TEST_F(http_client, bounds_connections_and_answers_later)
{
    start({.connections_per_address_max = 1});
    std::vector<outcome> got;
    const auto done = [&](outcome one) { got.push_back(std::move(one)); };
    client_->call(request(), done);
    client_->call(request(), done);
    EXPECT_TRUE(got.empty()) << "done never runs inside call()";
    ASSERT_TRUE(until([&] { return got.size() == 1; }));
    EXPECT_EQ(got[0].kind, outcome_kind::overloaded);
    EXPECT_NE(got[0].reason.find("connections_per_address_max"), std::string::npos);
    answer_with({ok});
    ASSERT_TRUE(until([&] { return peer_.accepted.size() == 1; }));
    peer_.accepted[0]->send(ok);
    ASSERT_TRUE(until([&] { return got.size() == 2; }));
    EXPECT_EQ(got[1].kind, outcome_kind::delivered);
}

TEST_F(http_client, a_call_made_in_done_finds_the_connection)
{
    start();
    answer_with({ok});
    int left = 100;
    std::function<void(outcome)> done = [&](outcome got) {
        EXPECT_EQ(got.kind, outcome_kind::delivered);
        if (--left > 0)
            client_->call(request(), done);
    };
    client_->call(request(), done);
    ASSERT_TRUE(until([&] { return left == 0; }));
    EXPECT_EQ(peer_.accepted.size(), 1u);
    EXPECT_EQ(client_->in_flight(), 0u);
}

TEST_F(http_client, cancels)
{
    start();
    std::optional<outcome> got;
    const auto id = client_->call(request(), [&](outcome one) { got = std::move(one); });
    ASSERT_TRUE(until([&] { return peer_.accepted.size() == 1 && !peer_.accepted[0]->received.empty(); }));
    client_->cancel(id);
    EXPECT_FALSE(got.has_value());
    ASSERT_TRUE(until([&] { return got && peer_.accepted[0]->ended; }));
    EXPECT_EQ(got->kind, outcome_kind::unreachable);
    EXPECT_EQ(got->reason, "cancelled");
    client_->cancel(id);
    client_->cancel(12345);
    answer_with({ok});
    EXPECT_EQ(call(request()).reply.body, "ok");
}

TEST_F(http_client, never_writes_a_broken_request)
{
    start();
    for (const auto& [method, target, head] : {std::array<std::string, 3>{"POST", "/a b", ""},
                                               {"POST", "/\r\nX: y", ""},
                                               {"PO ST", "/", ""},
                                               {"", "/", ""},
                                               {"POST", "", ""},
                                               {"POST", "/", "X: y"},
                                               {"POST", "/", "X: y\r\n\r\nGET / HTTP/1.1\r\n"},
                                               {"POST", "/", "\r\n"}})
    {
        auto what = request(method);
        what.target = target;
        what.head = head;
        EXPECT_EQ(call(std::move(what)).kind, outcome_kind::unreachable);
    }
    EXPECT_TRUE(peer_.accepted.empty());
}

TEST_F(http_client, closes_what_was_idle_for_too_long)
{
    start({.idle_deadline = 30ms});
    answer_with({ok});
    EXPECT_EQ(call(request()).reply.body, "ok");
    EXPECT_TRUE(until([&] { return peer_.accepted[0]->ended; }));
}

TEST_F(http_client, runs_dry_once_closed)
{
    start();
    answer_with({ok});
    EXPECT_EQ(call(request()).reply.body, "ok");
    on_request = nullptr;
    std::optional<outcome> got;
    client_->call(request(), [&](outcome one) { got = std::move(one); });
    client_->close();
    ASSERT_TRUE(until([&] { return got.has_value(); }));
    EXPECT_EQ(got->reason, "cancelled");
    EXPECT_EQ(call(request()).kind, outcome_kind::overloaded);
    client_->call(request(), [](outcome) { ADD_FAILURE() << "done after the client has gone"; });
    client_.reset();
    peer_.accepted.clear();
    peer_.close();
    EXPECT_TRUE(test::loop_runs_dry(loop_));
}

}
}
