#include "adapters/http/client_connection.hpp"

#include "adapters/http/head_and_body.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <sys/socket.h>

namespace sluice::http {

namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

constexpr std::size_t joined_body_bytes_max = 8 * 1024; // smaller bodies are copied behind their head: one buffer, one write
constexpr std::uint16_t default_port = 80;
constexpr std::size_t kept_out_bytes_max = 16 * 1024;

bool is_idempotent(std::string_view method) // RFC 9110 § 9.2.2
{
    for (std::string_view safe : {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})
        if (method == safe)
            return true;
    return false;
}

// A request without a body says so where its method would have one (RFC 9110 § 8.6).
bool expects_body(std::string_view method) { return method == "POST" || method == "PUT" || method == "PATCH"; }

bool is_our_shortage(const error_code& error)
{
    return error == asio::error::no_descriptors || error == asio::error::no_memory || error == asio::error::no_buffer_space
        || error.value() == ENFILE || error.value() == EADDRNOTAVAIL;
}

std::string in_milliseconds(std::chrono::milliseconds time) { return std::to_string(time.count()) + " ms"; }

}

std::string host_field_of(const std::string& host, std::uint16_t port)
{
    auto value = host.find(':') == std::string::npos ? host : '[' + host + ']';
    return port == default_port ? value : value + ':' + std::to_string(port);
}

client_connection::client_connection(std::shared_ptr<client_core> of, client_core::bucket& in)
    : bucket_(&in),
      deadline_(client_core::steady::time_point::max()),
      core_(std::move(of)),
      socket_(core_->context_),
      reader_(core_->options_.header_bytes_max)
{}

void client_connection::connect(running_call call)
{
    call_.emplace(std::move(call));
    core_->assign_slot(call_->id, this);
    const auto& request = call_->request;
    deadline_ = call_->started + request.deadline;
    // A call that was sent before has used up a part of its time; connecting has its own from now.
    const auto since = call_->sent_before ? client_core::steady::now() : call_->started;
    deadline_ = std::min(deadline_, since + request.connect_deadline);
    core_->sweep_by(deadline_);
    error_code error;
    const tcp::endpoint to(asio::ip::make_address(request.host, error), request.port);
    if (!error)
        socket_.open(to.protocol(), error);
    if (!error)
        socket_.non_blocking(true, error);
    if (!error)
        socket_.set_option(tcp::no_delay(true), error);
    if (error) {
        const auto kind = is_our_shortage(error) ? outcome_kind::overloaded : outcome_kind::refused;
        auto reason = "connect to " + request.host + ": " + error.message();
        return asio::post(socket_.get_executor(), [self = shared_from_this(), kind, reason = std::move(reason)]() mutable {
            if (self->call_)
                self->fail(kind, std::move(reason));
        });
    }
    socket_.async_connect(to, [self = shared_from_this()](error_code failed) {
        if (self->phase_ != phase::connecting)
            return;
        if (!failed)
            return self->on_connected();
        self->fail(is_our_shortage(failed) ? outcome_kind::overloaded : outcome_kind::refused, "connect: " + failed.message());
    });
}

void client_connection::on_connected() { send(std::move(*call_)); }

bool client_connection::alive()
{
    char byte;
    return ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

void client_connection::send(running_call call)
{
    used_before_ = phase_ == phase::idle;
    call_.emplace(std::move(call));
    core_->assign_slot(call_->id, this);
    const auto& request = call_->request;
    deadline_ = call_->started + request.deadline;
    core_->sweep_by(deadline_);
    reader_.reset(request.method == "HEAD", request.answer_bytes_max);
    held_.clear();
    build_head();
    written_ = 0;
    write_broken_ = false;
    phase_ = phase::sending;
    write();
}

void client_connection::build_head()
{
    const auto& request = call_->request;
    body_ = {};
    if (request.body)
        body_ = std::string_view(*request.body).substr(std::min(request.body_offset, request.body->size()));
    out_.clear();
    out_.append(request.method).append(" ").append(request.target).append(" HTTP/1.1\r\nHost: ");
    out_.append(request.host_field.empty() ? host_field_of(request.host, request.port) : request.host_field);
    out_.append("\r\n").append(request.head);
    if (!body_.empty() || expects_body(request.method))
        out_.append("Content-Length: ").append(std::to_string(body_.size())).append("\r\n");
    out_.append("\r\n");
    if (body_.size() <= joined_body_bytes_max) {
        out_.append(body_);
        body_ = {};
    }
}

void client_connection::write()
{
    const auto& may_send = call_->request.may_send;
    if (written_ == 0 && may_send && !may_send())
        return fail_later(outcome_kind::overloaded, "it may not be sent any more");
    error_code error;
    if (write_rest(socket_, out_, body_, written_, error)) {
        phase_ = phase::waiting;
        return arm_read();
    }
    if (error != asio::error::would_block)
        return write_failed(error.message());
    socket_.async_wait(tcp::socket::wait_write, [self = shared_from_this(), id = call_->id](error_code) {
        if (self->phase_ == phase::sending && self->call_ && self->call_->id == id)
            self->write();
    });
    arm_read(); // an answer may come before all is sent
}

// The peer has closed or reset. It may have answered before, so what came is read to its end before judging.
void client_connection::write_failed(const std::string& why)
{
    if (written_ == 0 && used_before_ && !call_->sent_before)
        return send_again();
    if (written_ == 0)
        return fail_later(outcome_kind::refused, "send: " + why);
    write_broken_ = true;
    phase_ = phase::waiting;
    arm_read();
}

// Not inside call(): the caller must not hear of it before it has the id.
void client_connection::fail_later(outcome_kind kind, std::string reason)
{
    asio::post(socket_.get_executor(), [self = shared_from_this(), kind, id = call_->id, reason = std::move(reason)] {
        if (self->call_ && self->call_->id == id)
            self->fail(kind, reason);
    });
}

void client_connection::arm_read()
{
    if (reading_ || phase_ == phase::closed)
        return;
    reading_ = true;
    socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](error_code error) {
        self->reading_ = false;
        if (self->phase_ == phase::closed)
            return;
        if (error && self->call_)
            return self->on_end(error.message());
        self->on_readable();
    });
}

void client_connection::on_readable()
{
    const auto keep = core_;
    error_code error;
    const auto count = socket_.read_some(asio::buffer(keep->scratch_), error);
    if (error == asio::error::would_block)
        return arm_read();
    if (phase_ == phase::idle)
        return close(); // its end, or bytes that answer nothing
    if (error)
        return on_end(error == asio::error::eof ? std::string() : error.message());
    const std::string_view bytes(keep->scratch_.data(), count);
    if (held_.empty())
        return input(bytes);
    held_.append(bytes);
    input(std::exchange(held_, {}));
}

void client_connection::input(std::string_view bytes)
{
    const auto used = reader_.feed(bytes);
    if (!share_.grow_to(core_->options_.answers, reader_.body_memory()))
        return fail(outcome_kind::unreachable, "too many bytes of answers are held, no room for this one");
    switch (reader_.at()) {
    case response_reader::state::head:
    case response_reader::state::body:
        if (call_->request.only_status && reader_.body_bytes() > call_->request.answer_bytes_max)
            return answered_so_far();
        held_.assign(bytes.substr(used));
        return arm_read();
    case response_reader::state::complete:
        // Bytes behind the answer, or a request half sent: where the next answer would begin is not known.
        return answered(used == bytes.size() && phase_ == phase::waiting && !write_broken_ && reader_.keep_alive());
    case response_reader::state::failed: return fail(outcome_kind::unreachable, reader_.why());
    }
}

void client_connection::on_end(const std::string& why)
{
    const bool unanswered = !reader_.begun();
    if (unanswered && used_before_ && !call_->sent_before && (written_ == 0 || is_idempotent(call_->request.method)))
        return send_again();
    if (reader_.at() == response_reader::state::body && call_->request.only_status)
        return answered_so_far();
    if (why.empty())
        reader_.feed_end();
    if (reader_.at() == response_reader::state::complete)
        return answered(false);
    fail(outcome_kind::unreachable, why.empty() ? reader_.why() : "receive: " + why);
}

void client_connection::send_again()
{
    auto call = std::move(*call_);
    call_.reset();
    call.sent_before = true;
    const auto core = core_;
    close();
    core->send(std::move(call), true);
}

void client_connection::answered(bool reusable)
{
    outcome result;
    result.kind = outcome_kind::delivered;
    result.reply = reader_.take_answer();
    settle(std::move(result), reusable);
}

void client_connection::answered_so_far()
{
    reader_.cut();
    answered(false);
}

void client_connection::fail(outcome_kind kind, std::string reason)
{
    outcome result;
    result.kind = kind;
    result.reason = std::move(reason);
    settle(std::move(result), false);
}

void client_connection::settle(outcome result, bool reusable)
{
    const auto keep = shared_from_this();
    const auto now = client_core::steady::now();
    result.took = std::chrono::duration_cast<std::chrono::microseconds>(now - call_->started);
    const auto done = std::move(call_->done);
    core_->free_slot(call_->id);
    call_.reset();
    body_ = {};
    share_.reset();
    // Idle before done runs: a call made in there finds this connection.
    if (reusable && !core_->closed_ && bucket_->idle.size() < core_->options_.idle_per_address_max) {
        phase_ = phase::idle;
        if (out_.capacity() > kept_out_bytes_max)
            release_memory(out_);
        release_memory(held_);
        deadline_ = now + core_->options_.idle_deadline;
        core_->sweep_by(deadline_);
        bucket_->idle.push_back(keep);
        arm_read();
    } else {
        close();
    }
    done(std::move(result));
}

void client_connection::cancel() { drop_call(true); }

void client_connection::drop_call(bool tell)
{
    const auto keep = shared_from_this();
    if (call_) {
        auto call = std::move(*call_);
        call_.reset();
        if (tell)
            core_->settle_later(std::move(call), outcome_kind::unreachable, "cancelled");
        else
            core_->free_slot(call.id);
    }
    close();
}

void client_connection::expire(client_core::steady::time_point now)
{
    if (now < deadline_)
        return;
    if (!call_)
        return close();
    const auto& request = call_->request;
    if (request.only_status && reader_.at() == response_reader::state::body)
        return answered_so_far();
    if (now >= call_->started + request.deadline)
        return fail(outcome_kind::timed_out, "no answer within " + in_milliseconds(request.deadline));
    fail(outcome_kind::refused, "no connection within " + in_milliseconds(request.connect_deadline));
}

void client_connection::close()
{
    if (phase_ == phase::closed)
        return;
    const auto keep = shared_from_this();
    phase_ = phase::closed;
    error_code ignored;
    socket_.close(ignored);
    share_.reset();
    core_->remove(*this);
    core_ = nullptr;
}

}
