#pragma once
#include "adapters/process/owned_fd.hpp"

#include <cstdint>

namespace sluice::watchdog {

// A loopback port for a function to listen on, ours for as long as this lives. The function binds it itself, so it cannot be held by
// binding it; instead all watchdogs of a machine agree by a name in the abstract socket namespace, which the kernel frees with the process.
// The ports lie below Linux's range for outgoing connections (32768 and up), so none of those takes one meanwhile.
class port_claim {
public:
    port_claim(); // throws std::runtime_error when none is free
    std::uint16_t port() const noexcept { return port_; }

private:
    process::owned_fd name_;
    std::uint16_t port_ = 0;
};

}
