#pragma once
#include "adapters/asio/loop.hpp"
#include "adapters/http/byte_budget.hpp"
#include "sluice/http.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

// HTTP/1.1 server (RFC 9112), Beast behind it. Refuses what makes request smuggling possible, bounds connections, headers, bodies
// and time. Loop thread only.
namespace sluice::http {

// One request and the chance to answer it once. Whoever holds the pointer keeps the request's views alive. Dropping it
// without a reply closes the connection.
class exchange {
public:
    virtual ~exchange() = default;
    virtual const http_request& request() const noexcept = 0;
    // The body, moved out; request().body is empty afterwards.
    virtual std::string take_body() = 0;
    // Adds Content-Length, Date and Connection itself. Never more than once.
    virtual void reply(http_response response) = 0;
    // True once the client has gone: the reply will reach nobody.
    virtual bool abandoned() const noexcept = 0;
    // Runs once, on the loop, when the client goes before it is answered; it may reply. A client that closes only its sending side counts as
    // gone, too: the two cannot be told apart until something is written to it.
    virtual void on_abandoned(std::function<void()> gone) = 0;
};
using exchange_ptr = std::shared_ptr<exchange>;

class service {
public:
    virtual ~service() = default;
    // Called with the header read and the body not: the most bytes this body may have. Above it the server answers 413, and names the
    // bound and its configuration key, both given here.
    struct body_bound {
        std::uint64_t bytes;
        const char* key;
    };
    virtual body_bound bound_of(const http_request& head) = 0;
    // Called with the header read, and only where the body must be waited for: an answer that does not depend on it. The connection closes
    // after that answer, because the body is not read.
    virtual std::optional<http_response> early_answer(const http_request&) { return std::nullopt; }
    virtual void handle(exchange_ptr call) = 0;
};

struct server_options {
    std::string host = "127.0.0.1";
    std::uint16_t port = 0;                  // 0: any free one, see server::port()
    int inherited_fd = -1;                   // a listening socket made by somebody else, instead of host and port
    std::size_t connections_max = 10'000;    // above it a new connection is accepted, answered 503 and closed
    std::size_t header_bytes_max = 8 * 1024; // 431 above
    // Request bodies that are being read or are with the service, all together; above it 503 for the next one. Small ones are not counted.
    std::uint64_t body_bytes_budget = 256ull * 1024 * 1024;
    // Counts what of the answers a client has not taken yet; null: nothing is counted. Shared with who reads answers for this server, so
    // that clients that read slowly leave less for that.
    std::shared_ptr<byte_budget> answers = {};
    std::chrono::milliseconds header_deadline{10'000};    // for the whole header, from its first byte
    std::chrono::milliseconds body_deadline{60'000};      // for the whole body
    std::chrono::milliseconds body_pace_deadline{10'000}; // for each further 16 KiB, once so much of a body has come
    std::chrono::milliseconds write_deadline{60'000};     // for the whole response
    std::chrono::milliseconds idle_deadline{60'000};      // between requests
};

class server {
public:
    // Binds and listens at once; throws std::system_error naming the address when that fails.
    server(loop& on, server_options options, service& handler);
    ~server();

    std::uint16_t port() const noexcept;
    std::size_t connections() const noexcept;
    // Stops accepting, closes idle connections; those with a request under way close after their reply (Connection: close).
    void stop_accepting();
    // Closes everything at once; the loop runs dry.
    void close();

private:
    struct state;
    std::shared_ptr<state> state_;
};

}
