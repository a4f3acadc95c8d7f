#pragma once
#include "adapters/asio/loop.hpp"
#include "sluice/outcome.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

// HTTP client for what leaves the house: callbacks to host names and https, libcurl's multi interface on our loop behind it. HTTP/1.1
// and HTTP/2, TLS always verified, no redirects, no proxy from the environment, no cookies, names resolved off the loop. Loop thread
// only; at most one client a process is needed.
namespace sluice::curl {

struct client_request {
    std::string url; // http or https
    std::string method = "POST";
    std::string head;                        // field lines "name: value\r\n", without Host, Content-Length, Connection
    std::shared_ptr<const std::string> body; // may be null
    std::size_t body_offset = 0;
    std::chrono::milliseconds deadline{30'000};        // from the call to the whole answer: timed_out
    std::chrono::milliseconds connect_deadline{5'000}; // name, TCP and TLS together: refused
    std::uint64_t answer_bytes_max = 64 * 1024;        // the rest is read, counted and dropped: truncated
    bool only_status = false; // the answer counts from its head on: what is above answer_bytes_max or late is not waited for
    // Asked for each address that is about to be connected to, and again for the address of a connection used again. False: refused,
    // and no byte is sent. Empty: everything is allowed.
    std::function<bool(std::string_view numeric_address)> allows;
    // Asked just before the request is sent, also when it is sent again. False: overloaded. Empty: yes.
    std::function<bool()> may_send = {};
};

struct client_options {
    std::size_t connections_max = 256; // in all; calls above it wait within their deadline
    std::size_t idle_connections_max = 64;
    std::chrono::milliseconds idle_deadline{30'000};
    std::size_t header_bytes_max = 64 * 1024; // of an answer
    std::string ca_file = {};                 // PEM; empty: the system's
};

class client {
public:
    client(loop& on, client_options options); // throws std::runtime_error when libcurl cannot start
    ~client();

    using call_id = std::uint64_t;
    // done runs exactly once, on the loop and never inside call(), unless the client is destroyed before.
    call_id call(client_request request, std::function<void(outcome)> done);
    void cancel(call_id call); // done then says unreachable, reason "cancelled"
    std::size_t in_flight() const noexcept;
    // Cancels what runs and closes idle connections; the loop runs dry.
    void close();

private:
    struct state;
    std::shared_ptr<state> state_;
};

}
