#include "adapters/process/process.hpp"
#include "tests/support/loop_until.hpp"
#include "tests/support/raw_socket.hpp"
#include "tests/support/role_main.hpp"
#include "tests/support/temp_folder.hpp"

#include <optional>

// A role that is asked to end while it still waits for its NATS server.
namespace sluice::test {

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

}

int main(int argc, char** argv) { return sluice::test::role_main(argc, argv); }
