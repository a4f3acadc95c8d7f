// The queue worker on a real nats-server: calls are put into the log as a gateway would, functions and receivers are HTTP servers here.
#include "adapters/asio/clock.hpp"
#include "adapters/http/client.hpp"
#include "adapters/http/server.hpp"
#include "core/function_codec.hpp"
#include "core/layout.hpp"
#include "core/listen_address.hpp"
#include "queue-worker/worker.hpp"
#include "sluice/wire.hpp"
#include "tests/support/loop_until.hpp"
#include "tests/support/nats_server.hpp"
#include "tests/support/temp_folder.hpp"

#include <fstream>
#include <gtest/gtest.h>
#include <map>

namespace {

using namespace sluice;
using namespace std::chrono_literals;

// Answers every request by a function of the test, and keeps what it got.
class recorder final : public http::service {
public:
    struct seen {
        std::string method, target, body;
        headers fields;
    };
    explicit recorder(loop& on) : server_(on, {}, *this) {}
    body_bound bound_of(const http_request&) override { return {8 * 1024 * 1024, "test"}; }
    void handle(http::exchange_ptr call) override
    {
        seen got{std::string(call->request().method), std::string(call->request().target), std::string(call->request().body), {}};
        for (const auto& field : call->request().fields)
            got.fields.push_back({std::string(field.name), std::string(field.value)});
        calls.push_back(std::move(got));
        if (hold)
            held.push_back(std::move(call));
        else
            call->reply(answer);
    }
    std::uint16_t port() const { return server_.port(); }
    void close() { server_.close(); }

    std::vector<seen> calls;
    http_response answer{200, {{"Content-Type", "text/plain"}}, "done"};
    bool hold = false;
    std::vector<http::exchange_ptr> held;

private:
    http::server server_;
};

class queue_worker_test : public testing::Test {
protected:
    queue_worker_test() : server_(server_options()), function_(loop_), receiver_(loop_), store_(loop_, connection_options("test"))
    {
        options_.partitions = 2;
        options_.log_bytes_max = 64 * 1024 * 1024; // the server reserves it
        options_.callback_allow = {"127.0.0.1"};
        options_.shard.retry.wait_min = 10ms;
        options_.shard.callback.wait_min = 10ms;
        options_.metrics_listen = "127.0.0.1:0";
        open(wire::functions_bucket, functions_);
        open(wire::endpoints_bucket, endpoints_);
        deploy();
    }
    ~queue_worker_test() override
    {
        stop_worker();
        functions_.reset();
        endpoints_.reset();
        logs_.clear();
        store_.close();
        function_.close();
        receiver_.close();
        EXPECT_TRUE(test::loop_runs_dry(loop_));
    }

    static test::nats_server_options server_options()
    {
        test::nats_server_options with;
        with.user = "sluice";
        with.password = "secret";
        return with;
    }
    nats::connection_options connection_options(const std::string& name)
    {
        nats::connection_options with;
        with.url = server_.url();
        with.user = "sluice";
        with.password = "secret";
        with.name = name;
        return with;
    }
    void open(std::string_view bucket, std::unique_ptr<key_value>& into)
    {
        using answer = boost::system::result<std::unique_ptr<key_value>>;
        auto opened = test::wait_for<std::shared_ptr<answer>>(loop_, [&](auto done) {
            store_.open_bucket(std::string(bucket), {}, [done](answer made) { done(std::make_shared<answer>(std::move(made))); });
        });
        ASSERT_TRUE(opened && (*opened)->has_value());
        into = std::move(***opened);
    }
    void deploy()
    {
        function_spec spec;
        spec.name = name_;
        function_endpoints running{name_, 1, {{"r1", "127.0.0.1", function_.port(), 8, "token-1", true}}};
        put(*functions_, name_.key(), core::encode(spec));
        put(*endpoints_, name_.key(), core::encode(running));
    }
    void put(key_value& bucket, const std::string& key, const std::string& value)
    {
        auto stored = test::wait_for<key_value::result<std::uint64_t>>(loop_, [&](auto done) { bucket.put(key, value, done); });
        ASSERT_TRUE(stored && *stored);
    }

    void start_worker()
    {
        worker_store_ = std::make_unique<nats::connection>(loop_, connection_options("worker"));
        worker_ = std::make_unique<queue_worker::worker>(loop_, *worker_store_, options_, *log_);
        worker_->on_closed([this] { worker_closed_ = true; });
        worker_closed_ = false;
        worker_->start();
    }
    void stop_worker()
    {
        if (!worker_)
            return;
        worker_->stop();
        ASSERT_TRUE(test::loop_until(loop_, [&] { return worker_closed_; }));
        ASSERT_EQ(worker_->failure(), "");
        bury(std::move(worker_), std::move(worker_store_));
    }
    // What still waits in the loop may point to a role until the loop has run dry, as in its process.
    void bury(std::unique_ptr<queue_worker::worker> role, std::unique_ptr<nats::connection> store)
    {
        store->close();
        buried_.push_back({std::move(store), std::move(role)});
    }
    // As if its process had been killed: nothing is finished or flushed.
    void kill_worker()
    {
        worker_->stop();
        worker_->stop();
        bury(std::move(worker_), std::move(worker_store_));
    }

    message_log& log_of(const std::string& tenant)
    {
        const auto partition = core::partition_of(tenant, options_.partitions);
        auto& port = logs_[partition];
        if (!port) {
            using answer = boost::system::result<std::unique_ptr<message_log>>;
            auto opened = test::wait_for<std::shared_ptr<answer>>(loop_, [&](auto done) {
                store_.open_log(wire::log_stream(wire::default_queue, partition), wire::log_subject(wire::default_queue, partition), {},
                                [done](answer made) { done(std::make_shared<answer>(std::move(made))); });
            });
            port = std::move(***opened);
        }
        return *port;
    }
    void accept(const std::string& id, const std::string& body, bool with_callback)
    {
        append_request call;
        call.id = id;
        call.fields.push_back({std::string(wire::call_header), "1 openfaas-fn " + name_.full() + ' ' + std::to_string(clock_now().wall)});
        if (with_callback)
            call.fields.push_back({std::string(wire::callback_header), "http://127.0.0.1:" + std::to_string(receiver_.port()) + "/cb?x=1"});
        call.payload = "PUT /path/%2F?q=a%20b HTTP/1.1\r\nX-Call-Id: " + id + "\r\nX-Custom: value\r\n\r\n" + body;
        // As a gateway does: no clear answer means the same id again.
        std::optional<message_log::result<stored_at>> stored;
        do
            stored = test::wait_for<message_log::result<stored_at>>(loop_, [&](auto done) { log_of("openfaas-fn").append(call, done); });
        while (stored && !*stored && (stored->error() == log_errc::unknown || stored->error() == log_errc::unavailable));
        ASSERT_TRUE(stored && *stored);
    }
    bool until(std::function<bool()> holds) { return test::loop_until(loop_, holds); }

    loop loop_;
    std::shared_ptr<logger> log_ = make_logger("queue-worker", "warn");
    test::nats_server server_;
    recorder function_;
    recorder receiver_;
    nats::connection store_;
    std::unique_ptr<key_value> functions_;
    std::unique_ptr<key_value> endpoints_;
    std::map<std::uint32_t, std::unique_ptr<message_log>> logs_;
    function_name name_{"echo", "openfaas-fn"};
    queue_worker::options options_;
    std::unique_ptr<nats::connection> worker_store_;
    std::unique_ptr<queue_worker::worker> worker_;
    bool worker_closed_ = false;

private:
    struct grave {
        std::unique_ptr<nats::connection> store;
        std::unique_ptr<queue_worker::worker> role;
    };
    std::vector<grave> buried_;
};

TEST_F(queue_worker_test, a_call_arrives_as_it_was_sent_and_is_called_back)
{
    start_worker();
    accept("id-1", std::string("a\0b", 3), true);
    ASSERT_TRUE(until([&] { return !receiver_.calls.empty(); }));
    ASSERT_EQ(function_.calls.size(), 1u);
    const auto& call = function_.calls[0];
    EXPECT_EQ(call.method, "PUT");
    EXPECT_EQ(call.target, "/path/%2F?q=a%20b");
    EXPECT_EQ(call.body, std::string("a\0b", 3));
    EXPECT_EQ(*find(call.fields, "X-Custom"), "value");
    EXPECT_EQ(*find(call.fields, wire::replica_token_header), "token-1");
    const auto& callback = receiver_.calls[0];
    EXPECT_EQ(callback.method, "POST");
    EXPECT_EQ(callback.target, "/cb?x=1");
    EXPECT_EQ(callback.body, "done");
    EXPECT_EQ(*find(callback.fields, "X-Call-Id"), "id-1");
    EXPECT_EQ(*find(callback.fields, "X-Function-Status"), "200");
    EXPECT_EQ(*find(callback.fields, "X-Function-Name"), "echo.openfaas-fn");
    EXPECT_EQ(*find(callback.fields, "Content-Type"), "text/plain");
    EXPECT_EQ(find(callback.fields, wire::replica_token_header), nullptr);
}

TEST_F(queue_worker_test, calls_accepted_before_the_worker_started_run_and_none_runs_again_after_a_restart)
{
    for (int i = 0; i < 20; ++i)
        accept("early-" + std::to_string(i), "x", i % 2 == 0);
    start_worker();
    ASSERT_TRUE(until([&] { return function_.calls.size() == 20 && receiver_.calls.size() == 10; }));
    stop_worker();
    start_worker();
    accept("later", "x", true);
    ASSERT_TRUE(until([&] { return receiver_.calls.size() == 11; }));
    EXPECT_EQ(function_.calls.size(), 21u);
}

TEST_F(queue_worker_test, a_call_that_was_running_when_the_worker_died_runs_again)
{
    function_.hold = true;
    start_worker();
    accept("held", "x", true);
    ASSERT_TRUE(until([&] { return function_.held.size() == 1; }));
    kill_worker();
    function_.hold = false;
    start_worker();
    ASSERT_TRUE(until([&] { return receiver_.calls.size() == 1; }));
    EXPECT_EQ(function_.calls.size(), 2u);
    function_.held.clear();
}

TEST_F(queue_worker_test, a_callback_that_fails_is_tried_again_without_executing_again)
{
    receiver_.answer.status = 500;
    start_worker();
    accept("cb", "x", true);
    ASSERT_TRUE(until([&] { return receiver_.calls.size() >= 2; }));
    kill_worker();
    receiver_.answer.status = 200;
    const auto before = receiver_.calls.size();
    start_worker();
    ASSERT_TRUE(until([&] { return receiver_.calls.size() > before; }));
    EXPECT_EQ(function_.calls.size(), 1u);
    EXPECT_EQ(receiver_.calls.front().body, receiver_.calls.back().body);
}

TEST_F(queue_worker_test, nothing_is_lost_when_the_server_is_killed_in_mid_run)
{
    start_worker();
    ASSERT_TRUE(until([&] { return worker_->owned() == options_.partitions; }));
    for (int i = 0; i < 10; ++i)
        accept("before-" + std::to_string(i), "x", true);
    server_.restart();
    for (int i = 0; i < 10; ++i)
        accept("after-" + std::to_string(i), "x", true);
    std::map<std::string, int> called_back;
    ASSERT_TRUE(until([&] {
        called_back.clear();
        for (const auto& call : receiver_.calls)
            ++called_back[*find(call.fields, "X-Call-Id")];
        return called_back.size() == 20;
    }));
}

TEST_F(queue_worker_test, an_answer_above_the_bound_is_cut_and_the_callback_says_so)
{
    options_.answer_bytes_max = 1'000;
    function_.answer.body = std::string(5'000, 'z');
    start_worker();
    accept("big", "x", true);
    ASSERT_TRUE(until([&] { return receiver_.calls.size() == 1; }));
    EXPECT_EQ(receiver_.calls[0].body.size(), 1'000u);
    EXPECT_EQ(*find(receiver_.calls[0].fields, "X-Sluice-Truncated"), "sent=1000 of=5000");
}

TEST_F(queue_worker_test, an_answer_that_the_watchdog_cut_is_said_to_be_cut)
{
    function_.answer.fields.push_back({std::string(wire::cut_answer_header), "9000000"});
    start_worker();
    accept("cut", "x", true);
    ASSERT_TRUE(until([&] { return receiver_.calls.size() == 1; }));
    EXPECT_EQ(receiver_.calls[0].body, "done");
    EXPECT_EQ(*find(receiver_.calls[0].fields, "X-Sluice-Truncated"), "sent=4 of=9000000");
    EXPECT_EQ(find(receiver_.calls[0].fields, wire::cut_answer_header), nullptr);
}

TEST_F(queue_worker_test, a_journal_of_a_later_release_is_left_alone_with_a_clear_error)
{
    start_worker();
    ASSERT_TRUE(until([&] { return worker_->owned() == options_.partitions; }));
    stop_worker();
    using answer = boost::system::result<std::unique_ptr<message_log>>;
    auto opened = test::wait_for<std::shared_ptr<answer>>(loop_, [&](auto done) {
        store_.open_log(wire::journal_stream(wire::default_queue, 0), wire::journal_subject(wire::default_queue, 0), {},
                        [done](answer made) { done(std::make_shared<answer>(std::move(made))); });
    });
    append_request later;
    later.payload = std::string("SLJ\x63", 4) + std::string(20, '\0');
    auto stored = test::wait_for<message_log::result<stored_at>>(loop_, [&](auto done) { (***opened)->append(later, done); });
    ASSERT_TRUE(stored && *stored);
    start_worker();
    ASSERT_TRUE(until([&] { return worker_closed_; }));
    EXPECT_NE(worker_->failure().find("journal record format 99 is newer than this release reads (1)"), std::string::npos)
        << worker_->failure();
    bury(std::move(worker_), std::move(worker_store_));
}

TEST_F(queue_worker_test, two_workers_on_one_partition_do_not_both_run_a_call)
{
    start_worker();
    accept("first", "x", true);
    ASSERT_TRUE(until([&] { return receiver_.calls.size() == 1; }));
    auto other_store = std::make_unique<nats::connection>(loop_, connection_options("other"));
    auto other = std::make_unique<queue_worker::worker>(loop_, *other_store, options_, *log_);
    bool other_closed = false;
    other->on_closed([&] { other_closed = true; });
    other->start();
    ASSERT_TRUE(until([&] { return other->owned() == options_.partitions; }));
    worker_->stop(); // without it the two would take the partitions from each other in turn
    for (int i = 0; i < 10; ++i)
        accept("both-" + std::to_string(i), "x", true);
    ASSERT_TRUE(until([&] { return receiver_.calls.size() >= 11; }));
    other->stop();
    ASSERT_TRUE(until([&] { return other_closed && worker_closed_; }));
    bury(std::move(other), std::move(other_store));
    EXPECT_EQ(function_.calls.size(), 11u);
    bury(std::move(worker_), std::move(worker_store_));
}

TEST_F(queue_worker_test, its_pages_show_a_function_until_it_is_removed)
{
    test::temp_folder folder;
    options_.ready_file = folder / "ready";
    start_worker();
    std::string ready;
    ASSERT_TRUE(until([&] { return bool(std::getline(std::ifstream(options_.ready_file), ready)); }));
    const auto where = core::parse_listen_address("ready_file", ready);
    http::client client(loop_, {});
    const auto page = [&](const std::string& target) {
        http::client_request ask;
        ask.host = where.host;
        ask.port = where.port;
        ask.method = "GET";
        ask.target = target;
        auto got = test::wait_for<outcome>(loop_, [&](auto done) { client.call(ask, done); });
        return got ? got->reply : answer{};
    };
    EXPECT_EQ(page("/healthz").status, 200u);
    EXPECT_EQ(page("/other").status, 404u);
    accept("id-1", "x", true);
    ASSERT_TRUE(until([&] { return receiver_.calls.size() == 1; }));
    const auto has_function = [&] { return page("/metrics").body.find("\"echo.openfaas-fn\"") != std::string::npos; };
    EXPECT_TRUE(has_function());
    const auto erased = test::wait_for<key_value::result<void>>(loop_, [&](auto done) { functions_->erase(name_.key(), done); });
    ASSERT_TRUE(erased && *erased);
    EXPECT_TRUE(until([&] { return !has_function(); }));
    client.close();
}

}
