#include "tests/support/poll_until.hpp"
#include "tests/support/temp_folder.hpp"
#include "watchdog/output_log.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <fstream>
#include <unistd.h>

namespace sluice::test {

namespace {

class watchdog_log : public testing::Test {
protected:
    std::string text() const
    {
        std::ifstream in(path_, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }

    temp_folder folder_;
    std::string path_ = folder_ / "log";
    process::owned_fd file_{::open(path_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600)};
    loop loop_;
};

}

TEST_F(watchdog_log, a_file_stays_bounded_and_keeps_the_newest_lines_whole)
{
    watchdog::output_log log(file_.number(), 2000, false);
    for (int i = 0; i < 1000; ++i) {
        log.line("stderr", "line " + std::to_string(i));
        ASSERT_LE(text().size(), 2000U);
    }
    const auto kept = text();
    EXPECT_GE(kept.size(), 900U);
    EXPECT_TRUE(kept.starts_with("line ")) << kept;
    EXPECT_TRUE(kept.ends_with("line 998\nline 999\n")) << kept;
}

TEST_F(watchdog_log, lines_of_a_pipe_are_prefixed_cut_and_finished)
{
    watchdog::output_log log(file_.number(), 0, true);
    auto pipe = process::make_pipe();
    watchdog::line_reader reader(loop_, std::move(pipe.read), "stderr", 8, log);
    const std::string written = "short\n\n12345678901234567890\nunfinished";
    ASSERT_EQ(::write(pipe.write.number(), written.data(), written.size()), static_cast<ssize_t>(written.size()));
    ASSERT_TRUE(loop_until(loop_, [&] { return text().find("unfinish") != std::string::npos; }));
    reader.finish();
    std::string lines;
    std::istringstream in(text());
    for (std::string line; std::getline(in, line);) {
        ASSERT_NE(line.find("Z stderr: "), line.npos) << line;
        lines += line.substr(line.find("stderr: ") + 8) + '|';
    }
    EXPECT_EQ(lines, "short||12345678|90123456|7890|unfinish|ed|");
    EXPECT_TRUE(loop_runs_dry(loop_));
}

TEST_F(watchdog_log, an_end_without_a_reader_ends_the_watching)
{
    watchdog::output_log log(file_.number(), 0, false);
    auto pipe = process::make_pipe();
    watchdog::line_reader reader(loop_, std::move(pipe.read), "stdout", 100, log);
    pipe.write.reset();
    EXPECT_TRUE(loop_runs_dry(loop_));
    EXPECT_EQ(text(), "");
}

}
