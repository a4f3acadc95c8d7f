#include "sluice/wire.hpp"
#include "tests/integration/watchdog_fixture.hpp"
#include "tests/support/no_descriptors_left.hpp"

#include "watchdog/port_claim.hpp"

#include <fstream>

namespace sluice::test {

namespace {

// Echoes what it got; the path says what else to do.
constexpr const char* function_source = R"python(
import http.server, os, signal, sys, time

class handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.split("?")[0]
        if path == "/hang":
            open(body, "w").close()
            signal.pause()
        if path == "/exit":
            os._exit(7)
        if path == "/large":
            body = b"x" * int(body)
        if path.startswith("/seen"):
            body = (self.command + " " + self.path + "\n" + str(self.headers)).encode()
        if path == "/environment":
            body = "\n".join(k + "=" + v for k, v in os.environ.items()).encode()
        if path == "/speak":
            print("on stdout", flush=True)
            print("on stderr", file=sys.stderr, flush=True)
        self.send_response(302 if path == "/moved" else 503 if path == "/not-ready" else 200)
        self.send_header("Content-Type", "application/x-test")
        self.send_header("Location", "/elsewhere")
        self.send_header("X-OpenFaaS-Internal", "forged")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer.daemon_threads = True
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), handler).serve_forever()
)python";

class watchdog_http : public watchdog_test {
protected:
    void start_ready(string_map environment = {}, const std::string& token = {})
    {
        std::ofstream(folder_ / "function.py") << function_source;
        environment["mode"] = "http";
        environment["fprocess"] = "/usr/bin/python3 " + folder_ / "function.py";
        environment.try_emplace("healthcheck_interval", "0");
        start(std::move(environment), token);
        ASSERT_TRUE(poll_until(loop_, [&] { return status_of("/_/ready") == 200; }));
    }
};

}

TEST_F(watchdog_http, forwards_method_path_query_fields_and_body_as_they_came)
{
    start_ready({}, "the-token");
    auto sent = request("/seen?a=%2Fb&c=%zz", "body",
                        "Sluice-Replica-Token: the-token\r\nX-Call-Id: 7\r\nConnection: X-Hop\r\nX-Hop: 1\r\n", "PUT");
    sent.host_field = "function.example";
    const auto got = call(std::move(sent));
    ASSERT_EQ(got.reply.status, 200U);
    EXPECT_TRUE(got.reply.body.starts_with("PUT /seen?a=%2Fb&c=%zz\n")) << got.reply.body;
    EXPECT_NE(got.reply.body.find("Host: function.example\n"), std::string::npos) << got.reply.body;
    EXPECT_NE(got.reply.body.find("X-Call-Id: 7\n"), std::string::npos);
    EXPECT_NE(got.reply.body.find("Content-Length: 4\n"), std::string::npos);
    EXPECT_EQ(got.reply.body.find("the-token"), std::string::npos);
    EXPECT_EQ(got.reply.body.find("X-Hop"), std::string::npos);
    EXPECT_EQ(field(got, "Content-Type"), "application/x-test");
    EXPECT_FALSE(field(got, "X-Duration-Seconds").empty());
    EXPECT_EQ(find(got.reply.fields, "X-OpenFaaS-Internal"), nullptr) << "only we may say that of ourselves";
}

TEST_F(watchdog_http, passes_a_megabyte_of_bytes_unchanged)
{
    start_ready();
    std::string sent(1024 * 1024, '\0');
    for (std::size_t i = 0; i < sent.size(); ++i)
        sent[i] = static_cast<char>(i * 31 + i / 256);
    EXPECT_TRUE(call(sent).reply.body == sent);
}

TEST_F(watchdog_http, a_redirect_is_the_callers)
{
    start_ready();
    const auto got = call(request("/moved", {}, {}, "GET"));
    EXPECT_EQ(got.reply.status, 302U);
    EXPECT_EQ(field(got, "Location"), "/elsewhere");
}

TEST_F(watchdog_http, the_process_has_its_environment_and_a_port_and_no_token)
{
    start_ready({{"greeting", "hello"}}, "the-token");
    const auto got = call(request("/environment", {}, "Sluice-Replica-Token: the-token\r\n"));
    EXPECT_NE(got.reply.body.find("greeting=hello"), std::string::npos);
    EXPECT_NE(got.reply.body.find("PORT="), std::string::npos);
    EXPECT_EQ(got.reply.body.find("the-token"), std::string::npos);
}

TEST_F(watchdog_http, a_call_past_exec_timeout_is_504_of_the_watchdog)
{
    start_ready({{"exec_timeout", "200ms"}});
    const auto got = call(request("/hang", folder_ / "hangs"));
    EXPECT_EQ(got.reply.status, 504U);
    EXPECT_EQ(field(got, "X-OpenFaaS-Internal"), "of-watchdog");
    EXPECT_TRUE(got.reply.body.empty());
    EXPECT_EQ(call("next").reply.body, "next");
}

TEST_F(watchdog_http, a_call_that_finds_no_descriptors_goes_back)
{
    start_ready();
    {
        const no_descriptors_left none; // the client's connection stands, none to the function does yet
        const auto got = call("x");
        EXPECT_EQ(got.reply.status, 429U) << got.reason;
        EXPECT_EQ(field(got, "X-OpenFaaS-Internal"), "of-watchdog");
        EXPECT_NE(got.reply.body.find("connect"), std::string::npos) << got.reply.body;
    }
    EXPECT_EQ(call("x").reply.body, "x");
}

TEST_F(watchdog_http, x_timeout_shortens_one_call)
{
    start_ready({{"exec_timeout", "1h"}});
    EXPECT_EQ(call(request("/hang", folder_ / "hangs", "X-Timeout: 200ms\r\n")).reply.status, 504U);
    EXPECT_EQ(call(request("/", "x", "X-Timeout: 2h\r\n")).reply.status, 200U);
    EXPECT_EQ(call(request("/", "x", "X-Timeout: soon\r\n")).reply.status, 200U);
}

TEST_F(watchdog_http, above_max_inflight_is_429_and_a_gone_client_frees_its_slot)
{
    start_ready({{"max_inflight", "1"}});
    const auto id = client_.call(request("/hang", folder_ / "hangs"), [](outcome) {});
    ASSERT_TRUE(poll_until(loop_, [&] { return std::ifstream(folder_ / "hangs").good(); }));
    EXPECT_EQ(call("x").reply.status, 429U);
    EXPECT_EQ(status_of("/_/ready"), 429U);
    client_.cancel(id);
    EXPECT_TRUE(poll_until(loop_, [&] { return call("x").reply.status == 200; }));
}

TEST_F(watchdog_http, an_answer_above_the_bound_is_cut_and_says_so)
{
    given_.answer_bytes_max = 1000;
    start_ready();
    EXPECT_EQ(call(request("/large", "1000")).reply.body.size(), 1000U);
    const auto got = call(request("/large", "100000"));
    EXPECT_EQ(got.reply.status, 200U);
    EXPECT_EQ(got.reply.body.size(), 1000U);
    ASSERT_NE(find(got.reply.fields, wire::cut_answer_header), nullptr);
    EXPECT_EQ(*find(got.reply.fields, wire::cut_answer_header), "100000");
}

TEST_F(watchdog_http, a_function_that_does_not_listen_is_not_ready)
{
    start({{"mode", "http"}, {"fprocess", "sleep 1000"}, {"healthcheck_interval", "0"}});
    EXPECT_EQ(status_of("/_/ready"), 503U) << "nothing listens";
    EXPECT_EQ(status_of("/_/health"), 200U);
    const auto got = call("x");
    EXPECT_EQ(got.reply.status, 500U);
    EXPECT_EQ(field(got, "X-OpenFaaS-Internal"), "of-watchdog");
}

TEST_F(watchdog_http, ready_is_what_the_functions_ready_path_says)
{
    std::ofstream(folder_ / "function.py") << function_source;
    start({{"mode", "http"},
           {"fprocess", "/usr/bin/python3 " + folder_ / "function.py"},
           {"ready_path", "/not-ready"},
           {"healthcheck_interval", "0"}});
    ASSERT_TRUE(poll_until(loop_, [&] { return call("x").reply.status == 200; }));
    EXPECT_TRUE(poll_until(loop_, [&] { return status_of("/_/ready") == 503; }));
}

TEST_F(watchdog_http, the_end_of_the_process_ends_the_replica_and_answers_its_calls)
{
    start_ready();
    bool closed = false;
    replica_->on_closed([&] { closed = true; });
    std::optional<outcome> hanging;
    client_.call(request("/hang", folder_ / "hangs"), [&](outcome result) { hanging = std::move(result); });
    ASSERT_TRUE(poll_until(loop_, [&] { return std::ifstream(folder_ / "hangs").good(); }));
    const auto got = call(request("/exit", "x"));
    EXPECT_EQ(got.reply.status, 500U);
    EXPECT_EQ(field(got, "X-OpenFaaS-Internal"), "of-watchdog");
    EXPECT_TRUE(poll_until(loop_, [&] { return closed && hanging; }));
    EXPECT_EQ(hanging->reply.status, 500U);
    EXPECT_EQ(replica_->exit_code(), 1);
    replica_.reset();
}

TEST_F(watchdog_http, an_explicit_upstream_with_a_path_is_used)
{
    std::ofstream(folder_ / "function.py") << function_source;
    watchdog::port_claim free_port;
    const auto port = std::to_string(free_port.port());
    start({{"mode", "http"},
           {"fprocess", "/usr/bin/python3 " + folder_ / "function.py"},
           {"PORT", port},
           {"upstream_url", "http://127.0.0.1:" + port + "/seen/"},
           {"healthcheck_interval", "0"}});
    ASSERT_TRUE(poll_until(loop_, [&] { return status_of("/_/ready") == 200; }));
    EXPECT_TRUE(call(request("/more?x=1", "x")).reply.body.starts_with("POST /seen/more?x=1\n"));
}

TEST_F(watchdog_http, two_replicas_of_one_machine_have_two_ports)
{
    const watchdog::port_claim one, two;
    EXPECT_NE(one.port(), two.port());
}

}
