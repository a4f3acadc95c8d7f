#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sluice::test {

// An HTTPS server on loopback, in a thread of its own: answers one request a connection with what it read, and keeps it.
class tls_server {
public:
    // PEM files. Throws std::runtime_error.
    tls_server(const std::string& certificate_file, const std::string& key_file);
    ~tls_server();
    tls_server(const tls_server&) = delete;
    tls_server& operator=(const tls_server&) = delete;

    std::uint16_t port() const;
    // Head and body of each request, in order. Any thread.
    std::vector<std::string> requests() const;

private:
    struct state;
    std::unique_ptr<state> state_;
};

}
