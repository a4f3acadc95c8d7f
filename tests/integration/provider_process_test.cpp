#include "adapters/http/client.hpp"
#include "adapters/nats/connection.hpp"
#include "adapters/process/process.hpp"
#include "core/replica_records.hpp"
#include "tests/integration/provider_fixture.hpp"
#include "tests/support/nats_server.hpp"
#include "tests/support/role_main.hpp"

// The provider as a process of its own, with a real nats-server: killed, started anew, stopped.
namespace sluice::test {

namespace {

class provider_process : public testing::Test {
protected:
    provider_process()
    {
        std::filesystem::permissions(folder_.path(), std::filesystem::perms(0755));
        specs_ = bucket(wire::functions_bucket);
        endpoints_ = bucket(wire::endpoints_bucket);
        view_.emplace(*endpoints_);
    }
    ~provider_process() override
    {
        kill_provider();
        for (const auto& record : records())
            process::signal({record.pid, record.start_ticks}, SIGKILL);
        view_.reset();
        specs_.reset();
        endpoints_.reset();
        client_.close();
        nats_.close();
        EXPECT_TRUE(loop_runs_dry(loop_));
    }

    std::unique_ptr<key_value> bucket(std::string_view name)
    {
        std::unique_ptr<key_value> opened;
        nats_.open_bucket(std::string(name), {}, [&](auto result) {
            ASSERT_TRUE(result) << result.error().message();
            opened = std::move(*result);
        });
        EXPECT_TRUE(loop_until(loop_, [&] { return opened != nullptr; }));
        return opened;
    }

    static nats::connection_options to(const std::string& url)
    {
        nats::connection_options options;
        options.url = url;
        return options;
    }

    void start_provider()
    {
        const auto ready_file = folder_ / "ready";
        std::filesystem::remove(ready_file);
        process::launch_options launch;
        launch.argv = {"/proc/self/exe", "provider",       "--nats-url",       server_.url(), "--state-folder", folder_ / "state",
                       "--work-folder",  folder_ / "work", "--log-level",      "warn",        "--ready-file",   ready_file,
                       "--leave-wait",   "20ms",           "--metrics-listen", "127.0.0.1:0"};
        launch.env = {{"PATH", "/usr/bin:/bin"}};
        launch.die_with_parent = true;
        provider_ = process::launch(launch);
        exit_.reset();
        watch_.emplace(loop_, provider_, [this](process::exit_status status) { exit_ = status; });
        ASSERT_TRUE(poll_until(loop_, [&] { return std::filesystem::exists(ready_file); }));
    }
    void kill_provider()
    {
        process::signal(provider_, SIGKILL);
        EXPECT_TRUE(loop_until(loop_, [&] { return exit_.has_value(); }));
    }
    void put(const function_spec& spec)
    {
        const auto stored = wait_for<bool>(
            loop_, [&](auto done) { specs_->put(spec.name.key(), core::encode(spec), [done](auto result) { done(result.has_value()); }); });
        EXPECT_TRUE(stored && *stored);
    }
    std::string call(const endpoint& to)
    {
        http::client_request request;
        request.host = to.host;
        request.port = to.port;
        request.head = "Sluice-Replica-Token: " + to.token + "\r\n";
        request.deadline = generous;
        const auto got = wait_for<outcome>(loop_, [&](auto done) { client_.call(std::move(request), done); });
        return got ? got->reply.body : std::string();
    }
    std::vector<core::replica_record> records() const
    {
        std::ifstream in(folder_ / "state" + "/replicas.json");
        const std::string text{std::istreambuf_iterator<char>(in), {}};
        return core::decode_replica_records(text).value_or(std::vector<core::replica_record>{});
    }

    temp_folder folder_;
    nats_server server_;
    loop loop_;
    nats::connection nats_{loop_, to(server_.url())};
    http::client client_{loop_, {}};
    std::unique_ptr<key_value> specs_, endpoints_;
    std::optional<endpoints_view> view_;
    process::identity provider_;
    std::optional<process::exit_status> exit_;
    std::optional<process::watch> watch_;
};

}

TEST_F(provider_process, functions_outlive_a_killed_provider_and_end_with_the_next_one)
{
    start_provider();
    put(make_spec("classic", "echo classic"));
    std::ofstream(folder_ / "server.py") << "import http.server, os\n"
                                            "address = ('127.0.0.1', int(os.environ['PORT']))\n"
                                            "http.server.HTTPServer(address, http.server.SimpleHTTPRequestHandler).serve_forever()\n";
    put(make_spec("server", "/usr/bin/python3 " + folder_ / "server.py", {{"mode", "http"}}));
    ASSERT_TRUE(loop_until(loop_, [&] { return view_->ready("classic").size() == 1 && view_->ready("server").size() == 1; }));
    const auto before = records();
    const auto to = view_->ready("classic").front();
    kill_provider();
    EXPECT_EQ(call(to), "classic\n");
    EXPECT_EQ(call(to), "classic\n") << "its log needs no provider";

    start_provider();
    EXPECT_EQ(records(), before);
    EXPECT_EQ(view_->ready("classic"), (std::vector<endpoint>{to}));
    EXPECT_EQ(call(to), "classic\n");

    process::signal(provider_, SIGTERM);
    ASSERT_TRUE(loop_until(loop_, [&] { return exit_.has_value(); }));
    EXPECT_EQ(exit_->code, 0);
    for (const auto& record : before)
        EXPECT_FALSE(process::alive({record.pid, record.start_ticks}));
    EXPECT_TRUE(loop_until(loop_, [&] { return view_->ready("classic").empty(); }));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "work"));
}

TEST_F(provider_process, a_deployment_reaches_a_provider_through_a_restart_of_the_store)
{
    start_provider();
    put(make_spec("first", "echo first"));
    ASSERT_TRUE(loop_until(loop_, [&] { return view_->ready("first").size() == 1; }));
    server_.kill();
    ASSERT_TRUE(loop_until(loop_, [&] { return !nats_.connected(); })); // a connection may not know yet that its server was killed
    server_.start();
    ASSERT_TRUE(loop_until(loop_, [&] { return nats_.connected(); }));
    EXPECT_EQ(call(view_->ready("first").front()), "first\n");
    put(make_spec("second", "echo second"));
    ASSERT_TRUE(loop_until(loop_, [&] { return view_->ready("second").size() == 1; }));
    EXPECT_EQ(call(view_->ready("second").front()), "second\n");
}

}

int main(int argc, char** argv) { return sluice::test::role_main(argc, argv); }
