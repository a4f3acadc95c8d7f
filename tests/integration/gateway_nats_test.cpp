#include "core/function_codec.hpp"
#include "gateway/frontend.hpp"
#include "sluice/wire.hpp"
#include "tests/support/loop_until.hpp"
#include "tests/support/nats_server.hpp"
#include "tests/support/temp_folder.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

// The whole role, in this process, on a real nats-server.
namespace sluice {
namespace {

class gateway_nats : public ::testing::Test {
protected:
    gateway_nats()
    {
        log_->set_level(spdlog::level::off);
        options_.listen = "127.0.0.1:0";
        options_.nats.url = server_.url();
        options_.log_bytes_max = 64 * 1024 * 1024;
        options_.publish_deadline = milliseconds(1'500);
        options_.ready_file = folder_ / "ready";
    }
    ~gateway_nats() override
    {
        if (client_)
            client_->close();
        if (role_) {
            role_->stop();
            EXPECT_TRUE(test::loop_runs_dry(loop_));
        }
    }
    void start()
    {
        store_.emplace(loop_, nats::to_options(options_.nats, "test-gateway"));
        role_.emplace(loop_, *store_, options_, *log_);
        role_->on_closed([this] { store_->close(); });
        role_->start();
        client_.emplace(loop_, http::client_options{});
    }
    bool ready()
    {
        std::ifstream file(options_.ready_file);
        return file.good() && ask("GET", "/readyz").reply.status == 200;
    }
    outcome ask(const std::string& method, const std::string& target, const std::string& body = "")
    {
        http::client_request what;
        what.host = "127.0.0.1";
        what.port = role_->port();
        what.method = method;
        what.target = target;
        what.deadline = test::generous;
        if (!body.empty())
            what.body = std::make_shared<const std::string>(body);
        auto got = test::wait_for<outcome>(loop_, [&](auto done) { client_->call(std::move(what), done); });
        return got ? std::move(*got) : outcome{};
    }
    std::uint64_t messages()
    {
        std::uint64_t count = 0;
        for (std::uint32_t p = 0; p < options_.partitions; ++p) {
            auto log = test::wait_for<boost::system::result<std::unique_ptr<message_log>>>(loop_, [&](auto done) {
                auto shared = std::make_shared<decltype(done)>(std::move(done));
                store_->open_log(wire::log_stream(wire::default_queue, p), wire::log_subject(wire::default_queue, p), {},
                                 [shared](auto port) { (*shared)(std::move(port)); });
            });
            auto info = test::wait_for<message_log::result<log_info>>(loop_, [&](auto done) { (**log)->info(done); });
            count += (*info)->messages;
        }
        return count;
    }

    test::nats_server server_;
    test::temp_folder folder_;
    loop loop_;
    std::shared_ptr<logger> log_ = make_logger("test", "error");
    gateway::options options_;
    std::optional<nats::connection> store_;
    std::optional<gateway::frontend> role_;
    std::optional<http::client> client_;
};

TEST_F(gateway_nats, accepts_through_a_crash_of_the_store_without_a_false_202)
{
    start();
    ASSERT_TRUE(test::loop_until(loop_, [&] { return ready(); }));
    ASSERT_EQ(ask("POST", "/system/functions", R"({"service":"f","image":"i","envProcess":"cat"})").reply.status, 202u);
    std::uint64_t accepted = 0;
    for (int i = 0; i < 20; ++i)
        accepted += ask("POST", "/async-function/f", "x").reply.status == 202;
    EXPECT_EQ(accepted, 20u);

    server_.kill();
    const auto away = ask("POST", "/async-function/f", "x").reply;
    EXPECT_EQ(away.status, 503u);
    EXPECT_TRUE(find(away.fields, "Retry-After"));
    ASSERT_TRUE(test::loop_until(loop_, [&] { return ask("GET", "/readyz").reply.status == 503; }));
    EXPECT_EQ(ask("GET", "/healthz").reply.status, 200u);

    server_.start();
    ASSERT_TRUE(test::loop_until(loop_, [&] { return ask("GET", "/readyz").reply.status == 200; }));
    ASSERT_TRUE(test::loop_until(loop_, [&] {
        const bool stored = ask("POST", "/async-function/f", "x").reply.status == 202;
        accepted += stored;
        return stored;
    }));
    // What was answered 202 is there; a call whose outcome was unknown may be, too.
    EXPECT_GE(messages(), accepted);
    EXPECT_EQ(ask("POST", "/system/functions", R"({"service":"g","image":"i","envProcess":"cat"})").reply.status, 202u)
        << "the mirror watches again";
    EXPECT_EQ(ask("POST", "/async-function/g", "x").reply.status, 202u);
}

TEST_F(gateway_nats, says_that_a_stream_was_deleted)
{
    start();
    ASSERT_TRUE(test::loop_until(loop_, [&] { return ready(); }));
    for (const std::string& stream : {"KV_" + std::string(wire::functions_bucket), wire::log_stream(wire::default_queue, 1)}) {
        const auto ask_store = [&](const std::string& what, const std::string& json) {
            const auto got = test::wait_for<boost::system::result<std::string>>(
                loop_, [&](auto done) { store_->request("$JS.API.STREAM." + what + '.' + stream, json, test::generous, done); });
            return got && *got ? **got : std::string();
        };
        const auto info = boost::json::parse(ask_store("INFO", ""));
        ask_store("DELETE", "");
        ASSERT_TRUE(
            test::loop_until(loop_, [&] { return ask("GET", "/readyz").reply.body.find(stream + " is missing") != std::string::npos; }));
        ask_store("CREATE", boost::json::serialize(info.at("config")));
        ASSERT_TRUE(test::loop_until(loop_, [&] { return ask("GET", "/readyz").reply.status == 200; }));
    }
}

TEST_F(gateway_nats, a_second_start_continues_with_the_same_partitions_and_functions)
{
    options_.partitions = 2;
    start();
    ASSERT_TRUE(test::loop_until(loop_, [&] { return ready(); }));
    ASSERT_EQ(ask("POST", "/system/functions", R"({"service":"f","image":"i","envProcess":"cat"})").reply.status, 202u);
    ASSERT_EQ(ask("POST", "/async-function/f", "x").reply.status, 202u);
    client_->close();
    role_->stop();
    ASSERT_TRUE(test::loop_runs_dry(loop_));
    role_.reset();
    store_.reset();

    options_.partitions = 7; // counts only for a new cluster
    options_.ready_file = folder_ / "ready-again";
    start();
    ASSERT_TRUE(test::loop_until(loop_, [&] { return ready(); }));
    EXPECT_EQ(ask("POST", "/async-function/f", "x").reply.status, 202u);
    options_.partitions = 2;
    EXPECT_EQ(messages(), 2u);
}

TEST_F(gateway_nats, the_servers_max_payload_lowers_the_body_limit)
{
    test::nats_server_options small;
    small.payload_bytes_max = 64 * 1024;
    const test::nats_server foreign(small);
    options_.nats.url = foreign.url();
    start();
    ASSERT_TRUE(test::loop_until(loop_, [&] { return ready(); }));
    ASSERT_EQ(ask("POST", "/system/functions", R"({"service":"f","image":"i","envProcess":"cat"})").reply.status, 202u);
    EXPECT_EQ(ask("POST", "/async-function/f", std::string(40'000, 'x')).reply.status, 202u);
    const auto got = ask("POST", "/async-function/f", std::string(60'000, 'x')).reply;
    EXPECT_EQ(got.status, 413u);
    EXPECT_THAT(got.body, ::testing::HasSubstr("body_bytes_max"));
    client_->close();
    role_->stop();
    EXPECT_TRUE(test::loop_runs_dry(loop_));
    role_.reset();
    store_.reset();
}

TEST_F(gateway_nats, a_server_that_comes_back_with_a_smaller_max_payload_lowers_it_again)
{
    start();
    ASSERT_TRUE(test::loop_until(loop_, [&] { return ready(); }));
    ASSERT_EQ(ask("POST", "/system/functions", R"({"service":"f","image":"i","envProcess":"cat"})").reply.status, 202u);
    ASSERT_EQ(ask("POST", "/async-function/f", std::string(100'000, 'x')).reply.status, 202u);
    server_.kill();
    {
        std::ofstream configuration(server_.folder() + "/server.conf", std::ios::app);
        configuration << "max_payload: 32768\n"; // the last one counts
    }
    server_.start();
    ASSERT_TRUE(test::loop_until(loop_, [&] { return store_->reconnects() == 1 && ask("GET", "/readyz").reply.status == 200; }));
    const auto large = ask("POST", "/async-function/f", std::string(100'000, 'x')).reply;
    EXPECT_EQ(large.status, 413u);
    EXPECT_THAT(large.body, ::testing::HasSubstr("body_bytes_max"));
    ASSERT_TRUE(test::loop_until(loop_, [&] { return ask("POST", "/async-function/f", std::string(10'000, 'x')).reply.status == 202; }));
    EXPECT_EQ(store_->reconnects(), 1u) << "no message that the server closes the connection for";
}

TEST_F(gateway_nats, stopping_lets_calls_under_way_finish)
{
    start();
    ASSERT_TRUE(test::loop_until(loop_, [&] { return ready(); }));
    ASSERT_EQ(ask("POST", "/system/functions", R"({"service":"f","image":"i","envProcess":"cat"})").reply.status, 202u);
    server_.freeze();
    std::optional<outcome> got;
    http::client_request what;
    what.host = "127.0.0.1";
    what.port = role_->port();
    what.target = "/async-function/f";
    what.body = std::make_shared<const std::string>("x");
    client_->call(std::move(what), [&](outcome result) { got = std::move(result); });
    ASSERT_TRUE(test::loop_until(loop_, [&] { return !role_->idle(); })); // it waits for the frozen store
    role_->stop();
    server_.thaw();
    ASSERT_TRUE(test::loop_until(loop_, [&] { return got.has_value(); }));
    EXPECT_EQ(got->reply.status, 202u);
    client_->close();
    EXPECT_TRUE(test::loop_runs_dry(loop_));
    role_.reset();
    store_.reset();
}

TEST_F(gateway_nats, a_port_that_is_taken_is_a_failure_at_start)
{
    start();
    ASSERT_TRUE(test::loop_until(loop_, [&] { return ready(); }));
    auto second_options = options_;
    second_options.listen = "127.0.0.1:" + std::to_string(role_->port());
    second_options.ready_file.clear();
    nats::connection second_store(loop_, nats::to_options(second_options.nats, "second"));
    gateway::frontend second(loop_, second_store, second_options, *log_);
    bool closed = false;
    second.on_closed([&] { closed = true; });
    second.start();
    ASSERT_TRUE(test::loop_until(loop_, [&] { return closed; }));
    EXPECT_THAT(second.failure(), ::testing::HasSubstr(second_options.listen));
    second_store.close();
}

}
}
