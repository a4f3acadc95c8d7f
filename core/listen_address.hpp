#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::core {

// Where a role listens. `host` is numeric, IPv6 without brackets; port 0 means any free one.
struct listen_address {
    std::string host;
    std::uint16_t port = 0;

    // "host:port", IPv6 in brackets.
    std::string text() const;
};

inline constexpr std::string_view listen_address_form = "HOST:PORT with a numeric address or localhost as HOST: 127.0.0.1:8080";

// Reads "HOST:PORT", "[HOST]:PORT", and localhost as 127.0.0.1. `key` is the configuration key that it comes from; throws config::error
// naming it.
listen_address parse_listen_address(std::string_view key, std::string_view text);

}
