#include "adapters/log/log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

using testing::HasSubstr;
using testing::MatchesRegex;

namespace {

class log_files : public testing::Test {
protected:
    log_files()
    {
        std::string pattern = testing::TempDir() + "sluice-log-XXXXXX";
        folder_ = ::mkdtemp(pattern.data());
    }
    ~log_files() override { std::filesystem::remove_all(folder_); }

    static std::string read(const std::filesystem::path& path)
    {
        std::ifstream file(path);
        return {std::istreambuf_iterator<char>(file), {}};
    }

    std::filesystem::path folder_;
};

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

TEST_F(log_files, are_written_at_once_and_bounded_with_one_older_beside)
{
    const auto path = (folder_ / "up.log").string();
    const auto log = sluice::make_file_logger("up", path, 1000);
    log->info("first");
    EXPECT_THAT(read(path), HasSubstr("info [up] first\n"));
    for (int i = 0; i < 100; ++i)
        log->info("event number={}", i);
    std::size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
        ++files;
        EXPECT_LE(entry.file_size(), 1000u) << entry.path();
    }
    EXPECT_EQ(files, 2u);
    EXPECT_THAT(read(path), HasSubstr("event number=99\n"));
}

TEST_F(log_files, go_on_where_an_earlier_run_stopped)
{
    const auto path = (folder_ / "up.log").string();
    sluice::make_file_logger("up", path, 1000)->info("before");
    sluice::make_file_logger("up", path, 1000)->info("after");
    EXPECT_THAT(read(path), MatchesRegex("[^\n]+before\n[^\n]+after\n"));
}

TEST_F(log_files, that_cannot_be_opened_throw_and_name_the_path)
{
    const auto path = (folder_ / "file" / "up.log").string();
    std::ofstream(folder_ / "file") << "not a folder";
    try {
        sluice::make_file_logger("up", path, 1000);
        FAIL() << "a file is no folder";
    } catch (const std::exception& error) {
        EXPECT_THAT(error.what(), HasSubstr(path));
    }
    EXPECT_THROW(sluice::make_file_logger("up", (folder_ / "up.log").string(), 0), std::invalid_argument);
}

}
