#pragma once
#include "adapters/asio/loop.hpp"
#include "adapters/http/byte_budget.hpp"
#include "sluice/outcome.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

// HTTP/1.1 client for replicas and plain-http callbacks: pooled keep-alive connections by address, Beast behind it. Never follows a
// redirect. Loop thread only.
namespace sluice::http {

struct client_request {
    std::string host; // numeric address to connect to
    std::uint16_t port = 0;
    std::string method = "POST";
    std::string target = "/";
    std::string host_field;                  // value of Host; empty: host_field_of()
    std::string head;                        // field lines "name: value\r\n", without Host, Content-Length, Transfer-Encoding, Connection
    std::shared_ptr<const std::string> body; // may be null
    std::size_t body_offset = 0;             // the body starts here within *body (a log payload is head + body)
    std::chrono::milliseconds deadline{60'000};        // from the call to the whole answer: timed_out
    std::chrono::milliseconds connect_deadline{5'000}; // refused
    std::uint64_t answer_bytes_max = 1024 * 1024;      // above: truncated, the rest is read and counted, within the deadline
    bool only_status = false;       // the answer counts from its head on: what is above answer_bytes_max or late is not waited for
    std::function<bool()> may_send; // asked just before the first byte is sent, also when it is sent again; no: overloaded. Null: yes
};

// What Host says of a plain-http origin: a default port stays out (RFC 9110 § 4.2.3, § 7.2).
std::string host_field_of(const std::string& host, std::uint16_t port);

struct client_options {
    std::size_t connections_per_address_max = 1024;
    std::size_t idle_per_address_max = 256;
    std::chrono::milliseconds idle_deadline{30'000};
    std::size_t header_bytes_max = 64 * 1024;
    // Counts the answers that are being read; an answer that finds no room is unreachable. Null: nothing is counted.
    std::shared_ptr<byte_budget> answers = {};
};

class client {
public:
    client(loop& on, client_options options);
    ~client();

    using call_id = std::uint64_t;
    // done runs exactly once, on the loop, unless the client is destroyed before. A pooled connection that the peer closed before it
    // sent one byte of an answer is replaced and the request sent again only when nothing of the request had been written, or the
    // method is idempotent (RFC 9110 § 9.2.2); else the outcome is unreachable.
    call_id call(client_request request, std::function<void(outcome)> done);
    // Closes the call's connection; done then says unreachable, reason "cancelled". Unknown ids are ignored.
    void cancel(call_id call);
    std::size_t in_flight() const noexcept;
    // Closes idle connections and cancels what runs; the loop runs dry.
    void close();

private:
    struct state;
    std::shared_ptr<state> state_;
};

}
