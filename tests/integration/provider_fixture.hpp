#pragma once
#include "adapters/http/client.hpp"
#include "adapters/log/log.hpp"
#include "adapters/memory/memory_log.hpp"
#include "adapters/metrics/metrics.hpp"
#include "adapters/process/process.hpp"
#include "core/function_codec.hpp"
#include "provider/local/functions.hpp"
#include "sluice/wire.hpp"
#include "tests/support/poll_until.hpp"
#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice::test {

inline function_spec make_spec(const std::string& name, const std::string& process, string_map environment = {})
{
    function_spec spec;
    spec.name = {name, std::string(default_namespace)};
    spec.image = "an-image";
    spec.env_process = process;
    spec.env_vars = std::move(environment);
    return spec;
}

// The endpoints bucket as callers see it, with its history.
class endpoints_view {
public:
    explicit endpoints_view(key_value& bucket)
        : watcher_(bucket.watch(
            [this](const kv_entry& entry) {
                now_.erase(entry.key);
                if (entry.erased)
                    return;
                auto read = core::decode_endpoints(entry.value);
                ASSERT_TRUE(read) << entry.value;
                history[entry.key].push_back(*read);
                now_[entry.key] = *std::move(read);
            },
            [] {}))
    {}

    const function_endpoints* of(const std::string& name) const
    {
        const auto at = now_.find(function_name{name, std::string(default_namespace)}.key());
        return at == now_.end() ? nullptr : &at->second;
    }
    std::vector<endpoint> ready(const std::string& name) const
    {
        std::vector<endpoint> list;
        if (const auto* found = of(name))
            for (const auto& each : found->replicas)
                if (each.ready)
                    list.push_back(each);
        return list;
    }

    std::map<std::string, std::vector<function_endpoints>> history;

private:
    std::map<std::string, function_endpoints> now_;
    std::unique_ptr<key_value::watcher> watcher_;
};

// A provider on the test's own loop and a store in memory; its replicas are real processes of this very program (see main()).
class provider_test : public testing::Test {
protected:
    provider_test()
    {
        given_.state_folder = folder_ / "state";
        given_.work_folder = folder_ / "work";
        given_.log_level = "warn";
        given_.leave_wait = std::chrono::milliseconds(20);
        given_.restart_wait_min = std::chrono::milliseconds(20);
        std::filesystem::permissions(folder_.path(), std::filesystem::perms(0755)); // functions run as another user
    }

    ~provider_test() override
    {
        if (provider_)
            stop();
        client_.close();
        view_.reset();
        EXPECT_TRUE(loop_runs_dry(loop_));
    }

    void start()
    {
        state_.emplace(given_.state_folder);
        provider_.emplace(loop_, given_, provider::functions::ports{*specs_, *endpoints_}, *state_, *events_, meters_);
        bool settled = false;
        provider_->start([&] { settled = true; });
        ASSERT_TRUE(loop_until(loop_, [&] { return settled; }));
    }
    void stop()
    {
        bool stopped = false;
        provider_->stop([&] { stopped = true; });
        EXPECT_TRUE(loop_until(loop_, [&] { return stopped; }));
        provider_.reset();
        state_.reset();
    }
    // As if its process had been killed: nothing is said, nothing is stopped.
    void crash()
    {
        provider_.reset();
        state_.reset();
    }

    void deploy(const function_spec& spec) { put(spec.name.key(), core::encode(spec)); }
    void put(const std::string& key, const std::string& value)
    {
        EXPECT_TRUE(wait_for<bool>(loop_, [&](auto done) { specs_->put(key, value, [done](auto result) { done(result.has_value()); }); }));
    }
    void remove(const std::string& name)
    {
        const auto key = function_name{name, std::string(default_namespace)}.key();
        EXPECT_TRUE(wait_for<bool>(loop_, [&](auto done) { specs_->erase(key, [done](auto result) { done(result.has_value()); }); }));
    }
    bool ready(const std::string& name, std::size_t count = 1)
    {
        return loop_until(loop_, [&] { return view_->ready(name).size() == count; });
    }

    std::optional<outcome> call(const endpoint& to, const std::string& body = {})
    {
        http::client_request request;
        request.host = to.host;
        request.port = to.port;
        request.head = "Sluice-Replica-Token: " + to.token + "\r\n";
        request.body = std::make_shared<const std::string>(body);
        request.deadline = generous;
        return wait_for<outcome>(loop_, [&](auto done) { client_.call(std::move(request), done); });
    }

    std::vector<core::replica_record> records() const
    {
        std::ifstream in(given_.state_folder + "/replicas.json");
        const std::string text{std::istreambuf_iterator<char>(in), {}};
        return core::decode_replica_records(text).value_or(std::vector<core::replica_record>{});
    }
    static bool runs(const core::replica_record& record) { return process::alive({record.pid, record.start_ticks}); }

    temp_folder folder_;
    provider::options given_;
    loop loop_;
    memory::store store_{loop_};
    std::unique_ptr<key_value> specs_ = store_.open_bucket(std::string(wire::functions_bucket));
    std::unique_ptr<key_value> endpoints_ = store_.open_bucket(std::string(wire::endpoints_bucket));
    std::unique_ptr<endpoints_view> view_ = std::make_unique<endpoints_view>(*endpoints_);
    std::shared_ptr<logger> events_ = make_logger("provider", "warn");
    metrics::registry meters_;
    http::client client_{loop_, {}};
    std::optional<provider::state_file> state_;
    std::optional<provider::functions> provider_;
};

}
