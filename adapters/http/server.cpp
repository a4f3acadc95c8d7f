#include "adapters/http/server.hpp"

#include "adapters/http/connection.hpp"

#include <algorithm>
#include <sys/socket.h>
#include <system_error>

namespace sluice::http {

namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr int backlog = 4096;
constexpr int accepts_per_wake_max = 64;        // so that a storm of connections does not starve those that are there
constexpr std::size_t refused_at_once_max = 64; // above connections_max: answered 503; above that too: closed without a word
constexpr std::chrono::milliseconds tick_max{250};
constexpr std::chrono::milliseconds tick_min{10};

std::chrono::milliseconds tick_of(const server_options& with)
{
    const auto shortest = std::min({with.header_deadline, with.body_deadline, with.write_deadline, with.idle_deadline});
    return std::clamp(shortest / 4, tick_min, tick_max);
}

[[noreturn]] void fail(const std::string& what, error_code error) { throw std::system_error(error.value(), std::system_category(), what); }

tcp family_of(int fd)
{
    sockaddr_storage name{};
    socklen_t size = sizeof name;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) != 0)
        throw std::system_error(errno, std::system_category(), "inherited_fd " + std::to_string(fd));
    return name.ss_family == AF_INET6 ? tcp::v6() : tcp::v4();
}

bool out_of_resources(error_code error)
{
    return error == asio::error::no_descriptors || error == asio::error::no_memory || error == asio::error::no_buffer_space
        || error.value() == ENFILE;
}

}

server_core::server_core(loop& on, server_options with, service& to)
    : context_(on.context()),
      options_(std::move(with)),
      handler_(to),
      bodies_(std::make_shared<byte_budget>(options_.body_bytes_budget)),
      acceptor_(context_),
      tick_timer_(context_),
      tick_length_(tick_of(options_))
{}

void server_core::open()
{
    error_code error;
    if (options_.inherited_fd >= 0) {
        acceptor_.assign(family_of(options_.inherited_fd), options_.inherited_fd, error);
        if (error)
            fail("inherited_fd " + std::to_string(options_.inherited_fd), error);
    } else {
        const auto where = options_.host + ":" + std::to_string(options_.port);
        const auto address = asio::ip::make_address(options_.host, error);
        if (error)
            fail("listen on " + where + ": not a numeric address", error);
        const tcp::endpoint endpoint(address, options_.port);
        acceptor_.open(endpoint.protocol(), error);
        if (!error)
            acceptor_.set_option(acceptor_type::reuse_address(true), error);
        if (!error)
            acceptor_.bind(endpoint, error);
        if (!error)
            acceptor_.listen(backlog, error);
        if (error)
            fail("listen on " + where, error);
    }
    acceptor_.non_blocking(true, error);
    if (error)
        fail("listening socket", error);
    arm_accept();
}

void server_core::arm_accept()
{
    if (accepting_ || stopping_ || closed_)
        return;
    accepting_ = true;
    acceptor_.async_wait(acceptor_type::wait_read, [self = shared_from_this()](error_code error) {
        self->accepting_ = false;
        if (!error && !self->stopping_ && !self->closed_)
            self->accept_some();
    });
}

void server_core::accept_some()
{
    for (int i = 0; i < accepts_per_wake_max; ++i) {
        socket_type socket(context_);
        tcp::endpoint peer;
        error_code error;
        acceptor_.accept(socket, peer, error);
        if (error == asio::error::would_block)
            break;
        if (out_of_resources(error)) {
            // The queue stays readable: waiting for it would spin. Whoever closes meanwhile makes room.
            accept_paused_ = true;
            return arm_tick();
        }
        if (!error)
            admit(std::move(socket), peer);
        if (closed_ || stopping_)
            return;
    }
    arm_accept();
}

void server_core::admit(socket_type socket, const tcp::endpoint& peer)
{
    const auto open = connections_.size();
    if (open >= options_.connections_max + refused_at_once_max)
        return; // closes
    error_code error;
    socket.non_blocking(true, error);
    if (!error)
        socket.set_option(tcp::no_delay(true), error);
    if (error)
        return; // the peer has gone already
    arm_tick();
    auto made = std::make_shared<connection>(shared_from_this(), std::move(socket), peer);
    add(made);
    if (open >= options_.connections_max)
        made->refuse(503, "too many connections (connections_max)");
    else
        made->start();
}

void server_core::add(std::shared_ptr<connection> made)
{
    made->index_ = connections_.size();
    connections_.push_back(std::move(made));
}

void server_core::remove(connection& gone)
{
    const auto index = gone.index_;
    std::swap(connections_[index], connections_.back());
    connections_[index]->index_ = index;
    connections_.pop_back();
    if (connections_.empty() && !accept_paused_ && ticking_)
        tick_timer_.cancel();
}

void server_core::arm_tick()
{
    if (ticking_ || closed_)
        return;
    ticking_ = true;
    now_ = steady::now();
    tick_timer_.expires_at(now_ + tick_length_);
    tick_timer_.async_wait([self = shared_from_this()](error_code) {
        self->ticking_ = false;
        if (!self->closed_)
            self->tick();
    });
}

void server_core::tick()
{
    now_ = steady::now();
    // Backwards: one that closes is replaced by the last, which was seen already.
    for (auto i = connections_.size(); i-- > 0;) {
        const auto seen = connections_[i];
        seen->expire(now_);
        i = std::min(i, connections_.size());
    }
    if (std::exchange(accept_paused_, false))
        arm_accept();
    if (!connections_.empty())
        arm_tick();
}

std::string_view server_core::date()
{
    const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    if (now != date_second_) {
        date_second_ = now;
        std::tm parts{};
        gmtime_r(&now, &parts);
        std::array<char, 32> text;
        // The C locale is never changed here, so that names are English as RFC 9110 § 5.6.7 wants.
        date_.assign(text.data(), std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts));
    }
    return date_;
}

void server_core::stop_accepting()
{
    if (stopping_)
        return;
    stopping_ = true;
    accept_paused_ = false;
    error_code ignored;
    acceptor_.close(ignored);
    for (auto i = connections_.size(); i-- > 0;) {
        const auto seen = connections_[i];
        seen->stop();
    }
    if (connections_.empty())
        tick_timer_.cancel();
}

void server_core::close()
{
    if (closed_)
        return;
    closed_ = true;
    stopping_ = true;
    error_code ignored;
    acceptor_.close(ignored);
    while (!connections_.empty())
        std::shared_ptr(connections_.back())->close();
    tick_timer_.cancel();
}

struct server::state final : server_core {
    using server_core::server_core;
};

server::server(loop& on, server_options options, service& handler) : state_(std::make_shared<state>(on, std::move(options), handler))
{
    state_->open();
}

server::~server() { state_->close(); }

std::uint16_t server::port() const noexcept
{
    error_code ignored;
    return state_->acceptor_.local_endpoint(ignored).port();
}

std::size_t server::connections() const noexcept { return state_->connections_.size(); }

void server::stop_accepting() { state_->stop_accepting(); }

void server::close() { state_->close(); }

}
