#include "adapters/nats/session.hpp"

#include "adapters/nats/api.hpp"
#include "adapters/nats/request_inbox.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <cassert>
#include <utility>

namespace sluice::nats {

namespace {

constexpr std::size_t dead_messages_max = 512;
constexpr std::size_t dead_bytes_max = 1024 * 1024;
// More than this buffered for a server that does not read: nothing more is sent.
constexpr int send_bytes_max = 16 * 1024 * 1024;

}

session::session(loop& on, connection_options options)
    : io_(on.context()),
      options_(std::move(options)),
      connector_(std::make_shared<connector>(io_, options_,
                                             [this](std::unique_ptr<link> made) {
                                                 ++reconnects_;
                                                 adopt(std::move(made));
                                             })),
      api_(std::make_shared<request_inbox<std::string>>(*this, api::parse_text)),
      timer_(io_)
{
    endpoints_.push_back(api_);
}

session::~session() { close(); }

void session::open() { adopt(connector_->first(options_.connect_deadline)); }

void session::close()
{
    if (std::exchange(closed_, true))
        return;
    timer_.cancel();
    connector_->stop();
    for (const auto& each : endpoints_) {
        each->subscription_.reset();
        each->removed_ = true;
    }
    link_.reset();
    if (iterating_ == 0)
        forget_removed();
    changed_.clear();
    dead_.clear();
}

std::string session::server_version() const { return link_ ? link_->greeting().version : std::string(); }

void session::on_change(std::function<void(bool)> changed)
{
    changed_.push_back(changed);
    post([this, changed = std::move(changed)] { changed(up()); });
}

void session::post(std::function<void()> work)
{
    boost::asio::post(io_, [me = weak_from_this(), work = std::move(work)] {
        const auto self = me.lock();
        if (self && !self->closed_)
            work();
    });
}

std::string session::fresh_inbox()
{
    natsInbox* raw = nullptr;
    if (natsInbox_Create(&raw) != NATS_OK)
        throw std::bad_alloc();
    std::string inbox(raw);
    natsInbox_Destroy(raw);
    return inbox;
}

void session::add(std::shared_ptr<endpoint> what)
{
    if (closed_)
        return;
    endpoints_.push_back(what);
    if (!up())
        return;
    subscribe(*what);
    what->link_up();
}

void session::remove(endpoint& what)
{
    what.removed_ = true;
    what.subscription_.reset();
    if (iterating_ == 0)
        forget_removed();
}

void session::forget_removed()
{
    std::erase_if(endpoints_, [](const auto& each) { return each->removed_; });
}

void session::subscribe(endpoint& what)
{
    natsSubscription* raw = nullptr;
    if (natsConnection_SubscribeSync(&raw, link_->handle(), what.subject_.c_str()) != NATS_OK)
        return; // the link has just broken: lost() comes
    what.subscription_.reset(raw);
    natsSubscription_SetPendingLimits(raw, -1, -1); // the library would drop beyond them; what is asked for bounds what comes
}

void session::adopt(std::unique_ptr<link> made)
{
    link_ = std::move(made);
    payload_bytes_max_ = static_cast<std::uint64_t>(natsConnection_GetMaxPayload(link_->handle()));
    discovered_ = link_->greeting().neighbours;
    link_->watch().adopt(
        link_->handle(), [this] { drain(); }, [this] { lost(); });
    for (const auto& each : endpoints_)
        subscribe(*each);
    for_each([](endpoint& each) { each.link_up(); });
    tell(true);
}

void session::lost()
{
    const auto self = shared_from_this();
    for (const auto& each : endpoints_)
        each->subscription_.reset();
    link_.reset();
    for_each([](endpoint& each) { each.link_down(); });
    if (closed_)
        return;
    tell(false);
    connector_->start(discovered_);
}

void session::tell(bool up)
{
    if (!changed_.empty())
        post([this, up] {
            for (std::size_t i = 0; i < changed_.size(); ++i) {
                const auto call = changed_[i]; // a copy: the callback may close us
                call(up);
            }
        });
}

// Callbacks may add and remove endpoints, and close the session.
template <class Action> void session::for_each(Action action)
{
    const auto self = shared_from_this();
    ++iterating_;
    for (std::size_t i = 0; i < endpoints_.size(); ++i)
        if (const auto each = endpoints_[i]; !each->removed_)
            action(*each);
    if (--iterating_ == 0)
        forget_removed();
}

void session::drain()
{
    for_each([this](endpoint& each) { drain(each); });
}

void session::drain(endpoint& from)
{
    std::uint64_t queued = 0;
    while (from.subscription_ && natsSubscription_QueuedMsgs(from.subscription_.get(), &queued) == NATS_OK && queued > 0) {
        natsMsg* raw = nullptr;
        const auto status = natsSubscription_NextMsg(&raw, from.subscription_.get(), 0);
        if (status == NATS_NO_RESPONDERS) {
            from.no_responders();
            continue;
        }
        if (status != NATS_OK)
            return;
        message_handle message(raw);
        from.take(*message);
        bury(std::move(message));
    }
}

void session::bury(message_handle message)
{
    dead_bytes_ += static_cast<std::size_t>(natsMsg_GetDataLength(message.get()));
    dead_.push_back(std::move(message));
    if (dead_.size() < dead_messages_max && dead_bytes_ < dead_bytes_max)
        return;
    dead_.clear();
    dead_bytes_ = 0;
}

send_result session::send(const char* subject, const char* reply, std::span<const header> fields, std::string_view payload)
{
    if (!link_ || natsConnection_Buffered(link_->handle()) > send_bytes_max)
        return send_result::not_connected;
    if (payload.size() > payload_bytes_max_)
        return send_result::too_large;
    natsStatus status = NATS_OK;
    const auto size = static_cast<int>(payload.size());
    if (fields.empty() && reply)
        status = natsConnection_PublishRequest(link_->handle(), subject, reply, payload.data(), size);
    else if (fields.empty())
        status = natsConnection_Publish(link_->handle(), subject, payload.data(), size);
    else {
        natsMsg* raw = nullptr;
        status = natsMsg_Create(&raw, subject, reply, payload.data(), size);
        message_handle message(raw);
        for (const auto& field : fields)
            if (status == NATS_OK)
                status = natsMsgHeader_Add(raw, field.name.c_str(), field.value.c_str());
        if (status == NATS_OK)
            status = natsConnection_PublishMsg(link_->handle(), raw);
        if (raw)
            bury(std::move(message));
    }
    return status == NATS_OK ? send_result::sent : status == NATS_MAX_PAYLOAD ? send_result::too_large : send_result::not_connected;
}

void session::tick_by(endpoint::time_point when)
{
    if (when >= next_tick_ || closed_)
        return;
    next_tick_ = when;
    timer_.expires_at(when);
    timer_.async_wait([me = weak_from_this()](const auto& error) {
        const auto self = me.lock();
        if (self && !error && !self->closed_)
            self->tick();
    });
}

void session::tick()
{
    next_tick_ = endpoint::never;
    auto next = endpoint::never;
    const auto now = std::chrono::steady_clock::now();
    for_each([&](endpoint& each) { next = std::min(next, each.tick(now)); });
    tick_by(next);
}

bool valid_fields(std::span<const header> fields)
{
    const auto plain = [](std::string_view text) {
        return !text.empty() && text.front() != ' ' && text.back() != ' '
            && std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < ' ' && c != '\t'; });
    };
    return std::all_of(fields.begin(), fields.end(), [&](const header& field) {
        return plain(field.name) && field.name.find(':') == field.name.npos && plain(field.value);
    });
}

}
