#pragma once
#include "adapters/asio/loop.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <functional>
#include <memory>
#include <netinet/in.h>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

// Plain loopback sockets for tests that need to say exactly which bytes are sent when, and to see which came. Driven by the loop
// under test.
namespace sluice::test {

class raw_socket {
public:
    raw_socket(loop& on, int fd) : fd_(fd)
    {
        watch_.emplace(on, fd_, [this] { read_some(); });
    }
    raw_socket(const raw_socket&) = delete;
    raw_socket& operator=(const raw_socket&) = delete;
    ~raw_socket() { close(); }

    static std::unique_ptr<raw_socket> connect(loop& on, std::uint16_t port, int receive_buffer_bytes = 0)
    {
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (receive_buffer_bytes > 0)
            ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        to.sin_port = htons(port);
        if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
            throw std::runtime_error("connect to a test's server failed");
        return std::make_unique<raw_socket>(on, fd);
    }

    // What does not fit into the kernel's buffers is not sent. Returns the bytes sent.
    std::size_t send(std::string_view bytes)
    {
        const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        return sent > 0 ? static_cast<std::size_t>(sent) : 0;
    }
    void end_sending() { ::shutdown(fd_, SHUT_WR); }
    void pause_reading() { watch_.reset(); }
    void resume_reading(loop& on)
    {
        watch_.emplace(on, fd_, [this] { read_some(); });
    }
    void close()
    {
        watch_.reset();
        if (fd_ >= 0)
            ::close(fd_);
        fd_ = -1;
    }
    // The peer sees a reset, not an orderly end.
    void reset()
    {
        const linger now{1, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close();
    }

    std::string received;
    bool ended = false; // the peer closed, or reset
    std::function<void()> on_bytes;

private:
    void read_some()
    {
        char buffer[65536];
        const auto count = ::recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
        if (count < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (count <= 0) {
            ended = true;
            watch_.reset();
            return;
        }
        received.append(buffer, static_cast<std::size_t>(count));
        if (on_bytes)
            on_bytes();
    }

    int fd_;
    std::optional<readable_watch> watch_;
};

// Accepts on a free loopback port and keeps what it accepted, in order.
class raw_listener {
public:
    explicit raw_listener(loop& on) : loop_(on), fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))
    {
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof at;
        if (::bind(fd_, reinterpret_cast<sockaddr*>(&at), size) != 0 || ::listen(fd_, 1024) != 0
            || ::getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size) != 0)
            throw std::runtime_error("a test's listener failed");
        port_ = ntohs(at.sin_port);
        watch_.emplace(on, fd_, [this] { accept(); });
    }
    ~raw_listener() { close(); }

    std::uint16_t port() const { return port_; }
    void close()
    {
        watch_.reset();
        if (fd_ >= 0)
            ::close(fd_);
        fd_ = -1;
    }

    std::vector<std::unique_ptr<raw_socket>> accepted;
    std::function<void(raw_socket&)> on_accept;

private:
    void accept()
    {
        const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0)
            return;
        accepted.push_back(std::make_unique<raw_socket>(loop_, fd));
        if (on_accept)
            on_accept(*accepted.back());
    }

    loop& loop_;
    int fd_;
    std::uint16_t port_ = 0;
    std::optional<readable_watch> watch_;
};

}
