#include "tests/unit/child_process.hpp"

#include <csignal>
#include <sys/wait.h>

using namespace sluice::process;
using namespace sluice::process::test;

namespace {

class running_child : public testing::Test {
protected:
    // Lives until its standard input ends, or a signal ends it.
    identity start(launch_options options = shell("exec cat"))
    {
        options.stdin_fd = input_.reader();
        return launch(options);
    }
    void end() { input_.close_writer(); }

    pipe_pair input_;
};

TEST_F(running_child, is_identified_until_it_ends_even_as_a_zombie)
{
    const auto child = start();
    EXPECT_EQ(identify(child.pid), child);
    EXPECT_TRUE(alive(child));
    EXPECT_GT(child.start_ticks, 0u);
    end();
    siginfo_t info{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid), &info, WEXITED | WNOWAIT), 0);
    EXPECT_FALSE(identify(child.pid));
    EXPECT_FALSE(alive(child));
    EXPECT_FALSE(signal(child, SIGTERM));
    EXPECT_EQ(wait_for(child).code, 0);
    EXPECT_FALSE(signal(child, SIGTERM));
    EXPECT_FALSE(signal_group(child, SIGTERM));
    EXPECT_FALSE(identify(0));
    EXPECT_FALSE(identify(-1));
}

TEST_F(running_child, is_told_from_one_whose_pid_was_reused)
{
    auto options = shell("exec cat");
    options.new_session = true;
    const auto child = start(options);
    const identity former{.pid = child.pid, .start_ticks = child.start_ticks - 1};
    EXPECT_FALSE(alive(former));
    EXPECT_FALSE(signal(former, SIGKILL));
    EXPECT_FALSE(signal_group(former, SIGKILL));
    EXPECT_FALSE(wait_for(former).known); // at once: the former one is gone
    EXPECT_TRUE(alive(child));
    end();
    EXPECT_EQ(wait_for(child).code, 0); // not killed
}

TEST_F(running_child, is_identified_whatever_its_name)
{
    temporary_folder folder;
    const auto odd = folder.path() / ") Z 1 (x";
    std::filesystem::copy_file("/bin/cat", odd);
    launch_options options;
    options.argv = {odd};
    options.die_with_parent = true;
    const auto child = start(options);
    EXPECT_EQ(identify(child.pid), child);
    end();
    EXPECT_EQ(wait_for(child).code, 0);
}

TEST_F(running_child, gets_signals)
{
    const auto child = start();
    EXPECT_TRUE(signal(child, SIGTERM));
    EXPECT_EQ(wait_for(child).signal, SIGTERM);
}

TEST_F(running_child, without_a_group_of_its_own_gets_the_signal_alone)
{
    const auto child = start();
    EXPECT_TRUE(signal_group(child, SIGTERM)); // would end this process, too
    EXPECT_EQ(wait_for(child).signal, SIGTERM);
}

TEST_F(running_child, that_ends_leaves_a_group_that_can_still_be_ended)
{
    // The shell leaves a child of its own behind, which holds the pipe open.
    pipe_pair held;
    auto options = shell("cat <&6 >/dev/null & exit 3");
    options.new_session = true;
    options.stdout_fd = held.writer();
    options.keep_fds = {{input_.reader(), 6}};
    const auto leader = launch(options);
    sluice::loop loop;
    exit_status status;
    const watch watching(loop, leader, [&](exit_status now) {
        status = now;
        EXPECT_FALSE(alive(leader));
        EXPECT_TRUE(signal_group(leader, SIGKILL));
    });
    loop.run();
    EXPECT_EQ(status.code, 3);
    EXPECT_EQ(held.read_all(), "");                         // until nobody holds it
    EXPECT_EQ(::waitpid(leader.pid, nullptr, WNOHANG), -1); // reaped
}

TEST_F(running_child, that_is_adopted_is_watched_without_its_status)
{
    pipe_pair output;
    auto options = shell("cat <&6 >/dev/null & printf $!"); // the shell ends, its child is no child of ours
    options.stdout_fd = output.writer();
    options.keep_fds = {{input_.reader(), 6}};
    options.die_with_parent = false;
    const auto shell_process = launch(options);
    EXPECT_EQ(wait_for(shell_process).code, 0);
    const auto adopted = identify(std::stoi(output.read_all()));
    ASSERT_TRUE(adopted);

    sluice::loop loop;
    int calls = 0;
    exit_status status{.known = true, .code = 0, .signal = 0};
    const watch watching(loop, *adopted, [&](exit_status now) {
        ++calls;
        status = now;
    });
    loop.poll();
    EXPECT_EQ(calls, 0);
    EXPECT_TRUE(signal(*adopted, SIGKILL));
    loop.run();
    EXPECT_EQ(calls, 1);
    EXPECT_FALSE(status.known);
    EXPECT_EQ(status.code, -1);
    EXPECT_FALSE(alive(*adopted));
}

TEST_F(running_child, is_left_alone_when_its_watch_goes)
{
    const auto child = start();
    {
        sluice::loop loop;
        const watch watching(loop, child, [](exit_status) { FAIL() << "destroyed before"; });
        loop.poll();
    }
    EXPECT_TRUE(alive(child));
    end();
    EXPECT_EQ(wait_for(child).code, 0);
}

TEST_F(running_child, is_reaped_when_its_watch_is_destroyed_in_the_callback)
{
    const auto child = start();
    sluice::loop loop;
    std::unique_ptr<watch> watching;
    int calls = 0;
    watching = std::make_unique<watch>(loop, child, [&](exit_status) {
        ++calls;
        watching.reset();
    });
    end();
    loop.run();
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(::waitpid(child.pid, nullptr, WNOHANG), -1);
}

}
