#include "cli/up/supervisor.hpp"

#include "adapters/process/files.hpp"
#include "cli/up/files.hpp"
#include "cli/up/leftovers.hpp"
#include "tests/support/loop_until.hpp"
#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <fcntl.h>
#include <spdlog/sinks/ringbuffer_sink.h>

// The supervisor with shells as children: what they do is in their scripts.
namespace sluice::up {

namespace {

using namespace std::chrono_literals;

// Is ready at once and stays until it gets a signal.
const std::string stays = R"(echo here > "$0.new"; mv "$0.new" "$0"; exec tail -f /dev/null)";
// Is ready, and takes no SIGTERM.
const std::string stubborn = R"(trap '' TERM; echo here > "$0.new"; mv "$0.new" "$0"; exec tail -f /dev/null)";

class supervised : public ::testing::Test {
protected:
    child_spec spec(const std::string& name, const std::string& script) const
    {
        child_spec made;
        made.name = name;
        made.argv = {"/bin/sh", "-c", script, folder_ / (name + ".ready")};
        made.env = {{"PATH", "/usr/bin:/bin"}, {"ORDER", folder_ / "order"}};
        made.identity_file = folder_ / (name + ".pid");
        made.log_file = folder_ / (name + ".log");
        made.ready_file = [file = folder_ / (name + ".ready")](int) { return file; };
        made.restart = {1ms, 10ms};
        return made;
    }

    void start(supervisor& all)
    {
        std::optional<std::string> failure;
        all.start([&](std::string reason) { failure = std::move(reason); });
        ASSERT_TRUE(test::loop_until(loop_, [&] { return failure.has_value(); }));
        ASSERT_EQ(*failure, "");
    }

    void stop(supervisor& all)
    {
        bool stopped = false;
        all.stop([&] { stopped = true; });
        EXPECT_TRUE(test::loop_until(loop_, [&] { return stopped; }));
        EXPECT_TRUE(test::loop_runs_dry(loop_));
    }

    // Before each restart so far, in ms.
    std::vector<std::string> waits() const
    {
        std::vector<std::string> found;
        const std::string key = "restart_in_ms=";
        for (const auto& line : lines_->last_formatted())
            if (const auto at = line.find(key); at != line.npos)
                found.push_back(line.substr(at + key.size(), line.find_first_not_of("0123456789", at + key.size()) - at - key.size()));
        return found;
    }

    bool is_running(const supervisor& all, const std::string& name) const { return all.find(name)->running().has_value(); }

    test::temp_folder folder_;
    loop loop_;
    std::shared_ptr<spdlog::sinks::ringbuffer_sink_st> lines_ = std::make_shared<spdlog::sinks::ringbuffer_sink_st>(100);
    logger log_{"test", lines_};
};

TEST_F(supervised, starts_each_when_the_one_before_is_ready_and_stops_in_reverse)
{
    const std::string noted = R"(echo "start $1" >> "$ORDER"; tail -f /dev/null & child=$!
        trap 'echo "stop $1" >> "$ORDER"; kill $child; exit 0' TERM; echo here > "$0.new"; mv "$0.new" "$0"; wait)";
    supervisor all(loop_, log_, {});
    for (const char* name : {"a", "b", "c"}) {
        auto one = spec(name, noted);
        one.argv.emplace_back(name);
        all.add(std::move(one));
    }
    start(all);
    EXPECT_TRUE(all.find("c")->ready());
    EXPECT_TRUE(std::filesystem::exists(folder_ / "b.pid"));
    stop(all);
    EXPECT_EQ(process::read_file(folder_ / "order"), "start a\nstart b\nstart c\nstop c\nstop b\nstop a\n");
    EXPECT_FALSE(std::filesystem::exists(folder_ / "b.pid"));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "b.ready"));
}

TEST_F(supervised, what_is_killed_is_started_again)
{
    supervisor all(loop_, log_, {});
    all.add(spec("a", stays));
    all.add(spec("b", stays));
    start(all);
    const auto before = *all.find("a")->running(), other = *all.find("b")->running();
    ASSERT_TRUE(process::signal(before, SIGKILL));
    ASSERT_TRUE(test::loop_until(loop_, [&] { return !all.find("a")->ready(); }));
    ASSERT_TRUE(test::loop_until(loop_, [&] { return all.find("a")->ready(); }));
    EXPECT_NE(*all.find("a")->running(), before);
    EXPECT_EQ(*all.find("b")->running(), other);
    stop(all);
    EXPECT_FALSE(is_running(all, "a"));
}

TEST_F(supervised, each_end_of_one_that_was_ready_for_as_long_as_its_last_wait_counts_as_the_first)
{
    supervisor all(loop_, log_, {});
    all.add(spec("a", stays));
    start(all);
    for (int life = 0; life < 6; ++life) {
        // The longest wait there is, from when this life was ready.
        bool over = false;
        timer worked(loop_);
        worked.after(10ms, [&] { over = true; });
        ASSERT_TRUE(test::loop_until(loop_, [&] { return over; }));
        const auto before = *all.find("a")->running();
        ASSERT_TRUE(process::signal(before, SIGKILL));
        ASSERT_TRUE(test::loop_until(loop_, [&] { return all.find("a")->ready() && *all.find("a")->running() != before; }));
    }
    EXPECT_EQ(waits(), std::vector<std::string>(6, "1"));
    stop(all);
}

TEST_F(supervised, the_wait_doubles_while_it_is_not_ready)
{
    supervisor all(loop_, log_, {});
    all.add(spec("a", R"([ -e "$0.once" ] && exit 1; touch "$0.once"; )" + stays));
    start(all);
    ASSERT_TRUE(process::signal(*all.find("a")->running(), SIGKILL));
    ASSERT_TRUE(test::loop_until(loop_, [&] { return waits().size() == 6; }));
    EXPECT_EQ(waits(), (std::vector<std::string>{"1", "2", "4", "8", "10", "10"}));
    stop(all);
}

TEST_F(supervised, a_ready_file_that_was_left_says_nothing)
{
    process::write_file_atomically(folder_ / "a.ready", "stale\n");
    supervisor all(loop_, log_, {});
    all.add(spec("a", "exit 1"));
    std::optional<std::string> failure;
    all.start([&](std::string reason) { failure = std::move(reason); });
    ASSERT_TRUE(test::loop_until(loop_, [&] { return failure.has_value(); }));
    EXPECT_EQ(*failure, "a: exit status 1");
    stop(all);
}

TEST_F(supervised, a_misconfigured_one_fails_the_start_with_its_last_line)
{
    supervisor all(loop_, log_, {});
    all.add(spec("a", stays));
    all.add(spec("b", "echo chatter; echo 'listen: address in use' >&2; exit 1"));
    std::string failure;
    all.start([&](std::string reason) { failure = std::move(reason); });
    ASSERT_TRUE(test::loop_until(loop_, [&] { return !failure.empty(); }));
    EXPECT_EQ(failure, "b: listen: address in use");
    stop(all);
    EXPECT_FALSE(is_running(all, "a"));
}

TEST_F(supervised, a_program_that_is_not_there_fails_the_start)
{
    supervisor all(loop_, log_, {});
    auto missing = spec("a", "");
    missing.argv = {folder_ / "nothing"};
    all.add(std::move(missing));
    std::string failure;
    all.start([&](std::string reason) { failure = std::move(reason); });
    ASSERT_TRUE(test::loop_until(loop_, [&] { return !failure.empty(); }));
    EXPECT_NE(failure.find("nothing"), std::string::npos) << failure;
    stop(all);
}

TEST_F(supervised, one_that_is_never_ready_fails_the_start)
{
    supervisor all(loop_, log_, {});
    auto slow = spec("a", "exec tail -f /dev/null");
    slow.start_deadline = 50ms;
    all.add(std::move(slow));
    std::string failure;
    all.start([&](std::string reason) { failure = std::move(reason); });
    ASSERT_TRUE(test::loop_until(loop_, [&] { return !failure.empty(); }));
    EXPECT_EQ(failure, "a: not ready in time");
    stop(all);
}

TEST_F(supervised, what_ignores_sigterm_is_killed_after_the_deadline)
{
    supervisor all(loop_, log_, {.drain_deadline = 30ms, .end_deadline = 20ms});
    all.add(spec("a", stubborn));
    start(all);
    stop(all);
    EXPECT_FALSE(is_running(all, "a"));
}

TEST_F(supervised, kill_does_not_wait_for_deadlines)
{
    supervisor all(loop_, log_, {});
    for (const char* name : {"a", "b"})
        all.add(spec(name, stubborn));
    start(all);
    bool stopped = false;
    all.stop([&] { stopped = true; });
    all.kill();
    EXPECT_TRUE(test::loop_until(loop_, [&] { return stopped; }));
    EXPECT_TRUE(test::loop_runs_dry(loop_));
    EXPECT_FALSE(is_running(all, "a"));
    EXPECT_FALSE(is_running(all, "b"));
}

TEST_F(supervised, a_log_beyond_its_bound_starts_anew_while_it_is_written)
{
    supervisor all(loop_, log_, {1000, 1ms});
    all.add(spec("a", R"(echo here > "$0.new"; mv "$0.new" "$0"; while :; do echo line; done)"));
    start(all);
    EXPECT_TRUE(test::loop_until(loop_, [&] { return std::filesystem::exists(folder_ / "a.log.1"); }));
    const auto once = process::read_file(folder_ / "a.log.1").size();
    EXPECT_GT(once, 1000u);
    stop(all);
    // Cut, and appended to after that, not continued at the former end with a hole before it.
    EXPECT_EQ(process::read_file(folder_ / "a.log").find('\0'), std::string::npos);
}

TEST_F(supervised, leftovers_are_ended_whether_they_listen_or_not)
{
    process::launch_options options;
    options.env = {{"PATH", "/usr/bin:/bin"}};
    options.die_with_parent = true;
    options.argv = {"/bin/sh", "-c", stays, folder_ / "polite.ready"};
    const auto polite = process::launch(options);
    options.argv = {"/bin/sh", "-c", stubborn, folder_ / "stubborn.ready"};
    const auto deaf = process::launch(options);
    ASSERT_TRUE(test::loop_until(loop_, [&, poll = timer(loop_)]() mutable {
        poll.after(1ms, [] {});
        return std::filesystem::exists(folder_ / "polite.ready") && std::filesystem::exists(folder_ / "stubborn.ready");
    }));
    options.argv = {"/bin/sh", "-c", stays, folder_ / "other.ready"};
    const auto other = process::launch(options);
    process::write_file_atomically(folder_ / "polite.pid", fmt::format("{} {}\n", polite.pid, polite.start_ticks));
    process::write_file_atomically(folder_ / "stubborn.pid", fmt::format("{} {}\n", deaf.pid, deaf.start_ticks));
    process::write_file_atomically(folder_ / "reused.pid",
                                   fmt::format("{} {}\n", other.pid, other.start_ticks + 1)); // the number is another's now

    bool done = false;
    end_leftovers(loop_, log_, folder_.path(), 50ms, [&] { done = true; });
    ASSERT_TRUE(test::loop_until(loop_, [&] { return done; }));
    EXPECT_TRUE(test::loop_runs_dry(loop_));
    EXPECT_FALSE(process::alive(polite));
    EXPECT_FALSE(process::alive(deaf));
    EXPECT_TRUE(process::alive(other));
    process::signal(other, SIGKILL);
}

TEST_F(supervised, kills_at_once_what_has_not_been_asked_to_stop_yet_and_is_not_surprised)
{
    supervisor all(loop_, log_, {});
    for (const char* name : {"a", "b", "c"})
        all.add(spec(name, stubborn));
    start(all);
    bool stopped = false;
    all.stop([&] { stopped = true; });
    all.kill();
    EXPECT_TRUE(test::loop_until(loop_, [&] { return stopped; }));
    EXPECT_TRUE(test::loop_runs_dry(loop_));
    for (const auto& line : lines_->last_formatted())
        EXPECT_EQ(line.find("ended by itself"), line.npos) << line;
}

TEST_F(supervised, stops_within_one_deadline_however_many_are_stubborn)
{
    supervisor_options with;
    with.drain_deadline = 20ms;
    with.end_deadline = 20ms;
    supervisor all(loop_, log_, with);
    for (const char* name : {"a", "b", "c"})
        all.add(spec(name, stubborn));
    start(all);
    stop(all);
}

TEST_F(supervised, asks_again_once_the_time_to_finish_is_over)
{
    // Stays at the first SIGTERM and ends at the second, as a role with calls under way.
    const std::string finishing = R"(asked=0; trap 'asked=$((asked+1)); [ $asked = 2 ] && { echo "$1" >> "$ORDER"; exit 0; }' TERM
        echo here > "$0.new"; mv "$0.new" "$0"; tail -f /dev/null & while :; do wait; done)";
    supervisor_options with;
    with.drain_deadline = 200ms;
    with.end_deadline = 1h;
    with.hurry_wait = 50ms;
    supervisor all(loop_, log_, with);
    for (const char* name : {"a", "b"}) {
        auto one = spec(name, finishing);
        one.argv.emplace_back(name);
        all.add(std::move(one));
    }
    start(all);
    stop(all);
    EXPECT_EQ(process::read_file(folder_ / "order"), "b\na\n");
}

}

}
