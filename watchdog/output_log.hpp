#pragma once
#include "adapters/asio/loop.hpp"
#include "adapters/process/owned_fd.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::watchdog {

// Where a function's own lines go: our stderr. If that is a regular file (opened for reading too, appending), it never grows beyond
// bytes_max: its older half is dropped in place, so no second file and no other process is needed. Loop thread only.
class output_log {
public:
    output_log(int fd, std::uint64_t bytes_max, bool prefix); // bytes_max 0: unbounded
    void line(std::string_view source, std::string_view text);
    // Appends one formatted line; write() puts out what was collected.
    void format(std::string& to, std::string_view source, std::string_view text) const;
    void write(std::string_view lines);

private:
    void drop_older_half(std::uint64_t size);

    int fd_;
    std::uint64_t bytes_max_;
    bool prefix_;
    bool regular_file_ = false;
};

// Reads one pipe of a function and logs it line by line; a line longer than line_bytes_max is cut into several. Loop thread only.
class line_reader {
public:
    line_reader(loop& on, process::owned_fd pipe, std::string source, std::size_t line_bytes_max, output_log& log);
    // Logs what is in the pipe now and the unfinished line, and reads no more.
    void finish();
    // What it said last, at most 256 bytes: often the reason of an end.
    const std::string& last_line() const noexcept { return last_line_; }

private:
    bool read_some(); // false: nothing more for now
    void take(std::string_view chunk);
    void remember(std::string_view line);

    process::owned_fd pipe_;
    std::string source_;
    std::size_t line_bytes_max_;
    output_log& log_;
    std::string unfinished_, last_line_;
    std::unique_ptr<readable_watch> watch_;
};

}
