#include "adapters/metrics/metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

using namespace sluice::metrics;
using testing::HasSubstr;
using testing::Not;

namespace {

TEST(metrics, are_written_in_the_text_format)
{
    registry registry;
    auto calls = registry.make_counter("calls_total", "Calls made.", {{"function_name", "figlet.ns"}, {"code", "200"}});
    auto running = registry.make_gauge("running", "Calls running.");
    calls.add();
    calls.add(2);
    running.set(5);
    running.add(-2);
    const auto text = registry.text();
    EXPECT_THAT(text,
                HasSubstr("# HELP calls_total Calls made.\n# TYPE calls_total counter\n"
                          "calls_total{code=\"200\",function_name=\"figlet.ns\"} 3\n"));
    EXPECT_THAT(text, HasSubstr("# HELP running Calls running.\n# TYPE running gauge\nrunning 3\n"));
}

TEST(metrics, of_durations_have_the_default_buckets)
{
    registry registry;
    auto seconds = registry.make_histogram("seconds", "Durations.", {{"code", "200"}});
    seconds.observe(0.003);
    seconds.observe(0.3);
    seconds.observe(60);
    const auto text = registry.text();
    EXPECT_THAT(text, HasSubstr("# TYPE seconds histogram\n"));
    EXPECT_THAT(text, HasSubstr("seconds_count{code=\"200\"} 3\nseconds_sum{code=\"200\"} 60.303\n"));
    EXPECT_THAT(text, HasSubstr("seconds_bucket{code=\"200\",le=\"0.005\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("seconds_bucket{code=\"200\",le=\"0.25\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("seconds_bucket{code=\"200\",le=\"0.5\"} 2\n"));
    EXPECT_THAT(text, HasSubstr("seconds_bucket{code=\"200\",le=\"10\"} 2\n"));
    EXPECT_THAT(text, HasSubstr("seconds_bucket{code=\"200\",le=\"+Inf\"} 3\n"));
}

TEST(metrics, of_one_name_and_labels_are_one_child_whatever_the_order)
{
    registry registry;
    auto one = registry.make_counter("calls_total", "Calls.", {{"a", "1"}, {"b", "2"}});
    auto same = registry.make_counter("calls_total", "Said otherwise.", {{"b", "2"}, {"a", "1"}});
    auto other = registry.make_counter("calls_total", "Calls.", {{"a", "1"}, {"b", "3"}});
    one.add();
    same.add();
    other.add(7);
    EXPECT_EQ(registry.text(),
              "# HELP calls_total Calls.\n# TYPE calls_total counter\n"
              "calls_total{a=\"1\",b=\"2\"} 2\ncalls_total{a=\"1\",b=\"3\"} 7\n");
}

TEST(metrics, of_a_removed_function_are_gone_and_their_handles_harmless)
{
    registry registry;
    auto gone = registry.make_counter("calls_total", "Calls.", {{"function_name", "gone"}, {"code", "200"}});
    auto gone_gauge = registry.make_gauge("running", "Running.", {{"function_name", "gone"}});
    auto gone_seconds = registry.make_histogram("seconds", "Seconds.", {{"function_name", "gone"}});
    auto stays = registry.make_counter("calls_total", "Calls.", {{"function_name", "stays"}, {"code", "200"}});
    gone.add(3);
    stays.add();
    registry.remove("function_name", "gone");
    gone.add();
    gone_gauge.set(1);
    gone_seconds.observe(1);
    EXPECT_EQ(registry.text(),
              "# HELP calls_total Calls.\n# TYPE calls_total counter\n"
              "calls_total{code=\"200\",function_name=\"stays\"} 1\n");

    registry.make_counter("calls_total", "Calls.", {{"function_name", "gone"}, {"code", "200"}}).add();
    EXPECT_THAT(registry.text(), HasSubstr("calls_total{code=\"200\",function_name=\"gone\"} 1\n"));
}

TEST(metrics, escape_what_a_label_carries)
{
    registry registry;
    registry.make_counter("calls_total", "Calls.", {{"path", "a\"b\\c\nd"}}).add();
    EXPECT_THAT(registry.text(), HasSubstr(R"(path="a\"b\\c\nd")"));
}

TEST(metrics, handles_made_by_default_do_nothing)
{
    counter().add();
    gauge().set(1);
    gauge().add(1);
    histogram().observe(1);
    EXPECT_EQ(registry().text(), "");
}

TEST(metrics, are_counted_exactly_by_many_threads_while_others_come_and_go)
{
    registry registry;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&registry, t] {
            auto all = registry.make_counter("all_total", "All.");
            for (int i = 0; i < 500; ++i) {
                all.add();
                registry.make_gauge("own", "Own.", {{"thread", std::to_string(t)}}).set(i);
                registry.remove("thread", std::to_string(t));
            }
        });
    for (auto& thread : threads)
        thread.join();
    EXPECT_THAT(registry.text(), HasSubstr("all_total 2000\n"));
    EXPECT_THAT(registry.text(), Not(HasSubstr("own{")));
}

}
