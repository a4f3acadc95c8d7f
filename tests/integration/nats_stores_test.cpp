#include "adapters/nats/connection.hpp"
#include "adapters/process/owned_fd.hpp"
#include "adapters/process/process.hpp"
#include "sluice/wire.hpp"
#include "tests/support/loop_until.hpp"
#include "tests/support/nats_server.hpp"
#include "tests/support/poll_until.hpp"
#include "tests/support/role_main.hpp"
#include "tests/support/temp_folder.hpp"

#include <boost/json.hpp>
#include <fcntl.h>
#include <filesystem>
#include <gmock/gmock.h>
#include <map>
#include <optional>

// Whoever comes first makes the buckets and streams: which role it is makes no difference.
namespace sluice::test {

namespace {

using testing::HasSubstr;

// One role as a process of its own on a nats-server of its own.
class lone_role {
public:
    lone_role(const std::string& role, std::vector<std::string> more)
    {
        process::launch_options launch;
        launch.argv = {"/proc/self/exe", role, "--nats-url", server_.url(), "--log-level", "warn", "--ready-file", folder_ / "ready"};
        if (role == "gateway")
            launch.argv.insert(launch.argv.end(), {"--listen", "127.0.0.1:0"});
        if (role == "provider")
            launch.argv.insert(launch.argv.end(), {"--state-folder", folder_ / "state"});
        launch.argv.insert(launch.argv.end(), more.begin(), more.end());
        launch.env = {{"PATH", "/usr/bin:/bin"}};
        const process::owned_fd said(::open((folder_ / "log").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        launch.stderr_fd = said.number();
        launch.die_with_parent = true;
        process_ = process::launch(launch);
        watch_.emplace(loop_, process_, [this](process::exit_status status) { exit_ = status; });
    }
    ~lone_role()
    {
        process::signal(process_, SIGKILL);
        EXPECT_TRUE(loop_until(loop_, [&] { return exit_.has_value(); }));
    }

    // What is said when it cannot start.
    std::string refusal()
    {
        EXPECT_TRUE(loop_until(loop_, [&] { return exit_.has_value(); }));
        std::ifstream in(folder_ / "log");
        return {std::istreambuf_iterator<char>(in), {}};
    }

    // Each stream's configuration by its name, as the server tells it.
    std::map<std::string, std::string> streams()
    {
        EXPECT_TRUE(poll_until(loop_, [&] { return std::filesystem::exists(folder_ / "ready") || exit_; }));
        nats::connection_options to;
        to.url = server_.url();
        nats::connection asking(loop_, to);
        const auto listed = wait_for<boost::system::result<std::string>>(
            loop_, [&](auto done) { asking.request("$JS.API.STREAM.LIST", "", milliseconds(10'000), done); });
        asking.close();
        std::map<std::string, std::string> found;
        if (!listed || !*listed)
            return found;
        const auto page = boost::json::parse(**listed);
        for (const auto& each : page.at("streams").as_array()) {
            const auto& config = each.at("config").as_object();
            found[std::string(config.at("name").as_string())] = boost::json::serialize(config);
        }
        return found;
    }

private:
    nats_server server_;
    temp_folder folder_;
    loop loop_;
    process::identity process_;
    std::optional<process::exit_status> exit_;
    std::optional<process::watch> watch_;
};

std::string bucket(std::string_view name) { return "KV_" + std::string(name); }

}

TEST(nats_stores, are_the_same_whichever_role_comes_first)
{
    const std::vector<std::string> logs{"--partitions", "2", "--log-bytes-max", "32MiB"};
    const auto by_gateway = lone_role("gateway", logs).streams();
    const auto by_worker = lone_role("queue-worker", logs).streams();
    const auto by_provider = lone_role("provider", {}).streams();

    const std::vector<std::string> shared{bucket(wire::functions_bucket), bucket(wire::endpoints_bucket), bucket(wire::namespaces_bucket),
                                          bucket(wire::cluster_bucket),   "LOG_faas-request_0",           "LOG_faas-request_1"};
    ASSERT_EQ(by_gateway.size(), shared.size());
    ASSERT_EQ(by_worker.size(), shared.size() + 3); // the leases, two journals
    ASSERT_EQ(by_provider.size(), 2u);
    for (const auto& name : shared) {
        ASSERT_TRUE(by_gateway.contains(name)) << name;
        ASSERT_TRUE(by_worker.contains(name)) << name;
        EXPECT_EQ(by_gateway.at(name), by_worker.at(name));
    }
    for (const auto& [name, config] : by_provider) {
        ASSERT_TRUE(by_gateway.contains(name)) << name;
        EXPECT_EQ(config, by_gateway.at(name));
    }
}

TEST(nats_stores, every_role_makes_as_many_copies_as_asked_for)
{
    for (const char* role : {"gateway", "queue-worker", "provider"})
        EXPECT_THAT(lone_role(role, {"--replicas", "3"}).refusal(), HasSubstr("bucket sluice_")) << role; // a lone server cannot keep three
}

}

int main(int argc, char** argv) { return sluice::test::role_main(argc, argv); }
