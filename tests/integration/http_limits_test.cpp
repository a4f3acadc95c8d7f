#include "tests/support/http_service.hpp"
#include "tests/support/loop_until.hpp"
#include "tests/support/raw_socket.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

// What keeps clients from using up the server: deadlines for every part of an exchange, and a bound on connections.
namespace sluice {
namespace {

using namespace std::chrono_literals;

class http_limits : public ::testing::Test {
protected:
    void start(http::server_options with) { server_.emplace(loop_, with, service_); }
    std::unique_ptr<test::raw_socket> connect() { return test::raw_socket::connect(loop_, server_->port()); }
    bool until(const std::function<bool()>& holds) { return test::loop_until(loop_, holds); }

    // Sends one byte after the other, for ever: each read is quick, the whole is not.
    void trickle(test::raw_socket& client, timer& pace, char byte)
    {
        pace.after(5ms, [this, &client, &pace, byte] {
            client.send({&byte, 1});
            trickle(client, pace, byte);
        });
    }

    loop loop_;
    test::http_service service_;
    std::optional<http::server> server_;
};

TEST_F(http_limits, closes_idle_connections)
{
    start({.idle_deadline = 50ms});
    auto silent = connect();
    auto used = connect();
    used->send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    ASSERT_TRUE(until([&] { return silent->ended && used->ended; }));
    EXPECT_EQ(silent->received, "");
    EXPECT_TRUE(used->received.starts_with("HTTP/1.1 200"));
    EXPECT_EQ(server_->connections(), 0u);
}

TEST_F(http_limits, the_header_has_one_deadline_however_it_trickles)
{
    start({.header_deadline = 100ms});
    auto client = connect();
    timer pace(loop_);
    client->send("GET / HTTP/1.1\r\nHost: h\r\nX: ");
    trickle(*client, pace, 'x');
    ASSERT_TRUE(until([&] { return client->received.find("\n", client->received.find("\r\n\r\n") + 4) != std::string::npos; }));
    EXPECT_TRUE(client->received.starts_with("HTTP/1.1 408 ")) << client->received;
    EXPECT_NE(client->received.find("header_deadline"), std::string::npos);
    EXPECT_TRUE(service_.requests.empty());
    ASSERT_TRUE(until([&] { return client->ended; })) << "what still comes is read for a while only";
}

TEST_F(http_limits, the_body_has_one_deadline_however_it_trickles)
{
    start({.body_deadline = 100ms});
    auto client = connect();
    timer pace(loop_);
    client->send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n");
    trickle(*client, pace, 'x');
    ASSERT_TRUE(until([&] { return client->ended; }));
    EXPECT_TRUE(client->received.starts_with("HTTP/1.1 408 ")) << client->received;
    EXPECT_NE(client->received.find("body_deadline"), std::string::npos);
    EXPECT_TRUE(service_.requests.empty());
}

TEST_F(http_limits, closes_on_a_client_that_does_not_read)
{
    start({.write_deadline = 100ms});
    service_.on_call = [](http::exchange_ptr call) { call->reply({200, {}, std::string(20'000'000, 'x')}); };
    auto client = test::raw_socket::connect(loop_, server_->port(), 4096);
    client->pause_reading();
    client->send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    ASSERT_TRUE(until([&] { return service_.requests.size() == 1; }));
    ASSERT_TRUE(until([&] { return server_->connections() == 0; }));
    client->resume_reading(loop_);
    ASSERT_TRUE(until([&] { return client->ended; }));
    EXPECT_LT(client->received.size(), 20'000'000u);
}

TEST_F(http_limits, a_service_may_take_longer_than_every_deadline)
{
    start({.header_deadline = 40ms, .body_deadline = 40ms, .write_deadline = 40ms, .idle_deadline = 40ms});
    http::exchange_ptr held;
    service_.on_call = [&](http::exchange_ptr call) { held = std::move(call); };
    auto client = connect();
    client->send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    ASSERT_TRUE(until([&] { return held != nullptr; }));
    test::loop_for(loop_, 200ms);
    EXPECT_FALSE(held->abandoned());
    held->reply({200, {}, "late"});
    ASSERT_TRUE(until([&] { return client->received.ends_with("late"); }));
}

TEST_F(http_limits, answers_503_above_the_bound_on_connections)
{
    start({.connections_max = 2});
    auto first = connect();
    auto second = connect();
    ASSERT_TRUE(until([&] { return server_->connections() == 2; }));
    auto third = connect();
    ASSERT_TRUE(until([&] { return third->ended; }));
    EXPECT_TRUE(third->received.starts_with("HTTP/1.1 503 ")) << third->received;
    EXPECT_NE(third->received.find("Retry-After: "), std::string::npos);
    EXPECT_NE(third->received.find("connections_max"), std::string::npos);
    third->close();
    first->close();
    ASSERT_TRUE(until([&] { return server_->connections() == 1; }));
    auto fourth = connect();
    fourth->send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    ASSERT_TRUE(until([&] { return fourth->received.starts_with("HTTP/1.1 200"); }));
}

TEST_F(http_limits, a_thousand_idle_connections_cost_the_next_nothing)
{
    rlimit files{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
    ASSERT_GE(files.rlim_cur, 2200u) << "the test's own connections need descriptors, too";
    start({.idle_deadline = 30s});
    std::vector<std::unique_ptr<test::raw_socket>> idle;
    for (std::size_t i = 0; i < 1000; ++i) {
        idle.push_back(connect());
        loop_.poll();
    }
    ASSERT_TRUE(until([&] { return server_->connections() == 1000; }));
    auto client = connect();
    client->send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    ASSERT_TRUE(until([&] { return client->received.ends_with("GET /\n"); }));
    for (const auto& one : idle)
        one->send("GET /now HTTP/1.1\r\nHost: h\r\n\r\n");
    ASSERT_TRUE(until(
        [&] { return std::all_of(idle.begin(), idle.end(), [](const auto& one) { return one->received.ends_with("GET /now\n"); }); }));
    idle.clear();
    client.reset();
    ASSERT_TRUE(until([&] { return server_->connections() == 0; }));
    server_->close();
    EXPECT_TRUE(test::loop_runs_dry(loop_));
}

}
}
