#include "adapters/http/connection.hpp"

#include "adapters/http/head_and_body.hpp"
#include "adapters/http/response_head.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <cassert>
#include <poll.h>

namespace sluice::http {

namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr std::size_t ahead_bytes_max = 16 * 1024;       // read while a request is answered
constexpr std::size_t joined_body_bytes_max = 16 * 1024; // smaller bodies are copied behind their head: one buffer, one write
constexpr std::size_t kept_out_bytes_max = 16 * 1024;
// After an answer that closes, what the client still sends is read and dropped for a while: closing on unread data resets the
// connection, and the client might never see the answer (RFC 9112 § 9.6).
constexpr std::chrono::milliseconds linger_deadline{2'000};
constexpr std::size_t linger_bytes_max = 4 * 1024 * 1024;

}

// What the service holds: the request's storage, and the one chance to answer.
struct connection::call final : exchange {
    explicit call(std::size_t header_bytes_max) : reader(header_bytes_max) {}

    const http_request& request() const noexcept override { return reader.request(); }
    std::string take_body() override { return reader.take_body(); }

    void reply(http_response response) override
    {
        assert(!replied && "an exchange is answered once");
        if (std::exchange(replied, true))
            return;
        gone = nullptr;
        std::string body = std::move(response.body);
        response.body.clear();
        if (on)
            on->reply(response, std::move(body));
    }

    void on_abandoned(std::function<void()> then) override { gone = std::move(then); }
    bool abandoned() const noexcept override { return !on || on->peer_gone_ || on->phase_ == phase::closed; }

    request_reader reader;
    std::function<void()> gone;
    byte_share share;               // of the server's budget, for the body
    bool awaited = false;           // the body did not come with the head
    std::shared_ptr<connection> on; // only while a service holds the exchange
    bool replied = false;
};

connection::connection(std::shared_ptr<server_core> of, socket_type socket, const tcp::endpoint& peer)
    : server_(std::move(of)), socket_(std::move(socket))
{
    const auto address = peer.address().to_string();
    peer_ = (peer.address().is_v6() ? "[" + address + "]" : address) + ":" + std::to_string(peer.port());
}

void connection::start()
{
    deadline_ = server_->after(server_->options_.idle_deadline);
    arm_read();
}

void connection::arm_read()
{
    if (reading_ || phase_ == phase::closed)
        return;
    reading_ = true;
    socket_.async_wait(socket_type::wait_read, [self = shared_from_this()](error_code error) {
        self->reading_ = false;
        if (self->phase_ == phase::closed)
            return;
        if (error)
            return self->close();
        self->on_readable();
    });
}

void connection::on_readable()
{
    const auto keep = server_; // a service may close the server from within
    error_code error;
    const auto count = socket_.read_some(asio::buffer(keep->scratch_), error);
    if (error == asio::error::would_block)
        return arm_read();
    if (error)
        return on_gone(error == asio::error::eof);
    const std::string_view bytes(keep->scratch_.data(), count);
    switch (phase_) {
    case phase::idle:
    case phase::head:
        if (held_.empty())
            return input(bytes);
        held_.append(bytes); // behind what proceed() is about to take
        return;
    case phase::body:
        if (held_.empty())
            return input(bytes);
        held_.append(bytes);
        return input(std::exchange(held_, {}));
    case phase::handling:
    case phase::writing: // handled after the answer; until then only its end is of interest, so that little is read
        held_.append(bytes);
        if (held_.size() < ahead_bytes_max)
            arm_read();
        return;
    case phase::lingering: return discard(count);
    case phase::closed: return;
    }
}

void connection::on_gone(bool in_order)
{
    const bool answering = phase_ == phase::handling || phase_ == phase::writing;
    const bool asked = phase_ == phase::handling && call_->gone;
    // Requests that it sent before it closed its sending side are answered; the end is read again behind them.
    if (in_order && !asked && !held_.empty() && (answering || phase_ == phase::idle))
        return;
    peer_gone_ = true;
    // The service decides where it asked to hear of this; else a client that may only have closed its sending side still gets its answer.
    if (asked)
        return std::exchange(call_->gone, nullptr)();
    if (!answering)
        close();
}

// Handles what is complete, keeps the rest. The service may answer, drop the call or close the server inside.
void connection::input(std::string_view bytes)
{
    in_input_ = true;
    while (!bytes.empty() && (phase_ == phase::idle || phase_ == phase::head || phase_ == phase::body)) {
        const auto used = step(bytes);
        bytes.remove_prefix(used);
        if (phase_ == phase::body && used == 0)
            break;
    }
    in_input_ = false;
    switch (phase_) {
    case phase::closed: return;
    case phase::lingering: break;
    case phase::idle:
    case phase::head:
    case phase::body:
    case phase::handling:
    case phase::writing: held_.assign(bytes); break;
    }
    if (phase_ == phase::body)
        await_body();
    if (phase_ == phase::body || held_.size() < ahead_bytes_max)
        arm_read();
}

std::size_t connection::step(std::string_view bytes)
{
    if (phase_ == phase::idle)
        begin();
    auto& reader = call_->reader;
    const auto used = reader.feed(bytes);
    if (reader.at() == request_reader::state::head_done)
        accept_head();
    if (phase_ == phase::closed)
        return used;
    if ((reader.at() == request_reader::state::body || reader.at() == request_reader::state::complete) && !charge()) {
        refuse(503, "too many bytes of bodies are held: body_bytes_budget is " + std::to_string(server_->options_.body_bytes_budget));
        return used;
    }
    switch (reader.at()) {
    case request_reader::state::head:
    case request_reader::state::head_done: break;
    case request_reader::state::body: keep_pace(); break;
    case request_reader::state::complete: dispatch(); break;
    case request_reader::state::failed: refuse(reader.why().status, reader.why().reason); break;
    }
    return used;
}

void connection::begin()
{
    if (!call_ || call_.use_count() != 1)
        call_ = std::make_shared<call>(server_->options_.header_bytes_max);
    else
        call_->reader.reset();
    call_->replied = call_->awaited = false;
    phase_ = phase::head;
    deadline_ = server_->after(server_->options_.header_deadline);
}

// What is announced must find room before it is asked for; what counts is what has come.
bool connection::charge()
{
    const auto& reader = call_->reader;
    auto& share = call_->share;
    if (reader.body_bytes() == 0 && !share.finds_room(server_->bodies_, reader.body_declared()))
        return false;
    return share.grow_to(server_->bodies_, reader.body_memory());
}

// What takes from the budget has to go on coming: a body of which nearly all is here could otherwise keep that until body_deadline.
void connection::keep_pace()
{
    const auto come = call_->reader.body_bytes();
    if (come < paced_bytes_ + uncounted_bytes_max)
        return;
    paced_bytes_ = come;
    deadline_ = std::min(body_until_, server_->after(server_->options_.body_pace_deadline));
}

void connection::accept_head()
{
    auto& reader = call_->reader;
    reader.request().peer = peer_;
    const auto bound = server_->handler_.bound_of(reader.request());
    if (phase_ == phase::closed)
        return;
    reader.accept_body(bound.bytes, bound.key);
    if (reader.at() != request_reader::state::body)
        return;
    phase_ = phase::body;
    paced_bytes_ = 0;
    body_until_ = deadline_ = server_->after(server_->options_.body_deadline);
}

// The body has not come with its head: it is asked for, unless the answer needs none.
void connection::await_body()
{
    if (std::exchange(call_->awaited, true))
        return;
    const auto keep = server_; // a service may close the server from within
    const auto& reader = call_->reader;
    if (auto answer = keep->handler_.early_answer(reader.request()))
        return phase_ == phase::closed ? void() : reply_and_close(*std::move(answer));
    if (phase_ == phase::closed || !reader.expects_continue() || !held_.empty() || reader.body_bytes() != 0)
        return;
    constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    error_code error;
    // Everything before was written whole, so that these few bytes find room; if not, the connection is broken.
    if (socket_.write_some(asio::buffer(go_on.data(), go_on.size()), error) != go_on.size())
        close();
}

void connection::dispatch()
{
    phase_ = phase::handling;
    deadline_ = steady::time_point::max(); // the service has its own
    call_->on = shared_from_this();
    // Whoever drops the last copy of this pointer releases the call; the deleter keeps its storage.
    exchange_ptr handed(call_.get(), [held = call_](exchange*) mutable {
        const auto from = std::exchange(held->on, nullptr);
        const bool replied = held->replied;
        held->gone = nullptr;
        held->reader.drop_body();
        held->share.reset();
        held.reset();
        from->released(replied);
    });
    server_->handler_.handle(std::move(handed));
}

void connection::released(bool replied)
{
    if (!replied && phase_ != phase::closed)
        close();
}

void connection::reply(const http_response& response, std::string body)
{
    if (phase_ == phase::closed)
        return;
    const auto& reader = call_->reader;
    const bool understood = reader.at() == request_reader::state::complete;
    close_after_ = close_after_ || peer_gone_ || !understood || !reader.keep_alive() || server_->stopping_;
    const bool to_head = reader.request().method == "HEAD";
    out_.clear();
    append_response_head(out_, response, body.size(),
                         {.to_head = to_head, .http11 = !understood || reader.http11(), .close = close_after_, .date = server_->date()});
    out_body_.clear();
    if (has_body(response.status, to_head)) {
        if (body.size() <= joined_body_bytes_max)
            out_.append(body);
        else
            out_body_ = std::move(body);
    }
    written_ = 0;
    phase_ = phase::writing;
    deadline_ = server_->after(server_->options_.write_deadline);
    write();
}

void connection::refuse(unsigned status, std::string reason)
{
    if (!call_)
        call_ = std::make_shared<call>(server_->options_.header_bytes_max);
    http_response response{status, {{"Content-Type", "text/plain; charset=utf-8"}}, reason + "\n"};
    if (status == 503)
        response.fields.push_back({"Retry-After", "1"});
    reply_and_close(std::move(response));
}

// What came of the body is of no use to anybody.
void connection::reply_and_close(http_response response)
{
    close_after_ = true;
    call_->reader.drop_body();
    call_->share.reset();
    auto body = std::exchange(response.body, {});
    reply(response, std::move(body));
}

void connection::write()
{
    error_code error;
    if (write_rest(socket_, out_, out_body_, written_, error))
        return on_written();
    if (error != asio::error::would_block)
        return close();
    out_share_.take(server_->options_.answers, out_.capacity() + out_body_.capacity());
    socket_.async_wait(socket_type::wait_write, [self = shared_from_this()](error_code failed) {
        if (self->phase_ != phase::writing)
            return;
        failed ? self->close() : self->write();
    });
}

void connection::on_written()
{
    if (out_.capacity() > kept_out_bytes_max)
        release_memory(out_);
    release_memory(out_body_);
    out_share_.reset();
    if (close_after_)
        return linger();
    phase_ = phase::idle;
    deadline_ = server_->after(server_->options_.idle_deadline);
    if (in_input_)
        return; // input() goes on by itself
    if (held_.empty())
        return arm_read();
    // The service may be on the stack: its next call must not begin inside this one.
    asio::post(socket_.get_executor(), [self = shared_from_this()] { self->proceed(); });
}

void connection::proceed()
{
    if (phase_ != phase::idle)
        return;
    const auto keep = server_;
    const auto bytes = std::exchange(held_, {});
    input(bytes);
}

void connection::linger()
{
    error_code ignored;
    if (peer_gone_)
        return close();
    phase_ = phase::lingering;
    deadline_ = server_->after(linger_deadline);
    release_memory(held_);
    socket_.shutdown(socket_type::shutdown_send, ignored);
    if (!in_input_)
        arm_read();
}

void connection::discard(std::size_t bytes)
{
    lingered_bytes_ += bytes;
    if (lingered_bytes_ > linger_bytes_max)
        return close();
    arm_read();
}

// Enough was read ahead, so that nobody waits for what comes: its end is asked for, once a tick.
void connection::look_for_end()
{
    pollfd at{socket_.native_handle(), POLLRDHUP, 0};
    if (::poll(&at, 1, 0) <= 0)
        return;
    const bool in_order = (at.revents & POLLERR) == 0;
    if (!in_order)
        held_.clear();
    on_gone(in_order);
}

void connection::expire(steady::time_point now)
{
    if (phase_ == phase::handling && !reading_ && !peer_gone_)
        look_for_end();
    if (now < deadline_)
        return;
    switch (phase_) {
    case phase::head: return refuse(408, "header: not complete within the deadline (header_deadline)");
    case phase::body:
        return refuse(408,
                      now < body_until_ ? "body: no further 16 KiB within the deadline (body_pace_deadline)"
                                        : "body: not complete within the deadline (body_deadline)");
    case phase::idle:
    case phase::writing:
    case phase::lingering:
    case phase::handling:
    case phase::closed: return close();
    }
}

void connection::stop()
{
    close_after_ = true;
    if (phase_ == phase::idle && held_.empty())
        close();
}

void connection::close()
{
    if (phase_ == phase::closed)
        return;
    const auto keep = shared_from_this();
    phase_ = phase::closed;
    error_code ignored;
    socket_.close(ignored);
    out_share_.reset();
    server_->remove(*this);
    server_ = nullptr;
}

}
