#include "watchdog/port_claim.hpp"

#include <arpa/inet.h>
#include <cstddef>
#include <cstdio>
#include <netinet/in.h>
#include <random>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/un.h>

namespace sluice::watchdog {

namespace {

constexpr int first_port = 20'000;
constexpr int last_port = 31'999;
constexpr int tries_max = 400;

process::owned_fd claim_name(std::uint16_t port)
{
    process::owned_fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    const int length = std::snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "sluice/function-port/%u", unsigned{port});
    const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<std::size_t>(length));
    if (socket && ::bind(socket.number(), reinterpret_cast<const sockaddr*>(&name), bytes) != 0)
        socket.reset();
    return socket;
}

bool nobody_listens(std::uint16_t port)
{
    const process::owned_fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_ANY);
    return socket && ::bind(socket.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

}

port_claim::port_claim()
{
    std::random_device seed;
    std::uniform_int_distribution<int> any(first_port, last_port);
    for (int i = 0; i < tries_max; ++i) {
        const auto port = static_cast<std::uint16_t>(any(seed));
        auto name = claim_name(port);
        if (!name || !nobody_listens(port))
            continue;
        name_ = std::move(name);
        port_ = port;
        return;
    }
    throw std::runtime_error("no free port for the function between 20000 and 31999");
}

}
