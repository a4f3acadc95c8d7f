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
    void send_whole(test::raw_socket& client, const std::string& bytes)
    {
        std::size_t sent = 0;
        ASSERT_TRUE(until([&] {
            sent += client.send(std::string_view(bytes).substr(sent));
            return sent == bytes.size();
        }));
    }

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

TEST_F(http_limits, a_body_that_takes_from_the_budget_has_to_go_on_coming)
{
    start({.body_pace_deadline = 100ms});
    auto client = connect();
    timer pace(loop_);
    client->send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n" + std::string(20'000, 'x'));
    trickle(*client, pace, 'x');
    ASSERT_TRUE(until([&] { return client->ended; }));
    EXPECT_TRUE(client->received.starts_with("HTTP/1.1 408 ")) << client->received;
    EXPECT_NE(client->received.find("body_pace_deadline"), std::string::npos);
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

TEST_F(http_limits, five_thousand_idle_connections_cost_the_next_nothing)
{
    rlimit files{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
    // Three descriptors each: both ends, and the test's watch of its own.
    const auto count = std::min<std::size_t>(5'000, (files.rlim_cur - 200) / 3);
    ASSERT_GE(count, 1'000u) << "the limit on open files is too low to say anything";
    if (count < 5'000)
        std::printf("only %zu connections: the limit on open files is %zu\n", count, static_cast<std::size_t>(files.rlim_cur));
    start({.connections_max = 6'000, .idle_deadline = test::generous});
    std::vector<std::unique_ptr<test::raw_socket>> idle;
    for (std::size_t i = 0; i < count; ++i) {
        idle.push_back(connect());
        loop_.poll();
    }
    ASSERT_TRUE(until([&] { return server_->connections() == count; }));
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

// Large bodies of which only a part has come. Small budgets, so that a few do what a hundred of eight megabytes would.
std::string part_of(std::size_t declared, std::size_t sent)
{
    return "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(declared) + "\r\n\r\n" + std::string(sent, 'x');
}

TEST_F(http_limits, bodies_that_are_held_back_share_one_budget)
{
    service_.body_bytes_max = 400'000;
    start({.body_bytes_budget = 1'000'000});
    auto first = connect();
    auto second = connect();
    send_whole(*first, part_of(400'000, 399'000));
    send_whole(*second, part_of(400'000, 399'000));
    auto third = connect();
    const auto refused = [&](test::raw_socket& client) {
        return until([&] { return client.received.find("body_bytes_budget") != std::string::npos; });
    };
    ASSERT_TRUE(until([&] {
        third->send(part_of(400'000, 0)); // until both others are known to the server
        return third->received.find("body_bytes_budget") != std::string::npos;
    }));
    EXPECT_TRUE(third->received.starts_with("HTTP/1.1 503 ")) << third->received;
    EXPECT_NE(third->received.find("Retry-After: "), std::string::npos);
    EXPECT_NE(third->received.find("Connection: close"), std::string::npos);
    auto chunked = connect();
    chunked->send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 30 && chunked->received.empty(); ++i) {
        chunked->send("2710\r\n" + std::string(10'000, 'x') + "\r\n");
        loop_.poll();
    }
    ASSERT_TRUE(refused(*chunked)) << "chunks count as they come";

    auto small = connect();
    small->send(part_of(10'000, 10'000));
    ASSERT_TRUE(until([&] { return small->received.starts_with("HTTP/1.1 200 "); })) << "small bodies are always let in";
    first->close();
    ASSERT_TRUE(until([&] { return server_->connections() <= 4; }));
    auto fourth = connect();
    send_whole(*fourth, part_of(300'000, 300'000));
    ASSERT_TRUE(until([&] { return !fourth->received.empty(); }));
    EXPECT_TRUE(fourth->received.starts_with("HTTP/1.1 200 ")) << "what was held is given back: " << fourth->received.substr(0, 200);
}

TEST_F(http_limits, a_length_that_is_only_declared_holds_nothing)
{
    service_.body_bytes_max = 900'000;
    start({.body_bytes_budget = 1'000'000});
    std::vector<std::unique_ptr<test::raw_socket>> silent;
    for (int i = 0; i < 10; ++i) {
        silent.push_back(connect());
        silent.back()->send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 900000\r\n\r\n");
    }
    ASSERT_TRUE(until([&] {
        return std::all_of(silent.begin(), silent.end(), [](const auto& one) { return one->received.starts_with("HTTP/1.1 100 "); });
    })) << "their lengths are known to the server";
    auto client = connect();
    send_whole(*client, part_of(900'000, 900'000));
    ASSERT_TRUE(until([&] { return !client->received.empty(); }));
    EXPECT_TRUE(client->received.starts_with("HTTP/1.1 200 ")) << client->received.substr(0, 200);
}

TEST_F(http_limits, a_body_that_the_service_holds_counts_until_its_call_ends)
{
    service_.body_bytes_max = 60'000;
    start({.body_bytes_budget = 100'000});
    std::vector<http::exchange_ptr> held;
    service_.on_call = [&](http::exchange_ptr call) {
        call->take_body();
        held.push_back(std::move(call));
    };
    auto first = connect();
    first->send(part_of(60'000, 60'000));
    ASSERT_TRUE(until([&] { return held.size() == 1; }));
    auto second = connect();
    second->send(part_of(60'000, 60'000));
    ASSERT_TRUE(until([&] { return second->received.starts_with("HTTP/1.1 503 "); }));
    held[0]->reply({200, {}, "done"});
    held.clear();
    ASSERT_TRUE(until([&] { return first->received.ends_with("done"); }));
    first->send(part_of(60'000, 60'000));
    ASSERT_TRUE(until([&] { return held.size() == 1; })) << "the same connection, the same budget";
    held[0]->reply({200, {}, "again"});
    held.clear();
    ASSERT_TRUE(until([&] { return first->received.ends_with("again"); }));
}

TEST_F(http_limits, answers_that_clients_do_not_take_are_counted_and_end_within_the_deadline)
{
    const auto answers = std::make_shared<http::byte_budget>(30'000'000);
    start({.answers = answers, .write_deadline = 300ms});
    service_.on_call = [](http::exchange_ptr call) { call->reply({200, {}, std::string(20'000'000, 'x')}); };
    auto client = test::raw_socket::connect(loop_, server_->port(), 4096);
    client->pause_reading();
    client->send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    ASSERT_TRUE(until([&] { return answers->held() >= 20'000'000; }));
    // It takes a little again and again: the deadline is for the whole, so that this does not help.
    client->resume_reading(loop_);
    client->on_bytes = [&] { client->pause_reading(); };
    timer pace(loop_);
    std::function<void()> read_some = [&] {
        if (!client->ended)
            client->resume_reading(loop_);
        pace.after(20ms, read_some);
    };
    pace.after(20ms, read_some);
    ASSERT_TRUE(until([&] { return server_->connections() == 0; }));
    EXPECT_EQ(answers->held(), 0u);
    EXPECT_LT(client->received.size(), 20'000'000u);
}

TEST_F(http_limits, an_answer_that_needs_no_body_does_not_wait_for_it)
{
    service_.early = [](const http_request& head) -> std::optional<http_response> {
        if (head.target != "/nobody")
            return std::nullopt;
        return http_response{404, {}, "nobody"};
    };
    start({});
    auto waits = connect();
    waits->send("POST /nobody HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nx");
    ASSERT_TRUE(until([&] { return waits->received.ends_with("nobody"); }));
    EXPECT_TRUE(waits->received.starts_with("HTTP/1.1 404 "));
    EXPECT_NE(waits->received.find("Connection: close"), std::string::npos);
    auto asks = connect();
    asks->send("POST /nobody HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n");
    ASSERT_TRUE(until([&] { return asks->received.ends_with("nobody"); }));
    EXPECT_TRUE(asks->received.starts_with("HTTP/1.1 404 ")) << "no 100 before: " << asks->received;
    EXPECT_TRUE(service_.requests.empty());
    auto complete = connect();
    complete->send("POST /nobody HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
    ASSERT_TRUE(until([&] { return complete->received.ends_with("POST /nobody\nx"); })) << "nothing was waited for";
    EXPECT_EQ(complete->received.find("Connection: close"), std::string::npos);
}

}
}
