#include "adapters/process/owned_fd.hpp"

#include <cerrno>
#include <fcntl.h>
#include <string>
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

}
