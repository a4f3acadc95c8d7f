#include "watchdog/output_log.hpp"

#include "adapters/asio/clock.hpp"
#include "core/rfc3339.hpp"

#include <cerrno>
#include <sys/stat.h>
#include <unistd.h>

namespace sluice::watchdog {

namespace {

constexpr std::size_t read_bytes = 64 * 1024;

void write_all(int fd, std::string_view text)
{
    while (!text.empty()) {
        const auto written = ::write(fd, text.data(), text.size());
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return; // a log that cannot be written stops nobody's call
        text.remove_prefix(static_cast<std::size_t>(written));
    }
}

}

output_log::output_log(int fd, std::uint64_t bytes_max, bool prefix) : fd_(fd), bytes_max_(bytes_max), prefix_(prefix)
{
    struct stat facts;
    regular_file_ = ::fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode);
}

void output_log::format(std::string& to, std::string_view source, std::string_view text) const
{
    if (prefix_)
        to.append(core::rfc3339(clock_now().wall)).append(" ").append(source).append(": ");
    to.append(text).push_back('\n');
}

void output_log::line(std::string_view source, std::string_view text)
{
    std::string formatted;
    format(formatted, source, text);
    write(formatted);
}

void output_log::write(std::string_view lines)
{
    struct stat facts;
    if (bytes_max_ > 0 && regular_file_ && ::fstat(fd_, &facts) == 0) {
        const auto size = static_cast<std::uint64_t>(facts.st_size);
        if (size + lines.size() > bytes_max_)
            drop_older_half(size);
    }
    write_all(fd_, lines);
}

void output_log::drop_older_half(std::uint64_t size)
{
    std::string kept(bytes_max_ / 2, '\0');
    const std::uint64_t from = size > kept.size() ? size - kept.size() : 0;
    const auto read = ::pread(fd_, kept.data(), kept.size(), static_cast<off_t>(from));
    kept.resize(read > 0 ? static_cast<std::size_t>(read) : 0);
    const auto line_end = kept.find('\n');
    if (::ftruncate(fd_, 0) == 0 && line_end != kept.npos)
        write_all(fd_, std::string_view(kept).substr(line_end + 1));
}

line_reader::line_reader(loop& on, process::owned_fd pipe, std::string source, std::size_t line_bytes_max, output_log& log)
    : pipe_(std::move(pipe)), source_(std::move(source)), line_bytes_max_(line_bytes_max), log_(log)
{
    process::set_nonblocking(pipe_);
    watch_ = std::make_unique<readable_watch>(on, pipe_.number(), [this] { read_some(); });
}

bool line_reader::read_some()
{
    char chunk[read_bytes];
    const auto got = ::read(pipe_.number(), chunk, sizeof chunk);
    if (got > 0) {
        take({chunk, static_cast<std::size_t>(got)});
        return true;
    }
    if (got == 0 || (errno != EAGAIN && errno != EINTR))
        watch_.reset(); // every writer has gone
    return false;
}

void line_reader::finish()
{
    watch_.reset();
    // A descendant that left the group may write for ever: what fits the pipe is enough.
    for (int chunks = 0; chunks < 16 && read_some(); ++chunks) {
    }
    remember(unfinished_);
    if (!unfinished_.empty())
        log_.line(source_, unfinished_);
    unfinished_.clear();
    pipe_.reset();
}

void line_reader::remember(std::string_view line)
{
    constexpr std::size_t remembered_bytes_max = 256;
    if (line.find_first_not_of(" \t\r") != line.npos)
        last_line_ = line.substr(0, remembered_bytes_max);
}

void line_reader::take(std::string_view chunk)
{
    std::string lines;
    while (!chunk.empty()) {
        const auto end = chunk.find('\n');
        const auto room = line_bytes_max_ - unfinished_.size();
        const auto length = std::min(end == chunk.npos ? chunk.size() : end, room);
        unfinished_.append(chunk.substr(0, length));
        const bool whole = end == length;
        chunk.remove_prefix(length + (whole ? 1 : 0));
        if (whole || unfinished_.size() == line_bytes_max_) {
            log_.format(lines, source_, unfinished_);
            remember(unfinished_);
            unfinished_.clear();
        }
    }
    if (!lines.empty())
        log_.write(lines);
}

}
