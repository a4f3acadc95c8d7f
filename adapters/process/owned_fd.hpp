#pragma once
#include <utility>

namespace sluice::process {

// Owns a file descriptor. All made here are closed on exec: what a child is to have is named in launch_options.
class owned_fd {
public:
    owned_fd() = default;
    explicit owned_fd(int fd) noexcept : fd_(fd) {}
    ~owned_fd() { reset(); }
    owned_fd(owned_fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    owned_fd& operator=(owned_fd&& other) noexcept
    {
        if (this != &other) {
            reset();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }

    int number() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }
    void reset() noexcept;
    int release() noexcept { return std::exchange(fd_, -1); }

private:
    int fd_ = -1;
};

struct pipe_ends {
    owned_fd read, write;
};
pipe_ends make_pipe(); // both ends block; throws std::system_error
void set_nonblocking(const owned_fd& of);

}
