#pragma once
#include "adapters/process/process.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <string>
#include <unistd.h>

// What tests of child processes share: pipes, small shells, and waiting for their ends.
namespace sluice::process::test {

using namespace std::chrono_literals;

class pipe_pair {
public:
    pipe_pair() { EXPECT_EQ(::pipe2(ends_.data(), O_CLOEXEC), 0); }
    ~pipe_pair()
    {
        close_reader();
        close_writer();
    }
    pipe_pair(const pipe_pair&) = delete;
    pipe_pair& operator=(const pipe_pair&) = delete;

    int reader() const { return ends_[0]; }
    int writer() const { return ends_[1]; }
    void close_reader() { close(ends_[0]); }
    void close_writer() { close(ends_[1]); }

    // Until all writers are closed: ends with the processes that hold them.
    std::string read_all()
    {
        close_writer();
        std::string text;
        std::array<char, 4096> buffer{};
        for (ssize_t n = 0; (n = ::read(reader(), buffer.data(), buffer.size())) > 0;)
            text.append(buffer.data(), static_cast<std::size_t>(n));
        return text;
    }

private:
    static void close(int& end)
    {
        if (end >= 0)
            ::close(end);
        end = -1;
    }
    std::array<int, 2> ends_{-1, -1};
};

inline launch_options shell(const std::string& script)
{
    launch_options options;
    options.argv = {"sh", "-c", script};
    options.env = {{"PATH", "/usr/bin:/bin"}};
    options.die_with_parent = true;
    return options;
}

// Runs the loop until the process has ended.
inline exit_status wait_for(const identity& process)
{
    sluice::loop loop;
    sluice::timer deadline(loop);
    exit_status status;
    bool ended = false;
    std::unique_ptr<watch> watching;
    watching = std::make_unique<watch>(loop, process, [&](exit_status now) {
        status = now;
        ended = true;
        deadline.cancel();
    });
    deadline.after(60s, [&] { watching.reset(); });
    loop.run();
    EXPECT_TRUE(ended) << "process " << process.pid << " did not end in time";
    return status;
}

struct result {
    std::string output;
    exit_status status;
};

inline result run(launch_options options)
{
    pipe_pair output;
    options.stdout_fd = output.writer();
    const auto started = launch(options);
    result ended;
    ended.output = output.read_all();
    ended.status = wait_for(started);
    return ended;
}

class temporary_folder {
public:
    temporary_folder()
    {
        std::string pattern = testing::TempDir() + "sluice-process-XXXXXX";
        path_ = ::mkdtemp(pattern.data());
        std::filesystem::permissions(path_, std::filesystem::perms(0755));
    }
    ~temporary_folder() { std::filesystem::remove_all(path_); }
    const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

}
