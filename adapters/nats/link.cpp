#include "adapters/nats/link.hpp"

#include "adapters/nats/connect_guard.hpp"
#include "adapters/nats/server_greeting.hpp"
#include "core/option_checks.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace sluice::nats {

namespace {

constexpr int io_bytes = 256 * 1024; // one read takes what came meanwhile: hundreds of messages when busy
constexpr int pings_out_max = 2;
constexpr std::chrono::milliseconds attempt_deadline{2'000};

// The library's words, without the place in its source: "SSL Error (SSL handshake error: 18:self-signed certificate...)".
std::string reason_of(natsStatus status)
{
    if (status == NATS_NO_SERVER)
        return "refused, or no such host";
    const std::string text = natsStatus_GetText(status);
    const char* last = nats_GetLastError(nullptr);
    std::string detail = last ? last : "";
    if (const auto place = detail.find("): "); detail.starts_with('(') && place != detail.npos)
        detail.erase(0, place + 3);
    return detail.empty() || detail == text ? text : text + " (" + detail + ')';
}

// The server's certificate is not trusted, or is another host's: the library names X.509's number of what is wrong. An SSL error without
// one may be a server that has just died.
bool wrong_certificate(natsStatus status, const std::string& reason)
{
    constexpr std::string_view before = "handshake error: ";
    const auto at = reason.find(before);
    return status == NATS_SSL_ERROR && at != reason.npos && std::isdigit(static_cast<unsigned char>(reason[at + before.size()])) != 0;
}

void check(natsStatus status, const std::string& what)
{
    if (status == NATS_OK)
        return;
    const auto reason = reason_of(status);
    const auto text = what + ": " + reason;
    if (status == NATS_CONNECTION_AUTH_FAILED || status == NATS_NOT_PERMITTED || status == NATS_SECURE_CONNECTION_WANTED
        || wrong_certificate(status, reason))
        throw link::refused(text);
    throw std::runtime_error(text);
}

std::vector<std::string> split(const std::string& comma_list)
{
    std::vector<std::string> parts;
    for (std::size_t from = 0; from <= comma_list.size();) {
        const auto to = std::min(comma_list.find(',', from), comma_list.size());
        if (to > from)
            parts.push_back(comma_list.substr(from, to - from));
        from = to + 1;
    }
    return parts;
}

std::vector<std::string> servers_of(const connection_options& options, const std::vector<std::string>& more_servers)
{
    auto servers = split(options.url);
    servers.insert(servers.end(), more_servers.begin(), more_servers.end());
    return servers;
}

void set_servers(natsOptions* into, const connection_options& options, const std::vector<std::string>& servers)
{
    std::vector<const char*> names;
    names.reserve(servers.size());
    for (const auto& server : servers)
        names.push_back(server.c_str());
    check(natsOptions_SetServers(into, names.data(), static_cast<int>(names.size())),
          "nats url '" + core::without_userinfo(options.url) + "'");
}

void set_security(natsOptions* into, const connection_options& options)
{
    if (!options.user.empty())
        check(natsOptions_SetUserInfo(into, options.user.c_str(), options.password.c_str()), "nats user");
    if (!options.credentials_file.empty())
        check(natsOptions_SetUserCredentialsFromFiles(into, options.credentials_file.c_str(), nullptr),
              "nats credentials file '" + options.credentials_file + "'");
    if (!options.ca_file.empty() || options.url.find("tls://") != options.url.npos)
        check(natsOptions_SetSecure(into, true), "nats tls");
    if (!options.ca_file.empty())
        check(natsOptions_LoadCATrustedCertificates(into, options.ca_file.c_str()), "nats ca file '" + options.ca_file + "'");
    if (!options.cert_file.empty())
        check(natsOptions_LoadCertificatesChain(into, options.cert_file.c_str(), options.key_file.c_str()),
              "nats certificate '" + options.cert_file + "' with key '" + options.key_file + "'");
}

options_handle make_options(const connection_options& from, const std::vector<std::string>& servers, std::chrono::milliseconds deadline)
{
    natsOptions* raw = nullptr;
    check(natsOptions_Create(&raw), "nats options");
    options_handle options(raw);
    set_servers(raw, from, servers);
    set_security(raw, from);
    check(natsOptions_SetName(raw, from.name.c_str()), "nats name");
    check(natsOptions_SetTimeout(raw, std::max<std::int64_t>(deadline.count(), 1)), "nats timeout");
    check(natsOptions_SetAllowReconnect(raw, false), "nats reconnect");
    check(natsOptions_SetIgnoreDiscoveredServers(raw, true), "nats discovered servers"); // the guard must know whom it tries
    check(natsOptions_SetSendAsap(raw, true), "nats send asap");                         // no flusher thread: the loop writes
    check(natsOptions_SetPingInterval(raw, from.ping_interval.count()), "nats ping interval");
    check(natsOptions_SetMaxPingsOut(raw, pings_out_max), "nats pings");
    check(natsOptions_SetIOBufSize(raw, io_bytes), "nats buffer");
    // The library's own handler prints; what matters comes back as a closed connection or an error answer.
    check(natsOptions_SetErrorHandler(
              raw, [](natsConnection*, natsSubscription*, natsStatus, void*) {}, nullptr),
          "nats error handler");
    return options;
}

}

link::link(boost::asio::io_context& io, const connection_options& options, const std::vector<std::string>& more_servers,
           std::chrono::milliseconds deadline)
    : watch_(std::make_shared<socket_watch>(io))
{
    const auto servers = servers_of(options, more_servers);
    const auto nats_options = make_options(options, servers, deadline);
    auto hold = std::make_unique<socket_watch::hold>(watch_);
    check(socket_watch::install(nats_options.get(), hold.get()), "nats event loop");
    natsConnection* raw = nullptr;
    {
        const connect_guard guard(servers, deadline);
        check(natsConnection_Connect(&raw, nats_options.get()), "connecting to " + core::without_userinfo(options.url));
    }
    static_cast<void>(hold.release()); // the library's now, until it detaches
    connection_.reset(raw);
    char url[512];
    if (natsConnection_GetConnectedUrl(raw, url, sizeof url) == NATS_OK)
        greeting_ = greeting_of(url, attempt_deadline);
}

link::~link()
{
    watch_->write_now();
    watch_->abandon();
    // Closing a connection with something buffered would wait for the server: let it see the end of its socket first.
    while (natsConnection_Buffered(connection_.get()) > 0 && natsConnection_Status(connection_.get()) == NATS_CONN_STATUS_CONNECTED)
        natsConnection_ProcessReadEvent(connection_.get());
}

connector::~connector()
{
    stop();
    if (thread_.joinable())
        thread_.join();
}

void connector::stop() noexcept
{
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
}

void connector::start(std::vector<std::string> more_servers)
{
    if (thread_.joinable())
        thread_.join(); // it has handed its link over
    // The thread touches *this without owning it, as the destructor waits for it; the loop may find us gone.
    auto busy = boost::asio::make_work_guard(io_);
    thread_ = std::thread([this, me = weak_from_this(), busy = std::move(busy), servers = std::move(more_servers)] {
        auto made = try_until_stopped(servers);
        if (made)
            boost::asio::post(io_, [me, link = std::move(made)]() mutable {
                const auto self = me.lock();
                if (self && !self->stopped_)
                    self->on_link_(std::move(link));
            });
    });
}

std::unique_ptr<link> connector::first(std::chrono::milliseconds within)
{
    const auto until = std::chrono::steady_clock::now() + within;
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
        try {
            return std::make_unique<link>(io_, options_, std::vector<std::string>(), left);
        } catch (const link::refused&) {
            throw;
        } catch (const std::runtime_error&) { // a server that is just starting
            if (std::chrono::steady_clock::now() + options_.reconnect_wait >= until)
                throw;
        }
        std::unique_lock lock(mutex_);
        if (changed_.wait_for(lock, options_.reconnect_wait, [this] { return stopped_; }))
            throw std::runtime_error("connecting to " + options_.url + ": stopped");
    }
}

std::unique_ptr<link> connector::try_until_stopped(const std::vector<std::string>& more_servers)
{
    std::unique_lock lock(mutex_);
    while (!stopped_) {
        lock.unlock();
        std::unique_ptr<link> made;
        try {
            made = std::make_unique<link>(io_, options_, more_servers, attempt_deadline);
        } catch (const std::runtime_error&) {
            // The next attempt may find the server back.
        }
        if (made)
            return made;
        lock.lock();
        changed_.wait_for(lock, options_.reconnect_wait, [this] { return stopped_; });
    }
    return nullptr;
}

}
