#include "adapters/http/client.hpp"

#include "adapters/http/client_connection.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <cassert>

namespace sluice::http {

namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using steady = client_core::steady;

constexpr std::chrono::milliseconds sweep_gap_min{5}; // deadlines that fall closer together are looked at together

bool has_space_or_control(std::string_view text)
{
    return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == 127; });
}

// What would break the request apart when written; null when nothing does. Gateways check what callers send, so this is a second look.
const char* bad_part(const client_request& request)
{
    if (request.method.empty() || has_space_or_control(request.method))
        return "method";
    if (request.target.empty() || has_space_or_control(request.target))
        return "target";
    if (has_space_or_control(request.host_field))
        return "Host";
    const std::string_view head = request.head;
    if (!head.empty()
        && (!head.ends_with("\r\n") || head.starts_with("\r\n") || head.find("\r\n\r\n") != head.npos || head.find('\0') != head.npos))
        return "fields";
    return nullptr;
}

}

client_core::client_core(loop& on, client_options with) : context_(on.context()), options_(std::move(with)), sweep_timer_(context_) {}

client::call_id client_core::start(client_request request, std::function<void(outcome)> done)
{
    running_call call{take_slot(), std::move(request), std::move(done), steady::now()};
    const auto id = call.id;
    if (closed_)
        settle_later(std::move(call), outcome_kind::overloaded, "the client is closed");
    else if (const char* part = bad_part(call.request))
        settle_later(std::move(call), outcome_kind::unreachable, std::string("not sent: bad ") + part);
    else
        send(std::move(call), false);
    return id;
}

void client_core::send(running_call call, bool fresh)
{
    while (!fresh) {
        auto& idle = bucket_of(call.request).idle;
        if (idle.empty())
            break;
        const auto found = std::move(idle.back());
        idle.pop_back();
        if (found->alive())
            return found->send(std::move(call));
        found->close(); // and its bucket, where it was the last
    }
    auto& in = bucket_of(call.request);
    if (in.open >= options_.connections_per_address_max)
        return settle_later(std::move(call), outcome_kind::overloaded, "connections_per_address_max reached");
    auto made = std::make_shared<client_connection>(shared_from_this(), in);
    add(made);
    made->connect(std::move(call));
}

client_core::bucket& client_core::bucket_of(const client_request& request)
{
    if (const auto found = buckets_.find(peer_view(request.host, request.port)); found != buckets_.end())
        return found->second;
    const peer_address address{request.host, request.port};
    return buckets_.emplace(address, bucket{address, 0, {}}).first->second;
}

void client_core::settle_later(running_call call, outcome_kind kind, std::string reason)
{
    assign_slot(call.id, nullptr);
    outcome result;
    result.kind = kind;
    result.reason = std::move(reason);
    result.took = std::chrono::duration_cast<std::chrono::microseconds>(steady::now() - call.started);
    asio::post(context_, [self = shared_from_this(), id = call.id, done = std::move(call.done), result = std::move(result)]() mutable {
        if (self->destroyed_)
            return;
        self->free_slot(id);
        done(std::move(result));
    });
}

client::call_id client_core::take_slot()
{
    ++in_flight_;
    std::uint32_t place;
    if (free_slots_.empty()) {
        place = static_cast<std::uint32_t>(slots_.size());
        slots_.emplace_back();
    } else {
        place = free_slots_.back();
        free_slots_.pop_back();
    }
    return std::uint64_t{slots_[place].generation} << 32 | place;
}

void client_core::assign_slot(client::call_id id, client_connection* on) { slots_[static_cast<std::uint32_t>(id)].on = on; }

void client_core::free_slot(client::call_id id)
{
    const auto place = static_cast<std::uint32_t>(id);
    assert(slots_[place].generation == id >> 32);
    ++slots_[place].generation;
    slots_[place].on = nullptr;
    free_slots_.push_back(place);
    --in_flight_;
}

void client_core::cancel(client::call_id id)
{
    const auto place = static_cast<std::uint32_t>(id);
    if (place < slots_.size() && slots_[place].generation == id >> 32 && slots_[place].on != nullptr)
        slots_[place].on->cancel();
}

void client_core::add(std::shared_ptr<client_connection> made)
{
    made->index_ = connections_.size();
    ++made->bucket_->open;
    connections_.push_back(std::move(made));
}

void client_core::remove(client_connection& gone)
{
    const auto index = gone.index_;
    std::swap(connections_[index], connections_.back());
    connections_[index]->index_ = index;
    connections_.pop_back();
    auto& in = *gone.bucket_;
    std::erase_if(in.idle, [&](const auto& idle) { return idle.get() == &gone; });
    if (--in.open == 0)
        buckets_.erase(buckets_.find(peer_view(in.of)));
    if (connections_.empty()) {
        sweep_timer_.cancel(); // nothing has a deadline any more: the loop may run dry
        sweep_at_ = steady::time_point::max();
    }
}

void client_core::sweep_by(steady::time_point deadline)
{
    if (deadline >= sweep_at_)
        return;
    sweep_at_ = deadline;
    sweep_timer_.expires_at(deadline); // cancels the wait that was
    sweep_timer_.async_wait([self = shared_from_this()](error_code error) {
        if (error)
            return;
        self->sweep_at_ = steady::time_point::max();
        if (!self->closed_)
            self->sweep();
    });
}

void client_core::sweep()
{
    const auto now = steady::now();
    auto next = steady::time_point::max();
    const auto all = connections_; // those that expire leave, and what their callers do then may change anything
    for (const auto& seen : all)
        seen->expire(now);
    for (const auto& seen : connections_)
        next = std::min(next, seen->deadline_);
    if (next != steady::time_point::max())
        sweep_by(std::max(next, now + sweep_gap_min));
}

void client_core::close(bool tell)
{
    closed_ = true;
    destroyed_ = destroyed_ || !tell;
    while (!connections_.empty())
        std::shared_ptr(connections_.back())->drop_call(tell);
    sweep_timer_.cancel();
}

struct client::state final : client_core {
    using client_core::client_core;
};

client::client(loop& on, client_options options) : state_(std::make_shared<state>(on, std::move(options))) {}

client::~client() { state_->close(false); }

client::call_id client::call(client_request request, std::function<void(outcome)> done)
{
    return state_->start(std::move(request), std::move(done));
}

void client::cancel(call_id call) { state_->cancel(call); }

std::size_t client::in_flight() const noexcept { return state_->in_flight_; }

void client::close() { state_->close(true); }

}
