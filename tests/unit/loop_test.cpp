#include "adapters/asio/loop.hpp"

#include <gtest/gtest.h>

#include <array>
#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace std::chrono_literals;

namespace {

struct pipe_pair {
    pipe_pair() { EXPECT_EQ(::pipe(ends.data()), 0); }
    ~pipe_pair()
    {
        close_reader();
        ::close(ends[1]);
    }
    void close_reader()
    {
        if (ends[0] >= 0)
            ::close(ends[0]);
        ends[0] = -1;
    }
    std::array<int, 2> ends{-1, -1};
};

TEST(loop, runs_dry_with_nothing_to_do_and_can_run_again)
{
    sluice::loop loop;
    loop.run();
    int ran = 0;
    loop.post([&] { ++ran; });
    EXPECT_EQ(ran, 0); // never inside post itself
    loop.run();
    loop.post([&] { ++ran; });
    EXPECT_EQ(loop.poll(), 1u);
    EXPECT_EQ(ran, 2);
    EXPECT_EQ(loop.poll(), 0u);
}

TEST(loop, takes_work_from_other_threads_in_each_ones_order)
{
    sluice::loop loop;
    sluice::timer keeps_running(loop);
    keeps_running.after(60s, [] { FAIL() << "work from the threads never came"; });
    std::vector<int> first, second;
    const auto poster = [&](std::vector<int>& into) {
        return [&loop, &into, &keeps_running, &first, &second] {
            for (int i = 0; i < 1000; ++i)
                loop.post([&, i] {
                    into.push_back(i);
                    if (first.size() == 1000 && second.size() == 1000)
                        keeps_running.cancel();
                });
        };
    };
    std::thread one(poster(first)), two(poster(second));
    loop.run();
    one.join();
    two.join();
    ASSERT_EQ(first.size(), 1000u);
    ASSERT_EQ(second.size(), 1000u);
    for (int i = 0; i < 1000; ++i)
        ASSERT_TRUE(first[i] == i && second[i] == i);
}

TEST(loop, lets_an_exception_of_a_callback_out_of_run_and_goes_on_after_it)
{
    sluice::loop loop;
    bool ran = false;
    loop.post([] { throw std::runtime_error("seen"); });
    loop.post([&] { ran = true; });
    EXPECT_THROW(loop.run(), std::runtime_error);
    loop.run();
    EXPECT_TRUE(ran);
}

TEST(loop, destroyed_with_work_pending_releases_what_it_held)
{
    auto held = std::make_shared<int>(1);
    {
        sluice::loop loop;
        loop.post([held] { FAIL() << "the loop never ran"; });
    }
    EXPECT_EQ(held.use_count(), 1);
}

TEST(timer, calls_back_once_in_order_of_time)
{
    sluice::loop loop;
    sluice::timer late(loop), early(loop), past(loop);
    std::string order;
    late.after(20ms, [&] { order += "late "; });
    early.after(1ms, [&] { order += "early "; });
    past.at(std::chrono::steady_clock::now() - 1h, [&] { order += "past "; });
    EXPECT_EQ(order, "");
    EXPECT_TRUE(late.armed());
    loop.run();
    EXPECT_EQ(order, "past early late ");
    EXPECT_FALSE(late.armed());
}

TEST(timer, set_again_replaces_what_was_set)
{
    sluice::loop loop;
    sluice::timer timer(loop);
    std::string seen;
    timer.after(0ms, [&] { seen += "first "; });
    timer.after(1ms, [&] { seen += "second "; });
    loop.run();
    EXPECT_EQ(seen, "second ");
}

TEST(timer, that_has_expired_but_not_yet_called_back_can_still_be_cancelled_and_replaced)
{
    sluice::loop loop;
    sluice::timer cancelled(loop), replaced(loop), destroyer(loop);
    auto destroyed = std::make_optional<sluice::timer>(loop);
    const auto due = std::chrono::steady_clock::now() - 1ms;
    std::string seen;
    // All four expire in the same turn of the loop; the first to run takes the others back.
    destroyer.at(due - 1ms, [&] {
        cancelled.cancel();
        replaced.after(0ms, [&] { seen += "replacement "; });
        destroyed.reset();
    });
    cancelled.at(due, [&] { seen += "cancelled "; });
    replaced.at(due, [&] { seen += "replaced "; });
    destroyed->at(due, [&] { seen += "destroyed "; });
    loop.run();
    EXPECT_EQ(seen, "replacement ");
}

TEST(timer, may_be_destroyed_or_set_inside_its_own_callback)
{
    sluice::loop loop;
    auto timer = std::make_unique<sluice::timer>(loop);
    int ticks = 0;
    std::function<void()> tick = [&] {
        if (++ticks < 3)
            timer->after(0ms, tick);
        else
            timer.reset();
    };
    timer->after(0ms, tick);
    loop.run();
    EXPECT_EQ(ticks, 3);
}

TEST(timer, owned_by_its_own_callback_goes_when_cancelled)
{
    sluice::loop loop;
    auto timer = std::make_shared<sluice::timer>(loop);
    std::weak_ptr<sluice::timer> watched = timer;
    timer->after(1h, [timer] { FAIL() << "was cancelled"; });
    sluice::timer* const raw = timer.get();
    timer.reset();
    ASSERT_FALSE(watched.expired());
    raw->cancel();
    EXPECT_TRUE(watched.expired());
    loop.run();
}

TEST(timer, moved_keeps_what_was_set)
{
    sluice::loop loop;
    std::string seen;
    sluice::timer from(loop), into(loop);
    into.after(1h, [&] { seen += "lost "; });
    from.after(0ms, [&] { seen += "moved "; });
    into = std::move(from);
    loop.run(); // and the hour is not waited for
    EXPECT_EQ(seen, "moved ");
}

TEST(signal_watch, calls_back_for_each_signal_until_cancelled_and_then_swallows_it)
{
    sluice::loop loop;
    std::vector<int> seen;
    sluice::signal_watch watch(loop, {SIGUSR1, SIGUSR2}, [&](int number) {
        seen.push_back(number);
        if (number == SIGUSR2)
            watch.cancel();
        else
            ::raise(SIGUSR2);
    });
    ::raise(SIGUSR1);
    loop.run();
    EXPECT_EQ(seen, (std::vector<int>{SIGUSR1, SIGUSR2}));
    ::raise(SIGUSR1); // would end this process
    loop.run();
    EXPECT_EQ(seen.size(), 2u);
}

TEST(signal_watch, may_be_destroyed_inside_its_own_callback)
{
    sluice::loop loop;
    std::unique_ptr<sluice::signal_watch> watch;
    int seen = 0;
    watch = std::make_unique<sluice::signal_watch>(loop, std::initializer_list<int>{SIGUSR1}, [&](int) {
        ++seen;
        watch.reset();
    });
    ::raise(SIGUSR1);
    loop.run();
    EXPECT_EQ(seen, 1);
}

TEST(readable_watch, calls_back_as_long_as_there_is_something_to_read)
{
    sluice::loop loop;
    pipe_pair pipe;
    std::string read;
    std::unique_ptr<sluice::readable_watch> watch;
    watch = std::make_unique<sluice::readable_watch>(loop, pipe.ends[0], [&] {
        char byte = 0;
        ASSERT_EQ(::read(pipe.ends[0], &byte, 1), 1);
        read += byte;
        if (read.size() == 3)
            watch.reset();
    });
    EXPECT_EQ(loop.poll(), 0u);
    ASSERT_EQ(::write(pipe.ends[1], "abc", 3), 3);
    loop.run();
    EXPECT_EQ(read, "abc");
}

TEST(readable_watch, is_not_confused_by_a_descriptor_closed_before_it)
{
    sluice::loop loop;
    pipe_pair pipe;
    int calls = 0;
    auto watch = std::make_unique<sluice::readable_watch>(loop, pipe.ends[0], [&] { ++calls; });
    pipe.close_reader();
    pipe_pair reuses_the_number;
    ASSERT_EQ(::write(reuses_the_number.ends[1], "x", 1), 1);
    loop.poll();
    EXPECT_EQ(calls, 0);
    watch.reset();
    loop.run();
    char byte = 0;
    EXPECT_EQ(::read(reuses_the_number.ends[0], &byte, 1), 1); // and it was not closed for us
}

TEST(readable_watch, two_may_watch_one_descriptor_and_bad_ones_throw)
{
    sluice::loop loop;
    pipe_pair pipe;
    int calls = 0;
    std::optional<sluice::readable_watch> one, two;
    one.emplace(loop, pipe.ends[0], [&] { ++calls, one.reset(); });
    two.emplace(loop, pipe.ends[0], [&] { ++calls, two.reset(); });
    ASSERT_EQ(::write(pipe.ends[1], "x", 1), 1);
    loop.run();
    EXPECT_EQ(calls, 2);
    EXPECT_THROW(sluice::readable_watch(loop, -1, [] {}), std::system_error);
}

}
