#include "sluice/wire.hpp"
#include "tests/integration/watchdog_fixture.hpp"
#include "tests/support/no_descriptors_left.hpp"
#include "tests/support/raw_socket.hpp"

#include "adapters/process/process.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>

namespace sluice::test {

namespace {

class watchdog_classic : public watchdog_test {
protected:
    // A shell script, because fprocess knows no quotes.
    std::string script(const std::string& text)
    {
        const auto path = folder_ / ("function" + std::to_string(++scripts_) + ".sh");
        std::ofstream(path) << "#!/bin/sh\n" << text << '\n';
        ::chmod(path.c_str(), 0755);
        return path;
    }

    std::optional<int> pid_in(const std::string& path)
    {
        std::ifstream in(path);
        int pid = 0;
        return in >> pid ? std::optional(pid) : std::nullopt;
    }

private:
    int scripts_ = 0;
};

std::string binary_bytes(std::size_t count)
{
    std::string bytes(count, '\0');
    std::uint32_t state = 12345;
    for (char& c : bytes) {
        state = state * 1664525 + 1013904223;
        c = static_cast<char>(state >> 24);
    }
    return bytes;
}

}

TEST_F(watchdog_classic, answers_with_what_the_process_wrote)
{
    start({{"fprocess", "/usr/bin/sha512sum"}});
    const auto got = call("test");
    EXPECT_EQ(got.reply.status, 200U);
    EXPECT_EQ(got.reply.body,
              "ee26b0dd4af7e749aa1a8ee3c10ae9923f618980772e473f8819a5d4940e0db27ac185f8a0e1d5f84f88bc887fd67b143732c304cc5fa9ad8e"
              "6f57f50028a8ff  -\n");
    EXPECT_FALSE(field(got, "X-Duration-Seconds").empty());
}

TEST_F(watchdog_classic, passes_a_megabyte_of_bytes_unchanged_in_both_directions)
{
    start({{"fprocess", "cat"}});
    const auto sent = binary_bytes(1024 * 1024);
    const auto got = call(sent, "Content-Type: application/octet-stream\r\n");
    EXPECT_EQ(got.reply.status, 200U);
    EXPECT_TRUE(got.reply.body == sent);
    EXPECT_EQ(field(got, "Content-Type"), "application/octet-stream");
}

TEST_F(watchdog_classic, tells_the_process_of_its_request)
{
    start({{"fprocess", "env"}, {"greeting", "hello"}}, "secret-token");
    const auto got = call(
        request("/some/path?a=b%20c", "12345", "x-call-id: 42\r\nSluice-Replica-Token: secret-token\r\nProxy: http://evil\r\n", "PUT"));
    ASSERT_EQ(got.reply.status, 200U);
    const auto lines = '\n' + got.reply.body;
    for (const char* line : {"\nHttp_Method=PUT\n", "\nHttp_Path=/some/path\n", "\nHttp_Query=a=b%20c\n", "\nHttp_X_Call_Id=42\n",
                             "\nHttp_ContentLength=5\n", "\nHttp_Content_Length=5\n", "\ngreeting=hello\n", "\nfprocess=env\n", "\nPATH="})
        EXPECT_NE(lines.find(line), lines.npos) << line << " in " << lines;
    EXPECT_EQ(lines.find("secret-token"), lines.npos);
    EXPECT_EQ(lines.find("Http_Proxy"), lines.npos);
}

TEST_F(watchdog_classic, tells_nothing_where_cgi_headers_is_false)
{
    start({{"fprocess", "env"}, {"cgi_headers", "false"}});
    EXPECT_EQ(call("x").reply.body.find("Http_"), std::string::npos);
}

TEST_F(watchdog_classic, an_exit_code_is_a_500_with_text_and_output)
{
    start({{"fprocess", script("echo out; echo err >&2; exit 3")}});
    const auto got = call("x");
    EXPECT_EQ(got.reply.status, 500U);
    EXPECT_EQ(got.reply.body, "exit status 3\nout\nerr\n");
    EXPECT_EQ(find(got.reply.fields, "X-OpenFaaS-Internal"), nullptr) << "it is the function's own answer";
}

TEST_F(watchdog_classic, stderr_stays_out_of_the_answer_where_combine_output_is_false)
{
    start({{"fprocess", script("echo out; echo err >&2")}, {"combine_output", "false"}});
    EXPECT_EQ(call("x").reply.body, "out\n");
}

TEST_F(watchdog_classic, a_process_killed_by_itself_is_a_500)
{
    start({{"fprocess", script("kill -SEGV $$")}});
    const auto got = call("x");
    EXPECT_EQ(got.reply.status, 500U);
    EXPECT_EQ(got.reply.body, "signal: segmentation fault\n");
}

TEST_F(watchdog_classic, a_command_that_does_not_exist_is_a_500)
{
    start({{"fprocess", "/no/such/command"}});
    const auto got = call("x");
    EXPECT_EQ(got.reply.status, 500U);
    EXPECT_NE(got.reply.body.find("/no/such/command"), std::string::npos);
}

TEST_F(watchdog_classic, a_process_that_reads_nothing_answers_all_the_same)
{
    start({{"fprocess", script("echo done")}});
    EXPECT_EQ(call(binary_bytes(2 * 1024 * 1024)).reply.body, "done\n");
}

TEST_F(watchdog_classic, a_process_that_closes_its_stdin_early_answers_all_the_same)
{
    start({{"fprocess", script("head -c 5; exec <&-; echo; echo more")}});
    EXPECT_EQ(call("12345" + binary_bytes(2 * 1024 * 1024)).reply.body, "12345\nmore\n");
}

TEST_F(watchdog_classic, a_flood_is_counted_and_cut)
{
    given_.answer_bytes_max = 1000;
    start({{"fprocess", script("head -c 3000000 /dev/zero")}});
    const auto got = call("x");
    EXPECT_EQ(got.reply.status, 200U);
    EXPECT_EQ(got.reply.body.size(), 1000U);
    ASSERT_NE(find(got.reply.fields, wire::cut_answer_header), nullptr);
    EXPECT_EQ(*find(got.reply.fields, wire::cut_answer_header), "3000000");
}

TEST_F(watchdog_classic, a_process_past_its_time_is_killed_with_its_children)
{
    const auto child = folder_ / "child";
    start({{"fprocess", script("trap '' TERM; sleep 1000 & echo $! > " + child + "; wait; wait; sleep 1000")}, {"exec_timeout", "300ms"}});
    const auto got = call("x");
    EXPECT_EQ(got.reply.status, 408U);
    EXPECT_EQ(got.reply.body, "Killed process.\n");
    const auto pid = pid_in(child);
    ASSERT_TRUE(pid);
    EXPECT_TRUE(poll_until(loop_, [&] { return !process::identify(*pid); }));
}

TEST_F(watchdog_classic, an_endless_flood_ends_at_exec_timeout)
{
    given_.answer_bytes_max = 1000;
    start({{"fprocess", "yes"}, {"exec_timeout", "300ms"}});
    EXPECT_EQ(call("x").reply.status, 408U);
}

TEST_F(watchdog_classic, a_grandchild_that_holds_the_pipe_keeps_nobody_waiting)
{
    const auto child = folder_ / "child";
    start({{"fprocess", script("sleep 1000 & echo $! > " + child + "; echo answer")}});
    EXPECT_EQ(call("x").reply.body, "answer\n");
    const auto pid = pid_in(child);
    ASSERT_TRUE(pid);
    EXPECT_TRUE(poll_until(loop_, [&] { return !process::identify(*pid); }));
}

TEST_F(watchdog_classic, a_process_whose_client_has_gone_is_killed)
{
    const auto own = folder_ / "pid";
    start({{"fprocess", script("echo $$ > " + own + ".new; mv " + own + ".new " + own + "; sleep 1000")}});
    const auto id = client_.call(request("/", "x"), [](outcome) {});
    ASSERT_TRUE(poll_until(loop_, [&] { return pid_in(own).has_value(); }));
    const auto pid = *pid_in(own);
    client_.cancel(id);
    EXPECT_TRUE(poll_until(loop_, [&] { return !process::identify(pid); }));
}

// Two ways of being gone that look like a client that still waits: something more was sent before the end.
TEST_F(watchdog_classic, a_process_whose_client_has_gone_behind_further_bytes_is_killed)
{
    const auto own = folder_ / "pid";
    start({{"fprocess", script("echo $$ > " + own + ".new; mv " + own + ".new " + own + "; sleep 1000")}});
    for (const std::size_t further : {1, 100'000}) {
        auto client = raw_socket::connect(loop_, replica_->port());
        std::string bytes = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx" + std::string(further, 'y');
        ASSERT_TRUE(poll_until(loop_, [&] {
            bytes.erase(0, client->send(bytes));
            return pid_in(own).has_value();
        }));
        const auto pid = *pid_in(own);
        client->close();
        EXPECT_TRUE(poll_until(loop_, [&] { return !process::identify(pid); })) << further;
        std::filesystem::remove(own);
    }
}

TEST_F(watchdog_classic, a_call_that_finds_no_descriptors_goes_back)
{
    start({{"fprocess", "cat"}});
    ASSERT_EQ(call("x").reply.body, "x");
    {
        const no_descriptors_left none; // the client's connection stands
        const auto got = call("x");
        EXPECT_EQ(got.reply.status, 429U) << got.reason;
        EXPECT_EQ(field(got, "X-OpenFaaS-Internal"), "sluice-watchdog");
    }
    EXPECT_EQ(call("x").reply.body, "x");
}

TEST_F(watchdog_classic, what_runs_ends_without_a_further_descriptor)
{
    const auto go = folder_ / "go", runs = folder_ / "runs";
    start({{"fprocess", script("mkdir " + runs + "; while [ ! -d " + go + " ]; do sleep 0.01; done; echo ended")}});
    std::optional<outcome> got;
    client_.call(request("/"), [&](outcome result) { got = std::move(result); });
    ASSERT_TRUE(poll_until(loop_, [&] { return std::filesystem::exists(runs); }));
    const no_descriptors_left none;
    std::filesystem::create_directory(go);
    ASSERT_TRUE(poll_until(loop_, [&] { return got.has_value(); }));
    EXPECT_EQ(got->reply.body, "ended\n");
}

TEST_F(watchdog_classic, above_max_inflight_is_429_of_the_limiter)
{
    const auto go = folder_ / "go";
    start({{"fprocess", script("while [ ! -e " + go + " ]; do read x < /proc/uptime; done; echo late")}, {"max_inflight", "2"}});
    int done = 0;
    for (int i = 0; i < 2; ++i)
        client_.call(request("/", "x"), [&](const outcome& got) {
            EXPECT_EQ(got.reply.body, "late\n");
            ++done;
        });
    ASSERT_TRUE(poll_until(loop_, [&] { return client_.in_flight() == 2; }));
    EXPECT_EQ(status_of("/_/health"), 200U);
    ASSERT_TRUE(poll_until(loop_, [&] { return status_of("/_/ready") == 429; }));
    const auto got = call("x");
    EXPECT_EQ(got.reply.status, 429U);
    EXPECT_EQ(got.reply.body, "Concurrent request limit exceeded. Max concurrent requests: 2\n");
    EXPECT_EQ(field(got, "X-OpenFaaS-Internal"), "faas-middleware");
    std::ofstream(go) << "go";
    EXPECT_TRUE(poll_until(loop_, [&] { return done == 2; }));
}

TEST_F(watchdog_classic, other_methods_are_405)
{
    start({{"fprocess", "cat"}});
    EXPECT_EQ(call(request("/", {}, {}, "OPTIONS")).reply.status, 405U);
    EXPECT_EQ(call(request("/_/health", {}, {}, "POST")).reply.status, 405U);
}

TEST_F(watchdog_classic, a_body_above_the_bound_is_413)
{
    given_.body_bytes_max = 10;
    start({{"fprocess", "cat"}});
    EXPECT_EQ(call("0123456789").reply.status, 200U);
    EXPECT_EQ(call("0123456789a").reply.status, 413U);
}

TEST_F(watchdog_classic, bodies_that_are_held_back_share_a_budget)
{
    given_.body_bytes_max = given_.body_bytes_budget = 1'000'000;
    start({{"fprocess", "wc -c"}});
    const std::string part(700'000, 'x');
    const auto slow = raw_socket::connect(loop_, replica_->port());
    slow->send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 700001\r\n\r\n");
    std::size_t sent = 0;
    ASSERT_TRUE(poll_until(loop_, [&] {
        sent += slow->send(std::string_view(part).substr(sent));
        return sent == part.size();
    }));
    unsigned status = 0;
    for (int i = 0; i < 100 && status != 503U; ++i) // until it has arrived
        status = call(part).reply.status;
    EXPECT_EQ(status, 503U);
    slow->send("x");
    ASSERT_TRUE(loop_until(loop_, [&] { return slow->received.find("700001") != std::string::npos; }));
    EXPECT_EQ(call(part).reply.status, 200U);
}

TEST_F(watchdog_classic, calls_need_the_token_and_health_does_not)
{
    start({{"fprocess", "cat"}}, "0123456789abcdef");
    EXPECT_EQ(call("x").reply.status, 401U);
    EXPECT_EQ(call("x", "Sluice-Replica-Token: 0123456789abcdee\r\n").reply.status, 401U);
    EXPECT_EQ(call("x", "Sluice-Replica-Token: 0123456789abcde\r\n").reply.status, 401U);
    EXPECT_EQ(call("x", "Sluice-Replica-Token: 0123456789abcdef\r\n").reply.body, "x");
    EXPECT_EQ(status_of("/_/health"), 200U);
    EXPECT_EQ(status_of("/_/ready"), 200U);
    EXPECT_EQ(status_of("/_/other"), 401U);
}

TEST_F(watchdog_classic, a_call_that_runs_is_answered_before_the_end)
{
    const auto started = folder_ / "started", go = folder_ / "go";
    start({{"fprocess", script(": > " + started + "; while [ ! -e " + go + " ]; do read x < /proc/uptime; done; echo late")},
           {"healthcheck_interval", "0"}});
    std::optional<outcome> got;
    client_.call(request("/", "x"), [&](outcome result) { got = std::move(result); });
    ASSERT_TRUE(poll_until(loop_, [&] { return std::ifstream(started).good(); }));
    bool closed = false;
    replica_->on_closed([&] { closed = true; });
    replica_->stop("test");
    EXPECT_FALSE(closed);
    std::ofstream(go) << "go";
    EXPECT_TRUE(poll_until(loop_, [&] { return closed && got; }));
    EXPECT_EQ(got->reply.body, "late\n");
    EXPECT_EQ(replica_->exit_code(), 0);
    replica_.reset();
}

TEST_F(watchdog_classic, a_call_past_the_drain_deadline_is_killed)
{
    const auto started = folder_ / "started";
    given_.drain_deadline = std::chrono::milliseconds(100);
    start({{"fprocess", script(": > " + started + "; sleep 1000")}, {"healthcheck_interval", "0"}});
    std::optional<outcome> got;
    client_.call(request("/", "x"), [&](outcome result) { got = std::move(result); });
    ASSERT_TRUE(poll_until(loop_, [&] { return std::ifstream(started).good(); }));
    bool closed = false;
    replica_->on_closed([&] { closed = true; });
    replica_->stop("test");
    EXPECT_TRUE(poll_until(loop_, [&] { return closed && got; }));
    EXPECT_EQ(got->reply.status, 500U);
    replica_.reset();
}

TEST_F(watchdog_classic, many_calls_at_once_are_each_answered)
{
    start({{"fprocess", "cat"}});
    int done = 0;
    for (int i = 0; i < 60; ++i)
        client_.call(request("/", "call " + std::to_string(i)), [&, i](const outcome& got) {
            EXPECT_EQ(got.reply.body, "call " + std::to_string(i));
            ++done;
        });
    EXPECT_TRUE(poll_until(loop_, [&] { return done == 60; }));
}

TEST_F(watchdog_classic, metrics_count_by_code_and_method)
{
    given_.metrics_listen = "127.0.0.1:0";
    start({{"fprocess", "cat"}});
    EXPECT_EQ(call("x").reply.status, 200U);
    auto ask = request("/metrics", {}, {}, "GET");
    ask.port = replica_->metrics_port();
    const auto page = call(std::move(ask)).reply.body;
    EXPECT_NE(page.find("http_requests_total{code=\"200\",method=\"POST\"} 1"), page.npos) << page;
    EXPECT_NE(page.find("http_requests_in_flight 0"), page.npos) << page;
}

}
