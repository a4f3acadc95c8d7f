#pragma once
#include "sluice/function.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace sluice::core {

// What a provider hands to a replica's watchdog through an inherited descriptor: neither the token nor the function's environment is in
// the watchdog's own arguments or environment. Pure.
struct replica_setup {
    std::string token;      // calls must carry it; empty: none asked
    string_map environment; // the function's whole environment
};

inline constexpr std::size_t replica_setup_bytes_max = 1024 * 1024; // a pipe of an unprivileged process holds that much

std::string encode(const replica_setup& setup); // JSON
std::optional<replica_setup> decode_replica_setup(std::string_view json);

}
