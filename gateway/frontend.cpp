#include "gateway/frontend.hpp"

#include "adapters/process/files.hpp"
#include "sluice/wire.hpp"

#include <algorithm>

namespace sluice::gateway {

namespace {

constexpr milliseconds drain_poll_interval{20};

nats::stores_wanted stores_of(const options& with)
{
    nats::stores_wanted wanted;
    wanted.buckets = {wire::functions_bucket, wire::endpoints_bucket, wire::namespaces_bucket};
    wanted.logs = true;
    wanted.replicas = with.replicas;
    wanted.partitions = with.partitions;
    wanted.log_bytes_max = with.log_bytes_max;
    return wanted;
}

http::server_options server_options_of(const options& with, const core::listen_address& listen)
{
    http::server_options server;
    server.host = listen.host;
    server.port = listen.port;
    server.connections_max = with.connections_max;
    server.body_bytes_budget = with.body_bytes_budget;
    server.header_deadline = with.header_deadline;
    server.body_deadline = with.body_deadline;
    server.body_pace_deadline = with.body_pace_deadline;
    server.write_deadline = with.write_deadline;
    server.idle_deadline = with.idle_deadline;
    return server;
}

}

frontend::frontend(loop& on, nats::connection& store, const options& with, logger& log)
    : loop_(on),
      store_(store),
      options_(with),
      listen_(core::parse_listen_address("listen", with.listen)),
      log_(log),
      drain_poll_(on),
      self_(std::make_shared<frontend*>(this))
{}

frontend::~frontend() { *self_ = nullptr; }

void frontend::start()
{
    nats::open_stores(store_, stores_of(options_), [self = self_](boost::system::result<nats::stores, std::string> opened) {
        if (!*self || (*self)->closed_)
            return;
        if (!opened)
            return (*self)->fail(opened.error());
        (*self)->serve(std::move(*opened));
    });
}

void frontend::serve(nats::stores opened)
{
    try {
        store_health_.emplace(loop_, store_, opened.streams, log_);
        application_.emplace(
            loop_, std::move(opened), options_, [this] { return store_health_->illness(); }, log_);
        auto server = server_options_of(options_, listen_);
        server.answers = application_->answers();
        server_.emplace(loop_, std::move(server), *application_);
    } catch (const std::exception& wrong) {
        return fail(wrong.what());
    }
    application_->set_message_bytes_max(store_.payload_bytes_max());
    application_->on_ready([this] { became_ready(); });
    store_.on_change([self = self_](bool up) {
        if (*self)
            (*self)->store_changed(up);
    });
}

void frontend::became_ready()
{
    log_.info("ready listen={} nats={}", core::listen_address{listen_.host, server_->port()}.text(), store_.server_version());
    try {
        process::write_ready_file(options_.ready_file, listen_.host, server_->port());
    } catch (const std::exception& wrong) {
        fail(wrong.what());
    }
}

void frontend::store_changed(bool up)
{
    if (closed_ || !application_)
        return;
    if (!up && std::exchange(store_up_, false))
        log_.warn("connection to NATS lost; calls are answered 503 until it is back");
    if (!up)
        return;
    if (!std::exchange(store_up_, true))
        log_.info("connection to NATS is back reconnects={}", store_.reconnects());
    application_->count_reconnects(store_.reconnects());
    application_->set_message_bytes_max(store_.payload_bytes_max());
}

void frontend::fail(std::string why)
{
    failure_ = std::move(why);
    close();
}

void frontend::stop()
{
    if (stopping_ || !server_)
        return close();
    stopping_ = true;
    log_.info("stopping connections={}", server_->connections());
    server_->stop_accepting();
    drain_until_ = std::chrono::steady_clock::now() + options_.drain_deadline;
    close_when_idle();
}

void frontend::close_when_idle()
{
    const bool late = std::chrono::steady_clock::now() >= drain_until_;
    if (late && server_->connections() > 0)
        log_.warn("requests under way are given up connections={}", server_->connections());
    if (late || (server_->connections() == 0 && application_->idle()))
        return close();
    drain_poll_.after(drain_poll_interval, [this] { close_when_idle(); });
}

void frontend::close()
{
    if (std::exchange(closed_, true))
        return;
    drain_poll_.cancel();
    if (server_)
        server_->close();
    if (application_)
        application_->close();
    store_health_.reset();
    // Whoever called this may be a callback of what is closed: it ends on the loop's next turn.
    loop_.post([self = self_] {
        if (!*self)
            return;
        (*self)->server_.reset();
        (*self)->application_.reset();
        if ((*self)->on_closed_)
            (*self)->on_closed_();
    });
}

}
