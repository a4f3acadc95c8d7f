#include "tests/support/gateway_fixture.hpp"
#include "tests/support/raw_socket.hpp"
#include "tests/support/temp_folder.hpp"

#include <spdlog/sinks/ostream_sink.h>
#include <sstream>

// What keeps one client, one slow function or one silent store from taking the gateway with it.
namespace sluice {
namespace {

using ::testing::HasSubstr;

// A log that answers when the test does, and only says what it was asked.
class slow_log final : public message_log {
public:
    struct asked {
        std::size_t log;
        append_request request;
        std::function<void(result<stored_at>)> done;
    };
    slow_log(std::unique_ptr<message_log> real, std::size_t number, std::vector<asked>& appends)
        : real_(std::move(real)), number_(number), appends_(appends)
    {}
    void append(const append_request& request, std::function<void(result<stored_at>)> done) override
    {
        appends_.push_back({number_, request, std::move(done)});
    }
    void info(std::function<void(result<log_info>)> done) override { real_->info(std::move(done)); }
    void get(std::uint64_t sequence, std::function<void(result<log_message>)> done) override { real_->get(sequence, std::move(done)); }
    void purge_below(std::uint64_t sequence, std::function<void(result<void>)> done) override
    {
        real_->purge_below(sequence, std::move(done));
    }
    std::unique_ptr<reader> read(std::uint64_t from, std::function<void(log_message)> on_message) override
    {
        return real_->read(from, std::move(on_message));
    }

private:
    std::unique_ptr<message_log> real_;
    std::size_t number_;
    std::vector<asked>& appends_;
};

class gateway_bounds : public test::gateway_fixture {
protected:
    std::unique_ptr<message_log> wrap_log(std::unique_ptr<message_log> log) override
    {
        return std::make_unique<slow_log>(std::move(log), logs_++, appends_);
    }
    bool until(const std::function<bool()>& holds) { return test::loop_until(loop_, holds); }
    std::unique_ptr<test::raw_socket> send(const std::string& bytes)
    {
        auto client = test::raw_socket::connect(loop_, server_->port());
        client->send(bytes);
        return client;
    }
    void write_namespace(const std::string& name, const std::string& tenant)
    {
        namespace_spec space;
        space.name = name;
        space.annotations["sluice/tenant"] = tenant;
        const auto namespaces = memory_.open_bucket("namespaces");
        test::wait_for<key_value::result<std::uint64_t>>(loop_, [&](auto done) { namespaces->put(name, core::encode(space), done); });
        ASSERT_TRUE(until([&] { return ask("GET", "/system/namespace/" + name).body.find(tenant) != std::string::npos; }));
    }

    std::vector<slow_log::asked> appends_;
    std::size_t logs_ = 0;
};

TEST_F(gateway_bounds, a_store_whose_disk_is_nearly_full_takes_no_more)
{
    const test::temp_folder folder;
    options_.store_folder = folder.path();
    options_.store_free_min = 1ull << 50;
    start();
    deploy({"f", "openfaas-fn"});
    const auto refused = ask("POST", "/async-function/f", "", "x");
    EXPECT_EQ(refused.status, 503u);
    EXPECT_THAT(refused.body, HasSubstr("store_free_min"));
    EXPECT_TRUE(find(refused.fields, "Retry-After"));
    EXPECT_TRUE(appends_.empty());
}

TEST_F(gateway_bounds, a_body_for_nobody_is_not_waited_for)
{
    start();
    deploy({"f", "openfaas-fn"});
    for (const std::string target : {"/function/none", "/async-function/none", "/none"}) {
        const auto client = send("POST " + target + " HTTP/1.1\r\nHost: h\r\nContent-Length: 8000\r\n\r\nx");
        ASSERT_TRUE(until([&] { return client->ended; })) << target;
        EXPECT_TRUE(client->received.starts_with("HTTP/1.1 404 ")) << client->received;
        EXPECT_THAT(client->received, HasSubstr("Connection: close"));
    }
    const auto large = send("POST /async-function/f HTTP/1.1\r\nHost: h\r\nContent-Length: 8000000\r\n\r\nx");
    ASSERT_TRUE(until([&] { return large->ended; }));
    EXPECT_TRUE(large->received.starts_with("HTTP/1.1 413 "));
    EXPECT_THAT(metrics(), HasSubstr(R"(http_requests_total{method="POST",path="/async-function",status="404"} 1)"));
}

TEST_F(gateway_bounds, the_apis_body_bound_is_an_option)
{
    options_.api_body_bytes_max = 100'000;
    start();
    std::string variables;
    for (int i = 0; i < 500; ++i)
        variables += (i ? ",\"v" : "\"v") + std::to_string(i) + "\":\"" + std::string(180, 'x') + "\"";
    const auto deployment = R"({"service":"f","image":"i","envProcess":"cat","envVars":{)" + variables + "}}";
    ASSERT_GT(deployment.size(), 64u * 1024);
    EXPECT_EQ(ask("POST", "/system/functions", "", deployment).status, 202u);
    const auto refused = ask("POST", "/system/functions", "", std::string(100'001, ' '));
    EXPECT_EQ(refused.status, 413u);
    EXPECT_THAT(refused.body, HasSubstr("api_body_bytes_max"));
}

TEST_F(gateway_bounds, a_client_that_leaves_takes_its_synchronous_call_along)
{
    options_.function_calls_max = 1;
    test::http_service function;
    http::server replica(loop_, {}, function);
    http::exchange_ptr held;
    function.on_call = [&](http::exchange_ptr call) { held = std::move(call); };
    start();
    deploy({"f", "openfaas-fn"});
    publish({{"f", "openfaas-fn"}, 1, {{"r", "127.0.0.1", replica.port(), 0, "", true}}});
    for (const std::string behind : {"", "G"}) { // a byte of a next request makes no difference
        auto client = send("POST /function/f HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx" + behind);
        ASSERT_TRUE(until([&] { return held != nullptr; }));
        EXPECT_FALSE(application_->idle());
        client->close();
        ASSERT_TRUE(until([&] { return application_->idle(); }));
        ASSERT_TRUE(until([&] { return held->abandoned(); })) << "the replica hears of it, too";
        held.reset();
    }
    function.on_call = nullptr;
    EXPECT_EQ(ask("POST", "/function/f", "", "y").status, 200u) << "the only slot is free again";
    EXPECT_THAT(metrics(), HasSubstr(R"(code="499")"));
}

TEST_F(gateway_bounds, a_message_of_unknown_outcome_is_sent_again_as_it_was)
{
    start();
    deploy({"f", "shop"});
    write_namespace("shop", "first");
    std::optional<outcome> got;
    client_->call(request("POST", "/async-function/f.shop", "", "body"), [&](outcome result) { got = std::move(result); });
    ASSERT_TRUE(until([&] { return appends_.size() == 1; }));
    // Some tenant that belongs to another partition.
    for (int i = 0; i < 8; ++i)
        write_namespace("shop", "tenant-" + std::to_string(i));
    appends_[0].done(make_error_code(log_errc::unknown));
    ASSERT_TRUE(until([&] { return appends_.size() == 2; }));
    EXPECT_EQ(appends_[1].log, appends_[0].log);
    EXPECT_EQ(appends_[1].request.id, appends_[0].request.id);
    EXPECT_EQ(appends_[1].request.payload, appends_[0].request.payload);
    ASSERT_EQ(appends_[1].request.fields.size(), appends_[0].request.fields.size());
    EXPECT_EQ(appends_[1].request.fields[0].value, appends_[0].request.fields[0].value);
    EXPECT_THAT(appends_[1].request.payload, HasSubstr("body"));
    appends_[1].done(stored_at{1, true});
    ASSERT_TRUE(until([&] { return got.has_value(); }));
    EXPECT_EQ(got->reply.status, 202u);
}

TEST_F(gateway_bounds, a_message_that_a_lowered_limit_forbids_is_not_sent_again)
{
    start();
    deploy({"f", "openfaas-fn"});
    std::optional<outcome> got;
    client_->call(request("POST", "/async-function/f", "", std::string(20'000, 'x')), [&](outcome result) { got = std::move(result); });
    ASSERT_TRUE(until([&] { return appends_.size() == 1; }));
    application_->set_message_bytes_max(10'000); // the server came back with another max_payload
    appends_[0].done(make_error_code(log_errc::unknown));
    ASSERT_TRUE(until([&] { return got.has_value(); }));
    EXPECT_EQ(got->reply.status, 413u);
    EXPECT_EQ(appends_.size(), 1u);
}

TEST_F(gateway_bounds, a_refused_publish_is_logged_with_its_invocation)
{
    std::ostringstream lines;
    log_ = std::make_shared<logger>("test", std::make_shared<spdlog::sinks::ostream_sink_st>(lines));
    start();
    deploy({"f", "openfaas-fn"});
    std::optional<outcome> got;
    client_->call(request("POST", "/async-function/f", "", "x"), [&](outcome result) { got = std::move(result); });
    ASSERT_TRUE(until([&] { return appends_.size() == 1; }));
    appends_[0].done(make_error_code(log_errc::full));
    ASSERT_TRUE(until([&] { return got.has_value(); }));
    EXPECT_EQ(got->reply.status, 503u);
    EXPECT_THAT(lines.str(), HasSubstr("invocation=" + appends_[0].request.id));
    EXPECT_THAT(lines.str(), HasSubstr("the queue is full"));
}

TEST_F(gateway_bounds, is_not_ready_when_the_store_is_silent)
{
    options_.ready_deadline = milliseconds(400);
    start();
    EXPECT_EQ(ask("GET", "/readyz").status, 200u);
    memory_.set_down(true);
    answer got;
    ASSERT_TRUE(until([&] {
        got = ask("GET", "/readyz");
        return got.status == 503;
    }));
    EXPECT_THAT(got.body, HasSubstr("ready_deadline"));
    EXPECT_EQ(ask("GET", "/healthz").status, 200u);
    memory_.set_down(false);
    EXPECT_TRUE(until([&] { return ask("GET", "/readyz").status == 200; })) << "it asks again by itself";
}

TEST_F(gateway_bounds, absolute_targets_are_like_their_paths)
{
    test::http_service function;
    http::server replica(loop_, {}, function);
    start();
    deploy({"f", "openfaas-fn"});
    publish({{"f", "openfaas-fn"}, 1, {{"r", "127.0.0.1", replica.port(), 0, "", true}}});
    const auto called = send("POST http://gw.example/function/f/a?b HTTP/1.1\r\nHost: other:1\r\nContent-Length: 1\r\n\r\nx");
    ASSERT_TRUE(until([&] { return called->received.ends_with("POST /a?b\nx"); })) << called->received;
    EXPECT_EQ(*find(function.requests.at(0).fields, "X-Forwarded-Host"), "gw.example") << "its host counts, not that of Host";
    const auto queued = send("POST http://gw.example/async-function/f/a?b HTTP/1.1\r\nHost: gw.example\r\nContent-Length: 1\r\n\r\nx");
    ASSERT_TRUE(until([&] { return appends_.size() == 1; })) << queued->received;
    EXPECT_THAT(appends_[0].request.payload, ::testing::StartsWith("POST /a?b HTTP/1.1\r\n"));
    const auto api = send("GET HTTP://gw.example/system/info HTTP/1.1\r\nHost: gw.example\r\n\r\n");
    ASSERT_TRUE(until([&] { return api->received.starts_with("HTTP/1.1 200 "); })) << api->received;
}

TEST_F(gateway_bounds, the_root_leads_to_a_page)
{
    start();
    EXPECT_EQ(field(ask("GET", "/"), "Location"), "/ui/");
    EXPECT_EQ(field(ask("GET", "/ui"), "Location"), "/ui/");
    const auto page = ask("GET", "/ui/");
    EXPECT_EQ(page.status, 200u);
    EXPECT_THAT(field(page, "Content-Type"), HasSubstr("text/html"));
    for (const char* path : {"/system/info", "/metrics", "/healthz"})
        EXPECT_THAT(page.body, HasSubstr(path));
    EXPECT_EQ(ask("GET", "/ui/other").status, 404u);
}

}
}
