#pragma once
#include "adapters/asio/clock.hpp"
#include "adapters/http/server.hpp"
#include "core/function_codec.hpp"
#include "core/layout.hpp"
#include "queue-worker/worker.hpp"
#include "sluice/wire.hpp"
#include "tests/support/loop_until.hpp"
#include "tests/support/nats_server.hpp"

#include <gtest/gtest.h>
#include <map>

// The queue worker on a real nats-server: calls are put into the log as a gateway would, functions and receivers are HTTP servers here.
namespace sluice::test {

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
        options_.worker_id = "worker";             // what a killed one held is taken back at once
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
        EXPECT_TRUE(loop_runs_dry(loop_));
    }

    static nats_server_options server_options()
    {
        nats_server_options with;
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
        auto opened = wait_for<std::shared_ptr<answer>>(loop_, [&](auto done) {
            store_.open_bucket(std::string(bucket), {}, [done](answer made) { done(std::make_shared<answer>(std::move(made))); });
        });
        ASSERT_TRUE(opened && (*opened)->has_value());
        into = std::move(***opened);
    }
    void deploy(string_map annotations = {})
    {
        function_spec spec;
        spec.name = name_;
        spec.annotations = std::move(annotations);
        function_endpoints running{name_, 1, {{"r1", "127.0.0.1", function_.port(), 8, "token-1", true}}};
        put(*functions_, name_.key(), core::encode(spec));
        put(*endpoints_, name_.key(), core::encode(running));
    }
    void put(key_value& bucket, const std::string& key, const std::string& value)
    {
        auto stored = wait_for<key_value::result<std::uint64_t>>(loop_, [&](auto done) { bucket.put(key, value, done); });
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
        ASSERT_TRUE(loop_until(loop_, [&] { return worker_closed_; }));
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
            auto opened = wait_for<std::shared_ptr<answer>>(loop_, [&](auto done) {
                store_.open_log(wire::log_stream(wire::default_queue, partition), wire::log_subject(wire::default_queue, partition), {},
                                [done](answer made) { done(std::make_shared<answer>(std::move(made))); });
            });
            port = std::move(***opened);
        }
        return *port;
    }
    void accept(const std::string& id, const std::string& body, bool with_callback)
    {
        accept(id, body, with_callback ? "http://127.0.0.1:" + std::to_string(receiver_.port()) + "/cb?x=1" : "");
    }
    void accept(const std::string& id, const std::string& body, const std::string& callback_url)
    {
        append_request call;
        call.id = id;
        call.fields.push_back({std::string(wire::call_header), "1 openfaas-fn " + name_.full() + ' ' + std::to_string(clock_now().wall)});
        if (!callback_url.empty())
            call.fields.push_back({std::string(wire::callback_header), callback_url});
        call.payload = "PUT /path/%2F?q=a%20b HTTP/1.1\r\nX-Call-Id: " + id + "\r\nX-Custom: value\r\n\r\n" + body;
        // As a gateway does: no clear answer means the same id again.
        std::optional<message_log::result<stored_at>> stored;
        do
            stored = wait_for<message_log::result<stored_at>>(loop_, [&](auto done) { log_of("openfaas-fn").append(call, done); });
        while (stored && !*stored && (stored->error() == log_errc::unknown || stored->error() == log_errc::unavailable));
        ASSERT_TRUE(stored && *stored);
    }
    bool until(std::function<bool()> holds) { return loop_until(loop_, holds); }

    loop loop_;
    std::shared_ptr<logger> log_ = make_logger("queue-worker", "warn");
    nats_server server_;
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

}
