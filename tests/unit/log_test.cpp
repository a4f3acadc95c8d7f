#include "adapters/log/log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

using testing::HasSubstr;
using testing::MatchesRegex;

namespace {

TEST(log, writes_one_line_an_event_to_stderr)
{
    testing::internal::CaptureStderr();
    sluice::make_logger("gateway", "info")->info("listening address={}", "127.0.0.1:8080");
    EXPECT_THAT(testing::internal::GetCapturedStderr(),
                MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z info \\[gateway\\] "
                             "listening address=127\\.0\\.0\\.1:8080\n"));
}

TEST(log, keeps_to_its_level_and_calls_levels_as_the_configuration_does)
{
    testing::internal::CaptureStderr();
    const auto log = sluice::make_logger("worker", "warn");
    log->debug("a");
    log->info("b");
    log->warn("c");
    log->error("d");
    const auto text = testing::internal::GetCapturedStderr();
    EXPECT_THAT(text, MatchesRegex("[^ ]+Z warn \\[worker\\] c\n[^ ]+Z error \\[worker\\] d\n"));
}

TEST(log, names_a_level_that_is_none)
{
    for (const std::string level : {"", "INFO", "verbose", "off"})
        try {
            sluice::make_logger("worker", level);
            ADD_FAILURE() << level;
        } catch (const std::invalid_argument& error) {
            EXPECT_THAT(error.what(), HasSubstr("log_level: \"" + level + "\""));
        }
}

TEST(log, lets_no_value_begin_a_line_of_its_own)
{
    testing::internal::CaptureStderr();
    sluice::make_logger("gateway", "info")->info("path={}", std::string("a\nb\r\x1b[2J\0\x7f é", 13));
    EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::EndsWith("path=a\\x0ab\\x0d\\x1b[2J\\x00\\x7f é\n"));
}

}
