#include "adapters/nats/connection.hpp"
#include "adapters/process/process.hpp"
#include "tests/support/loop_until.hpp"
#include "tests/support/raw_socket.hpp"
#include "tests/support/role_main.hpp"
#include "tests/support/temp_folder.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <thread>

// A server that takes the connection and does not go on: a role that is asked to end meanwhile ends, and every wait has its deadline.
namespace sluice::test {

namespace {

using namespace std::chrono_literals;

// Greets each connection as a server does, and answers CONNECT and PING only while it is told to. On a thread of its own, as its clients block.
class half_server {
public:
    explicit half_server(const std::string& neighbour = "") : listener_(loop_)
    {
        listener_.on_accept = [this, neighbour](raw_socket& from) {
            from.on_bytes = [this, &from] {
                if (answers && from.received.find("PING") != from.received.npos)
                    from.send("PONG\r\n");
                from.received.clear();
            };
            from.send(R"(INFO {"server_id":"x","version":"2.9.10","proto":1,"headers":true,"max_payload":1048576,"connect_urls":[)"
                      + (neighbour.empty() ? "" : '"' + neighbour + '"') + "]}\r\n");
            ++greeted;
            if (hangs_up)
                from.close();
        };
        thread_ = std::thread([this] { loop_.run(); });
    }
    ~half_server()
    {
        loop_.context().stop();
        thread_.join();
    }

    nats::connection_options where() const
    {
        nats::connection_options to;
        to.url = "nats://127.0.0.1:" + std::to_string(listener_.port());
        to.connect_deadline = 100ms;
        to.reconnect_wait = 1ms;
        return to;
    }
    void hang_up()
    {
        loop_.post([this] { listener_.accepted.clear(); });
    }

    std::string address() const { return "127.0.0.1:" + std::to_string(listener_.port()); }

    std::atomic<bool> answers = false;
    std::atomic<bool> hangs_up = false; // once it has greeted
    std::atomic<unsigned> greeted = 0;

private:
    loop loop_;
    raw_listener listener_;
    std::thread thread_;
};

}

TEST(nats_first_connect, is_ended_by_sigterm_at_once)
{
    for (const char* role : {"gateway", "queue-worker", "provider"}) {
        const temp_folder folder;
        loop on;
        raw_listener mute(on); // takes the connection and never says that it is a NATS server
        process::launch_options launch;
        launch.argv = {"/proc/self/exe", role, "--nats-url", "nats://127.0.0.1:" + std::to_string(mute.port())};
        if (std::string(role) == "provider")
            launch.argv.insert(launch.argv.end(), {"--state-folder", folder / "state"});
        launch.env = {{"PATH", "/usr/bin:/bin"}};
        launch.die_with_parent = true;
        const auto started = process::launch(launch);
        std::optional<process::exit_status> ended;
        process::watch watch(on, started, [&](process::exit_status status) { ended = status; });
        ASSERT_TRUE(loop_until(on, [&] { return !mute.accepted.empty(); })) << role;
        process::signal(started, SIGTERM);
        ASSERT_TRUE(loop_until(on, [&] { return ended.has_value(); })) << role;
        EXPECT_EQ(ended->code, 0) << role; // 1 once it has given up waiting
    }
}

TEST(nats_first_connect, a_server_that_hangs_after_its_greeting_is_given_up)
{
    const half_server server;
    loop on;
    EXPECT_THROW(nats::connection(on, server.where()), std::runtime_error);
    EXPECT_GE(server.greeted, 1U);
}

// The library would try what a server names beside itself in the same call, without a deadline for it.
TEST(nats_first_connect, a_server_that_another_one_names_is_not_waited_for)
{
    const half_server named;
    half_server naming(named.address());
    naming.hangs_up = true;
    loop on;
    EXPECT_THROW(nats::connection(on, naming.where()), std::runtime_error);
    EXPECT_GE(naming.greeted, 1U);
    EXPECT_EQ(named.greeted, 0U);
}

TEST(nats_first_connect, a_server_that_another_one_names_is_tried_when_that_one_is_gone)
{
    half_server named;
    named.answers = true;
    auto naming = std::make_unique<half_server>(named.address());
    naming->answers = true;
    auto with = naming->where();
    with.connect_deadline = generous;
    loop on;
    {
        nats::connection connection(on, with);
        EXPECT_EQ(connection.server_version(), "2.9.10");
        naming.reset();
        ASSERT_TRUE(loop_until(on, [&] {
            on.post([] {});
            return named.greeted > 0 && connection.connected();
        }));
        connection.close();
    }
    EXPECT_TRUE(loop_runs_dry(on));
}

TEST(nats_first_connect, a_connection_that_is_being_made_anew_to_a_server_that_hangs_is_tried_again_and_closes)
{
    half_server server;
    server.answers = true;
    loop on;
    {
        auto with = server.where();
        with.connect_deadline = generous;
        nats::connection connection(on, with);
        ASSERT_TRUE(connection.connected());
        server.answers = false;
        const unsigned before = server.greeted;
        server.hang_up();
        ASSERT_TRUE(loop_until(on, [&] {
            on.post([] {});
            return server.greeted >= before + 2; // the first of them was given up
        }));
        EXPECT_FALSE(connection.connected());
        connection.close();
    }
    EXPECT_TRUE(loop_runs_dry(on));
}

}

int main(int argc, char** argv) { return sluice::test::role_main(argc, argv); }
