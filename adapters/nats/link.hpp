#pragma once
#include "adapters/nats/connection.hpp"
#include "adapters/nats/handles.hpp"
#include "adapters/nats/server_greeting.hpp"
#include "adapters/nats/socket_watch.hpp"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

// One connection to one server, from its handshake to its end, and the thread that makes the next one. Internal to adapters/nats.
//
// nats.c's own reconnecting is off: it would buffer what is sent meanwhile and send it later, tell us on a thread of its own, and give up
// for good on some errors. A lost link is dropped and another one made, for ever.
namespace sluice::nats {

class link {
public:
    // Blocks for the handshake; any thread. Throws std::runtime_error saying why. `more_servers` are tried too. The deadline is for each
    // server, for its connection and for its handshake, which may take half as long again.
    link(boost::asio::io_context& io, const connection_options& options, const std::vector<std::string>& more_servers,
         std::chrono::milliseconds deadline);
    ~link(); // loop thread; sends what is buffered as far as the socket takes it, never blocks
    link(const link&) = delete;
    link& operator=(const link&) = delete;

    natsConnection* handle() const noexcept { return connection_.get(); }
    socket_watch& watch() noexcept { return *watch_; }
    const server_greeting& greeting() const noexcept { return greeting_; }
    // Wrong credentials, a certificate that is not trusted, no TLS where it is wanted: trying again is pointless.
    struct refused;

private:
    std::shared_ptr<socket_watch> watch_;
    connection_handle connection_;
    server_greeting greeting_;
};

struct link::refused : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Tries until it has a link: the first while its caller waits, all others on a thread, handed over on the loop. While the thread tries
// the loop does not run dry.
class connector : public std::enable_shared_from_this<connector> {
public:
    connector(boost::asio::io_context& io, connection_options options, std::function<void(std::unique_ptr<link>)> on_link)
        : io_(io), options_(std::move(options)), on_link_(std::move(on_link))
    {}
    ~connector(); // waits for an attempt under way

    // Throws link::refused at once, or what the last attempt threw when the time is up or it was stopped.
    std::unique_ptr<link> first(std::chrono::milliseconds within);
    void start(std::vector<std::string> more_servers);
    void stop() noexcept; // no callback any more; does not wait

private:
    std::unique_ptr<link> try_until_stopped(const std::vector<std::string>& more_servers);

    boost::asio::io_context& io_;
    connection_options options_;
    std::function<void(std::unique_ptr<link>)> on_link_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool stopped_ = false;
    std::thread thread_;
};

}
