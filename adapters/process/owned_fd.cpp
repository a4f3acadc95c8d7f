#include "adapters/process/owned_fd.hpp"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <system_error>
#include <unistd.h>

namespace sluice::process {

namespace {

[[noreturn]] void fail(const std::string& what) { throw std::system_error(errno, std::system_category(), what); }

}

void owned_fd::reset() noexcept
{
    if (fd_ >= 0)
        ::close(std::exchange(fd_, -1));
}

pipe_ends make_pipe()
{
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
        fail("make a pipe");
    return {owned_fd(ends[0]), owned_fd(ends[1])};
}

void set_nonblocking(const owned_fd& of)
{
    const int flags = ::fcntl(of.number(), F_GETFL);
    if (flags < 0 || ::fcntl(of.number(), F_SETFL, flags | O_NONBLOCK) != 0)
        fail("make a descriptor non-blocking");
}

void write_file_atomically(const std::string& path, std::string_view content)
{
    const std::string beside = path + ".new";
    owned_fd file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file)
        fail(beside);
    while (!content.empty()) {
        const auto written = ::write(file.number(), content.data(), content.size());
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            fail(beside);
        content.remove_prefix(static_cast<std::size_t>(written));
    }
    if (::rename(beside.c_str(), path.c_str()) != 0)
        fail(path);
}

}
