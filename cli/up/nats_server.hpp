#pragma once
#include <cstdint>
#include <string>

// The nats-server that `sluice up` runs: where it is, and its configuration file.
namespace sluice::up {

struct nats_server_options {
    std::uint16_t port = 0; // on loopback
    std::string user;
    std::string password;
    std::string store_folder;
    std::string ports_folder; // it writes nats-server_<pid>.ports there once it accepts clients
    std::uint64_t payload_bytes_max = 8 * 1024 * 1024;
    std::uint64_t store_bytes_max = 0;
};

// `given` if not empty, else the one on PATH. Throws config::error naming the field `nats_server` when there is none.
std::string find_nats_server(const std::string& given, const std::string& path_variable);

// Asks it for its version, which takes a moment: throws config::error when it cannot be executed, is no nats-server, or is older than 2.9.
void require_usable(const std::string& nats_server);

// The configuration file's text. Loopback only, one account with a password, JetStream on disk, no monitoring port.
std::string nats_server_config(const nats_server_options& options);

// A TCP port of 127.0.0.1 that was free a moment ago. Throws std::system_error.
std::uint16_t free_port();

}
