#pragma once
#include "adapters/memory/memory_log.hpp"
#include "core/function_codec.hpp"
#include "gateway/application.hpp"
#include "sluice/wire.hpp"
#include "tests/support/http_service.hpp"
#include "tests/support/loop_until.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>

namespace sluice::test {

// The gateway without its role's life: the application behind a real HTTP server, its stores in memory.
class gateway_fixture : public ::testing::Test {
protected:
    gateway_fixture() { log_->set_level(spdlog::level::off); }

    void start()
    {
        nats::stores stores;
        functions_ = memory_.open_bucket("functions");
        endpoints_ = memory_.open_bucket("endpoints");
        stores.functions = memory_.open_bucket("functions");
        stores.endpoints = memory_.open_bucket("endpoints");
        stores.namespaces = memory_.open_bucket("namespaces");
        for (std::uint32_t p = 0; p < options_.partitions; ++p)
            stores.logs.push_back(wrap_log(memory_.open_log("log" + std::to_string(p), log_bytes_max_)));
        application_.emplace(
            loop_, std::move(stores), options_, [this] { return store_illness_; }, *log_);
        application_->set_message_bytes_max(message_bytes_max_);
        server_.emplace(loop_, http::server_options{}, *application_);
        client_.emplace(loop_, http::client_options{});
        ASSERT_TRUE(loop_until(loop_, [&] { return application_->ready(); }));
    }
    // A test may put something between the gateway and its logs.
    virtual std::unique_ptr<message_log> wrap_log(std::unique_ptr<message_log> log) { return log; }

    http::client_request request(const std::string& method, const std::string& target, const std::string& head = "",
                                 const std::string& body = "")
    {
        http::client_request out;
        out.host = "127.0.0.1";
        out.port = server_->port();
        out.method = method;
        out.target = target;
        out.head = head;
        out.host_field = "gw.example:8080";
        if (!body.empty())
            out.body = std::make_shared<const std::string>(body);
        out.deadline = generous;
        return out;
    }
    answer ask(const std::string& method, const std::string& target, const std::string& head = "", const std::string& body = "")
    {
        auto got = wait_for<outcome>(loop_, [&](auto done) { client_->call(request(method, target, head, body), done); });
        EXPECT_TRUE(got && got->kind == outcome_kind::delivered) << (got ? got->reason : "nothing");
        return got ? std::move(got->reply) : answer{};
    }
    static std::string field(const answer& of, std::string_view name)
    {
        const auto* value = find(of.fields, name);
        return value ? *value : "";
    }
    std::string metrics() { return ask("GET", "/metrics").body; }

    void deploy(const function_name& name, const function_spec& with = {})
    {
        auto spec = with;
        spec.name = name;
        wait_for<key_value::result<std::uint64_t>>(loop_, [&](auto done) { functions_->put(name.key(), core::encode(spec), done); });
        ASSERT_TRUE(loop_until(loop_, [&] { return ask("GET", "/system/function/" + name.full()).status == 200; }));
    }
    void publish(const function_endpoints& endpoints)
    {
        wait_for<key_value::result<std::uint64_t>>(
            loop_, [&](auto done) { endpoints_->put(endpoints.name.key(), core::encode(endpoints), done); });
        std::size_t ready = 0;
        for (const auto& replica : endpoints.replicas)
            ready += replica.ready;
        const auto shown = ready ? "\"availableReplicas\":" + std::to_string(ready) + "," : "";
        ASSERT_TRUE(loop_until(loop_, [&] {
            const auto status = ask("GET", "/system/function/" + endpoints.name.full()).body;
            return status.find(shown) != status.npos && (ready || status.find("availableReplicas") == status.npos);
        }));
    }
    // What the partitions' logs hold, in order within each.
    std::vector<log_message> logged()
    {
        std::vector<log_message> found;
        for (std::uint32_t p = 0; p < options_.partitions; ++p) {
            const auto log = memory_.open_log("log" + std::to_string(p), log_bytes_max_);
            const auto info = wait_for<message_log::result<log_info>>(loop_, [&](auto done) { log->info(done); });
            for (auto sequence = (*info)->first_sequence; sequence <= (*info)->last_sequence && (*info)->messages > 0; ++sequence)
                found.push_back(**wait_for<message_log::result<log_message>>(loop_, [&](auto done) { log->get(sequence, done); }));
        }
        return found;
    }

    loop loop_;
    memory::store memory_{loop_};
    std::shared_ptr<logger> log_ = make_logger("test", "error");
    gateway::options options_;
    std::uint64_t log_bytes_max_ = 0;
    std::uint64_t message_bytes_max_ = 8 * 1024 * 1024;
    std::string store_illness_;
    std::unique_ptr<key_value> functions_, endpoints_;
    std::optional<gateway::application> application_;
    std::optional<http::server> server_;
    std::optional<http::client> client_;
};

}
