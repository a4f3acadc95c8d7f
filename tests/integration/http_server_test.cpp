#include "tests/support/http_service.hpp"
#include "tests/support/loop_until.hpp"
#include "tests/support/raw_socket.hpp"

#include <gtest/gtest.h>
#include <system_error>

namespace sluice {
namespace {

using test::loop_until;

std::size_t count(const std::string& in, std::string_view what)
{
    std::size_t found = 0;
    for (auto at = in.find(what); at != std::string::npos; at = in.find(what, at + what.size()))
        ++found;
    return found;
}

bool has(const std::unique_ptr<test::raw_socket>& client, std::string_view what)
{
    return client->received.find(what) != std::string::npos;
}

class http_server : public ::testing::Test {
protected:
    void start(http::server_options with = {}) { server_.emplace(loop_, with, service_); }
    std::unique_ptr<test::raw_socket> connect() { return test::raw_socket::connect(loop_, server_->port()); }
    bool until(const std::function<bool()>& holds) { return loop_until(loop_, holds); }

    loop loop_;
    test::http_service service_;
    std::optional<http::server> server_;
};

std::string get(const std::string& target, const std::string& fields = {})
{
    return "GET " + target + " HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n";
}

TEST_F(http_server, gives_the_request_as_it_came)
{
    start();
    auto client = connect();
    client->send("PUT /a/%2e%2E//b?x=1&&y=%20 HTTP/1.1\r\nHost: h\r\nX-A:  one \r\nx-a: two\r\nContent-Length: 3\r\n\r\nabc");
    ASSERT_TRUE(until([&] { return has(client, "abc"); }));
    ASSERT_EQ(service_.requests.size(), 1u);
    const auto& seen = service_.requests[0];
    EXPECT_EQ(seen.method, "PUT");
    EXPECT_EQ(seen.target, "/a/%2e%2E//b?x=1&&y=%20");
    EXPECT_EQ(seen.body, "abc");
    EXPECT_TRUE(seen.peer.starts_with("127.0.0.1:"));
    ASSERT_EQ(seen.fields.size(), 4u);
    EXPECT_EQ(seen.fields[1].name, "X-A");
    EXPECT_EQ(seen.fields[1].value, "one");
    EXPECT_EQ(seen.fields[2].name, "x-a");
}

TEST_F(http_server, joins_chunks_and_takes_bodies_out)
{
    start();
    std::string taken, left;
    service_.on_call = [&](http::exchange_ptr call) {
        taken = call->take_body();
        left = call->request().body;
        call->reply({200, {}, "ok"});
    };
    auto client = connect();
    client->send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n");
    ASSERT_TRUE(until([&] { return has(client, "ok"); }));
    EXPECT_EQ(taken, "abcde");
    EXPECT_EQ(left, "");
}

TEST_F(http_server, answers_pipelined_requests_in_order)
{
    start();
    std::string all;
    for (int i = 0; i < 2000; ++i)
        all += "POST /" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nb";
    auto client = connect();
    std::size_t sent = 0;
    ASSERT_TRUE(until([&] {
        sent += sent < all.size() ? client->send(std::string_view(all).substr(sent)) : 0;
        return count(client->received, "HTTP/1.1 200 OK") == 2000;
    }));
    std::size_t at = 0;
    for (int i = 0; i < 2000; ++i) {
        at = client->received.find("POST /" + std::to_string(i) + "\nb", at);
        ASSERT_NE(at, std::string::npos) << i;
    }
}

TEST_F(http_server, handles_pipelined_requests_one_at_a_time)
{
    start();
    std::vector<http::exchange_ptr> held;
    service_.on_call = [&](http::exchange_ptr call) { held.push_back(std::move(call)); };
    auto client = connect();
    client->send(get("/1") + get("/2") + get("/3"));
    for (std::size_t i = 1; i <= 3; ++i) {
        ASSERT_TRUE(until([&] { return held.size() == i; }));
        test::loop_for(loop_, std::chrono::milliseconds(5));
        ASSERT_EQ(held.size(), i);
        held.back()->reply({200, {}, "answer " + std::to_string(i)});
        EXPECT_EQ(held.size(), i) << "the next call must not begin inside the answer to this one";
    }
    ASSERT_TRUE(until([&] { return has(client, "answer 3"); }));
    // Whoever holds an exchange keeps its views, whatever came after it on the same connection.
    EXPECT_EQ(held[0]->request().target, "/1");
    EXPECT_EQ(held[1]->request().target, "/2");
}

TEST_F(http_server, asks_for_a_body_that_waits_for_it)
{
    start();
    auto client = connect();
    client->send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    ASSERT_TRUE(until([&] { return has(client, "\r\n\r\n"); }));
    EXPECT_EQ(client->received, "HTTP/1.1 100 Continue\r\n\r\n");
    client->send("abc");
    ASSERT_TRUE(until([&] { return has(client, "abc"); }));
}

TEST_F(http_server, refuses_a_body_above_the_bound_before_it_is_sent)
{
    start();
    service_.body_bytes_max = 10;
    auto client = connect();
    client->send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n");
    ASSERT_TRUE(until([&] { return client->ended; }));
    EXPECT_TRUE(client->received.starts_with("HTTP/1.1 413 "));
    EXPECT_TRUE(has(client, "11 bytes, at most 10 (test_body_bytes_max)\n"));
    EXPECT_TRUE(service_.requests.empty());
}

TEST_F(http_server, refuses_chunks_above_the_bound)
{
    start();
    service_.body_bytes_max = 10;
    auto fits = connect();
    fits->send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n4\r\nghij\r\n0\r\n\r\n");
    ASSERT_TRUE(until([&] { return has(fits, "abcdefghij"); }));
    auto client = connect();
    client->send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n5\r\nghijk\r\n0\r\n\r\n");
    ASSERT_TRUE(until([&] { return client->ended; }));
    EXPECT_TRUE(client->received.starts_with("HTTP/1.1 413 "));
    EXPECT_TRUE(has(client, "10 bytes (test_body_bytes_max)"));
}

TEST_F(http_server, bounds_the_head)
{
    start({.header_bytes_max = 1024});
    auto exact = connect();
    const auto empty = get("/", "X: \r\n");
    exact->send(get("/", "X: " + std::string(1024 - empty.size(), 'x') + "\r\n"));
    ASSERT_TRUE(until([&] { return has(exact, "GET /\n"); }));
    auto client = connect();
    client->send(get("/", "X: " + std::string(1025 - empty.size(), 'x') + "\r\n"));
    ASSERT_TRUE(until([&] { return client->ended; }));
    EXPECT_TRUE(client->received.starts_with("HTTP/1.1 431 ")) << client->received;
    auto many = connect();
    std::string fields;
    while (fields.size() < 2000)
        fields += "A:b\r\n";
    many->send(get("/", fields));
    ASSERT_TRUE(until([&] { return many->ended; }));
    EXPECT_TRUE(many->received.starts_with("HTTP/1.1 431 ")) << many->received;
    auto line = connect();
    line->send(get("/" + std::string(2000, 'x')));
    ASSERT_TRUE(until([&] { return line->ended; }));
    EXPECT_TRUE(line->received.starts_with("HTTP/1.1 414 ")) << line->received;
}

TEST_F(http_server, bounds_chunk_headers_and_trailers)
{
    start({.header_bytes_max = 1024});
    for (const auto& tail : {"5;x=" + std::string(3000, 'x'), "0\r\nX: " + std::string(3000, 'x')}) {
        auto client = connect();
        client->send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + tail);
        ASSERT_TRUE(until([&] { return client->ended; }));
        EXPECT_TRUE(client->received.starts_with("HTTP/1.1 400 ")) << client->received;
    }
}

TEST_F(http_server, says_only_what_a_response_may_say)
{
    start();
    service_.on_call = [](http::exchange_ptr call) {
        call->reply({200,
                     {{"X-A", "b\r\nX-Injected: 1\r\n\r\nHTTP/1.1 200 OK"},
                      {"Bad\r\nName", "x"},
                      {"Content-Length", "7"},
                      {"Transfer-Encoding", "chunked"},
                      {"Connection", "upgrade"}},
                     "body"});
    };
    auto client = connect();
    client->send(get("/"));
    ASSERT_TRUE(until([&] { return has(client, "body"); }));
    EXPECT_EQ(count(client->received, "\r\n\r\n"), 1u);
    EXPECT_FALSE(has(client, "\r\nX-Injected"));
    EXPECT_FALSE(has(client, "Name"));
    EXPECT_FALSE(has(client, "Transfer-Encoding"));
    EXPECT_FALSE(has(client, "upgrade"));
    EXPECT_TRUE(has(client, "Content-Length: 4\r\n"));
    EXPECT_TRUE(has(client, "\r\nDate: ") && has(client, " GMT\r\n"));
}

TEST_F(http_server, leaves_out_bodies_that_may_not_be)
{
    start();
    service_.on_call = [](http::exchange_ptr call) {
        const auto target = call->request().target;
        call->reply({target == "/204" ? 204u : target == "/304" ? 304u : 200u, {}, "body"});
    };
    auto client = connect();
    client->send("HEAD /200 HTTP/1.1\r\nHost: h\r\n\r\n" + get("/204") + get("/304") + get("/200"));
    ASSERT_TRUE(until([&] { return has(client, "body"); }));
    EXPECT_EQ(count(client->received, "body"), 1u);
    EXPECT_EQ(count(client->received, "Content-Length: 4"), 2u);
    EXPECT_EQ(count(client->received, "HTTP/1.1 "), 4u);
}

TEST_F(http_server, tells_that_the_client_has_gone)
{
    start();
    http::exchange_ptr held;
    service_.on_call = [&](http::exchange_ptr call) { held = std::move(call); };
    auto client = connect();
    client->send(get("/"));
    ASSERT_TRUE(until([&] { return held != nullptr; }));
    EXPECT_FALSE(held->abandoned());
    client->reset();
    ASSERT_TRUE(until([&] { return held->abandoned(); }));
    held->reply({200, {}, "nobody"});
    held.reset();
    ASSERT_TRUE(until([&] { return server_->connections() == 0; }));
}

TEST_F(http_server, answers_each_request_that_came_before_the_client_closed_its_sending_side)
{
    start();
    std::vector<http::exchange_ptr> held;
    service_.on_call = [&](http::exchange_ptr call) { held.push_back(std::move(call)); };
    auto client = connect();
    client->send(get("/1") + get("/2") + get("/3"));
    client->end_sending();
    for (std::size_t i = 0; i < 3; ++i) {
        ASSERT_TRUE(until([&] { return held.size() == i + 1; }));
        held[i]->reply({200, {}, "answer " + std::to_string(i + 1)});
        held[i].reset();
    }
    ASSERT_TRUE(until([&] { return client->ended; }));
    EXPECT_TRUE(has(client, "answer 1") && has(client, "answer 2") && has(client, "answer 3"));
}

TEST_F(http_server, tells_of_a_reset_whatever_came_before_it)
{
    start();
    http::exchange_ptr held;
    service_.on_call = [&](http::exchange_ptr call) { held = std::move(call); };
    auto client = connect();
    client->send(get("/") + "G");
    ASSERT_TRUE(until([&] { return held != nullptr; }));
    client->reset();
    ASSERT_TRUE(until([&] { return held->abandoned(); }));
}

TEST_F(http_server, answers_a_client_that_closed_its_sending_side)
{
    start();
    http::exchange_ptr held;
    service_.on_call = [&](http::exchange_ptr call) { held = std::move(call); };
    auto client = connect();
    client->send(get("/"));
    client->end_sending();
    ASSERT_TRUE(until([&] { return held && held->abandoned(); }));
    held->reply({200, {}, "still"});
    ASSERT_TRUE(until([&] { return client->ended; }));
    EXPECT_TRUE(has(client, "still"));
}

TEST_F(http_server, notices_that_a_client_left_behind_more_than_is_read_ahead)
{
    for (const bool reset : {false, true}) {
        SCOPED_TRACE(reset ? "reset" : "orderly end");
        start();
        bool gone = false;
        http::exchange_ptr held;
        service_.on_call = [&](http::exchange_ptr call) {
            held = std::move(call);
            held->on_abandoned([&] { gone = true; });
        };
        auto client = connect();
        client->send(get("/"));
        ASSERT_TRUE(until([&] { return held != nullptr; }));
        EXPECT_EQ(client->send(std::string(40'000, 'G')), 40'000u);
        test::loop_for(loop_, std::chrono::milliseconds(20));
        reset ? client->reset() : client->close();
        EXPECT_TRUE(test::loop_until(
            loop_, [&] { return gone; }, std::chrono::seconds(5)));
        held.reset();
    }
}

TEST_F(http_server, closes_when_the_service_drops_a_call)
{
    start();
    service_.on_call = [](http::exchange_ptr) {};
    auto client = connect();
    client->send(get("/"));
    ASSERT_TRUE(until([&] { return client->ended; }));
    EXPECT_EQ(client->received, "");
}

TEST_F(http_server, sends_large_answers_whole_to_a_slow_reader)
{
    start();
    service_.on_call = [](http::exchange_ptr call) { call->reply({200, {}, std::string(20'000'000, 'x') + "end"}); };
    auto client = test::raw_socket::connect(loop_, server_->port(), 4096);
    client->pause_reading();
    client->send(get("/"));
    test::loop_for(loop_, std::chrono::milliseconds(20));
    client->resume_reading(loop_);
    ASSERT_TRUE(until([&] { return client->received.ends_with("end"); }));
    EXPECT_EQ(client->received.size() - client->received.find("\r\n\r\n") - 4, 20'000'003u);
}

TEST_F(http_server, stops_in_order)
{
    start();
    http::exchange_ptr held;
    service_.on_call = [&](http::exchange_ptr call) { held = std::move(call); };
    auto idle = connect();
    auto busy = connect();
    busy->send(get("/"));
    ASSERT_TRUE(until([&] { return held && server_->connections() == 2; }));
    server_->stop_accepting();
    ASSERT_TRUE(until([&] { return idle->ended; }));
    EXPECT_FALSE(busy->ended);
    held->reply({200, {}, "last"});
    ASSERT_TRUE(until([&] { return busy->ended; }));
    EXPECT_TRUE(has(busy, "Connection: close") && has(busy, "last"));
    busy->close();
    idle->close();
    EXPECT_TRUE(test::loop_runs_dry(loop_));
}

TEST_F(http_server, may_be_destroyed_by_its_service)
{
    start();
    http::exchange_ptr held;
    service_.on_call = [&](http::exchange_ptr call) {
        held = std::move(call);
        server_.reset();
    };
    auto client = connect();
    client->send(get("/1") + get("/2"));
    ASSERT_TRUE(until([&] { return client->ended; }));
    EXPECT_TRUE(held->abandoned());
    EXPECT_EQ(held->request().target, "/1");
    held->reply({200, {}, "nobody"});
    held.reset();
    client->close();
    EXPECT_TRUE(test::loop_runs_dry(loop_));
    EXPECT_EQ(service_.requests.size(), 1u);
}

TEST_F(http_server, listens_on_an_inherited_socket)
{
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
    ASSERT_EQ(::listen(fd, 16), 0);
    start({.inherited_fd = fd});
    EXPECT_NE(server_->port(), 0);
    auto client = connect();
    client->send(get("/"));
    EXPECT_TRUE(until([&] { return has(client, "GET /\n"); }));
}

TEST_F(http_server, names_the_address_that_it_cannot_have)
{
    start();
    try {
        http::server second(loop_, {.port = server_->port()}, service_);
        FAIL() << "two servers on one port";
    } catch (const std::system_error& error) {
        EXPECT_NE(std::string(error.what()).find("127.0.0.1:" + std::to_string(server_->port())), std::string::npos);
    }
    EXPECT_THROW(http::server(loop_, {.host = "localhost"}, service_), std::system_error);
}

}
}
