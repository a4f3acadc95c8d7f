#include "adapters/nats/socket_watch.hpp"

#include <boost/asio/post.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace sluice::nats {

namespace asio = boost::asio;

socket_watch::~socket_watch()
{
    if (duplicate_ >= 0)
        ::close(duplicate_);
}

natsStatus socket_watch::install(natsOptions* into, hold* held)
{
    return natsOptions_SetEventLoop(into, held, attach, read, write, detach);
}

natsStatus socket_watch::attach(void** self, void* loop, natsConnection*, natsSock socket)
{
    *self = loop;
    auto& watch = **static_cast<hold*>(loop);
    watch.duplicate_ = ::fcntl(socket, F_DUPFD_CLOEXEC, 0);
    return watch.duplicate_ >= 0 ? NATS_OK : NATS_SYS_ERROR;
}

// Reading is wanted from the start to the end.
natsStatus socket_watch::read(void*, bool) { return NATS_OK; }

natsStatus socket_watch::write(void* self, bool wanted)
{
    const auto& watch = *static_cast<hold*>(self);
    if (wanted && !watch->write_posted_.exchange(true))
        asio::post(watch->io_, [watch] {
            watch->write_posted_ = false;
            watch->write_now();
        });
    return NATS_OK;
}

natsStatus socket_watch::detach(void* self)
{
    const std::unique_ptr<hold> given_back(static_cast<hold*>(self));
    asio::post((*given_back)->io_, [watch = *given_back] { watch->closed(); });
    return NATS_OK;
}

void socket_watch::adopt(natsConnection* connection, std::function<void()> on_readable, std::function<void()> on_closed)
{
    socket_.assign(std::exchange(duplicate_, -1));
    connection_ = connection;
    on_readable_ = std::move(on_readable);
    on_closed_ = std::move(on_closed);
    if (closed_) { // before we came to know it
        asio::post(io_, [self = shared_from_this()] { self->closed(); });
        return;
    }
    wait_readable();
    write_now();
}

void socket_watch::wait_readable()
{
    socket_.async_wait(asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](const auto& error) {
        if (error || !self->connection_)
            return;
        natsConnection_ProcessReadEvent(self->connection_);
        self->on_readable_();
        if (self->connection_)
            self->wait_readable();
    });
}

void socket_watch::wait_writable()
{
    waiting_writable_ = true;
    socket_.async_wait(asio::posix::stream_descriptor::wait_write, [self = shared_from_this()](const auto& error) {
        self->waiting_writable_ = false;
        if (!error)
            self->write_now();
    });
}

void socket_watch::write_now()
{
    if (!connection_ || waiting_writable_)
        return;
    int before = natsConnection_Buffered(connection_);
    while (before > 0) { // with nothing to send the library would take the 0 for a closed socket
        natsConnection_ProcessWriteEvent(connection_);
        const int after = natsConnection_Buffered(connection_);
        if (after == before)
            return wait_writable();
        before = after;
    }
}

void socket_watch::closed()
{
    closed_ = true;
    if (!connection_)
        return;
    const auto tell = std::exchange(on_closed_, nullptr);
    abandon();
    if (tell)
        tell();
}

void socket_watch::abandon()
{
    connection_ = nullptr;
    on_closed_ = nullptr;
    if (socket_.is_open()) {
        ::shutdown(socket_.native_handle(), SHUT_RDWR);
        boost::system::error_code ignored;
        socket_.close(ignored);
    }
    // on_readable_ may be running: it goes with us.
}

}
