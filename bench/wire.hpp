#pragma once
#include <arpa/inet.h>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <ctime>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <strings.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

// What the load tools share: loopback sockets, CLOCK_MONOTONIC, and as much of HTTP/1.1 (RFC 9112) as our own tools and the product speak
// to each other: one start line, field lines, Content-Length. Anything else is an exception, so that a run fails instead of misreading.
namespace bench {

inline constexpr std::size_t head_bytes_max = 64 * 1024;

[[noreturn]] inline void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

// CLOCK_MONOTONIC is one clock for all processes of a machine, so instants of two tools may be subtracted.
inline std::int64_t now_ns()
{
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

inline sockaddr_in loopback(std::uint16_t port)
{
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

inline void no_delay(int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

inline int listen_loopback(std::uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket");
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    auto address = loopback(port);
    if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
        fail("bind");
    if (listen(fd, 1024) != 0)
        fail("listen");
    return fd;
}

inline std::uint16_t bound_port(int fd)
{
    sockaddr_in address{};
    socklen_t size = sizeof address;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0)
        fail("getsockname");
    return ntohs(address.sin_port);
}

// A connected, nonblocking socket. On loopback connecting blocks only while the listener's backlog is full.
inline int connect_loopback(std::uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket");
    auto address = loopback(port);
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        fail("connect");
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    no_delay(fd);
    return fd;
}

template <class Number> std::optional<Number> number(std::string_view text, int base = 10)
{
    Number value{};
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc() || end != text.data() + text.size())
        return std::nullopt;
    return value;
}

// The value of the first field of this name, without surrounding blanks; `head` are the lines after the start line.
inline std::optional<std::string_view> field(std::string_view head, std::string_view name)
{
    while (!head.empty()) {
        auto end = head.find('\n');
        auto line = head.substr(0, end);
        head = end == std::string_view::npos ? std::string_view{} : head.substr(end + 1);
        if (line.size() <= name.size() || line[name.size()] != ':' || strncasecmp(line.data(), name.data(), name.size()) != 0)
            continue;
        line.remove_prefix(name.size() + 1);
        while (!line.empty() && (line.front() == ' ' || line.front() == '\t'))
            line.remove_prefix(1);
        while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t'))
            line.remove_suffix(1);
        return line;
    }
    return std::nullopt;
}

struct message {
    std::string_view start_line;
    std::string_view head; // field lines
    std::string_view body;
    std::size_t size = 0; // of the whole message
};

// The message that `bytes` begin with, or nothing while it is incomplete.
inline std::optional<message> first_message(std::string_view bytes)
{
    auto end = bytes.find("\r\n\r\n");
    if (end == std::string_view::npos) {
        if (bytes.size() > head_bytes_max)
            throw std::runtime_error("a head of more than 64 KiB");
        return std::nullopt;
    }
    auto line = bytes.find("\r\n");
    message found;
    found.start_line = bytes.substr(0, line);
    found.head = bytes.substr(line + 2, end + 2 - (line + 2));
    if (field(found.head, "Transfer-Encoding"))
        throw std::runtime_error("Transfer-Encoding is not supported by the load tools");
    std::size_t length = 0;
    if (auto text = field(found.head, "Content-Length")) {
        auto value = number<std::size_t>(*text);
        if (!value)
            throw std::runtime_error("bad Content-Length");
        length = *value;
    }
    found.size = end + 4 + length;
    if (bytes.size() < found.size)
        return std::nullopt;
    found.body = bytes.substr(end + 4, length);
    return found;
}

// "--name value" from the command line; a flag given twice counts the last time.
inline std::string option(int count, char** arguments, std::string_view name, std::string fallback)
{
    for (int i = 1; i + 1 < count; i += 2)
        if (arguments[i] == name)
            fallback = arguments[i + 1];
    return fallback;
}

inline std::int64_t option_number(int count, char** arguments, std::string_view name, std::int64_t fallback)
{
    auto value = number<std::int64_t>(option(count, arguments, name, std::to_string(fallback)));
    if (!value)
        throw std::runtime_error(std::string(name) + " must be a number");
    return *value;
}

}
