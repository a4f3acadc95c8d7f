#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <sys/socket.h>

namespace sluice::process {

struct socket_address {
    sockaddr_storage storage{};
    socklen_t length = 0;

    const sockaddr* raw() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

// Of a numeric address, IPv4 or IPv6 without brackets and zone; nothing for any other text. Asks nobody.
std::optional<socket_address> socket_address_of(const std::string& host, std::uint16_t port);

}
