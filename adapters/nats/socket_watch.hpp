#pragma once
#include "adapters/nats/handles.hpp"

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>

// Drives one natsConnection from our loop: what nats.c asks for with natsOptions_SetEventLoop. Internal to adapters/nats.
//
// The library's callbacks come from whichever thread connects, pings or closes, so they only post. What is watched is a *duplicate* of the
// socket: the library closes its own descriptor at once, and that number may already be another connection's. All messages that one turn
// of the loop publishes go out in one write: the write is posted, not done at the first message.
namespace sluice::nats {

class socket_watch : public std::enable_shared_from_this<socket_watch> {
public:
    explicit socket_watch(boost::asio::io_context& io) : io_(io), socket_(io) {}
    ~socket_watch();

    // What the library holds on to; given back when it detaches, the last that it does with us.
    using hold = std::shared_ptr<socket_watch>;
    static natsStatus install(natsOptions* into, hold* held);

    // The rest: loop thread only. on_closed comes once, unless abandoned before.
    void adopt(natsConnection* connection, std::function<void()> on_readable, std::function<void()> on_closed);
    // Writes what is buffered, as far as the socket takes it without waiting.
    void write_now();
    // No callback any more; shuts the socket down.
    void abandon();

private:
    static natsStatus attach(void** self, void* loop, natsConnection* connection, natsSock socket);
    static natsStatus read(void* self, bool wanted);
    static natsStatus write(void* self, bool wanted);
    static natsStatus detach(void* self);

    void wait_readable();
    void wait_writable();
    void closed();

    boost::asio::io_context& io_;
    int duplicate_ = -1; // until adopted
    boost::asio::posix::stream_descriptor socket_;
    natsConnection* connection_ = nullptr;
    std::function<void()> on_readable_, on_closed_;
    std::atomic<bool> write_posted_{false};
    bool waiting_writable_ = false;
    bool closed_ = false;
};

}
