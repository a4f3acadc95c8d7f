#include "adapters/curl/client.hpp"

#include "adapters/curl/transfer.hpp"

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/wait_traits.hpp>

#include <curl/curl.h>
#include <memory>
#include <stdexcept>
#include <unistd.h>
#include <unordered_map>
#include <vector>

namespace sluice::curl {

namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using steady = std::chrono::steady_clock;
using executor = asio::io_context::executor_type;
using timer_type = asio::basic_waitable_timer<steady, asio::wait_traits<steady>, executor>;
using descriptor = asio::posix::basic_stream_descriptor<executor>;

// libcurl's own state for the process: TLS tables and the like. Needed before the first handle, kept to the end.
void start_library()
{
    static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (started != CURLE_OK)
        throw std::runtime_error(std::string("libcurl: ") + curl_easy_strerror(started));
}

struct multi_deleter {
    void operator()(CURLM* multi) const noexcept { curl_multi_cleanup(multi); }
};

// A descriptor of libcurl's that we wait on. It stays libcurl's: ours is a duplicate number for the reactor, since libcurl closes its
// own at any time and the number may at once be another connection's.
struct watch {
    watch(asio::io_context& context, int own) : fd(context, own) {}
    descriptor fd;
    int wanted = 0;
    bool reading = false, writing = false, gone = false;
};

}

// libcurl says which descriptors and when; the loop says what happened. Callbacks of libcurl come only from inside its calls here, and
// never call it again.
struct client::state : std::enable_shared_from_this<client::state> {
    state(loop& on, client_options with);

    call_id start(client_request request, std::function<void(outcome)> done);
    void drive(curl_socket_t socket, int events);
    void collect();
    void settle(call_id id, outcome result);
    void settle_later(call_id id, outcome result);
    void arm(const std::shared_ptr<watch>& on, curl_socket_t socket);
    void ready(const std::shared_ptr<watch>& on, curl_socket_t socket, error_code error, int events);
    void forget(curl_socket_t socket);
    void cancel(call_id id);
    void close(bool tell);
    void open();

    static int on_socket(CURL*, curl_socket_t socket, int what, void* self, void*);
    static int on_timer(CURLM*, long delay_ms, void* self);

    asio::io_context& context_;
    client_options options_;
    timer_type timer_;
    std::unordered_map<curl_socket_t, std::shared_ptr<watch>> watches_;
    std::unordered_map<call_id, std::unique_ptr<transfer>> transfers_;
    std::unique_ptr<CURLM, multi_deleter> multi_; // destroyed before what its callbacks use
    call_id last_id_ = 0;
    std::uint64_t timer_turn_ = 0;
    bool closed_ = false;
    bool destroyed_ = false;
};

client::state::state(loop& on, client_options with) : context_(on.context()), options_(std::move(with)), timer_(context_)
{
    start_library();
    open();
}

void client::state::open()
{
    multi_.reset(curl_multi_init());
    if (!multi_)
        throw std::runtime_error("libcurl: no memory");
    auto* multi = multi_.get();
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, &state::on_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, &state::on_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, this);
    curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, static_cast<long>(options_.connections_max));
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, static_cast<long>(options_.idle_connections_max));
}

client::call_id client::state::start(client_request request, std::function<void(outcome)> done)
{
    const auto id = ++last_id_;
    auto made = std::make_unique<transfer>(id, std::move(request), std::move(done), options_);
    auto* easy = made->easy();
    transfers_.emplace(id, std::move(made));
    outcome failed;
    failed.kind = outcome_kind::overloaded;
    if (closed_)
        failed.reason = "the client is closed";
    else if (easy == nullptr)
        failed.reason = "libcurl: no memory";
    else if (const auto code = curl_multi_add_handle(multi_.get(), easy); code != CURLM_OK)
        failed.reason = std::string("libcurl: ") + curl_multi_strerror(code);
    if (!failed.reason.empty())
        settle_later(id, std::move(failed));
    return id; // libcurl has set its timer: the first step is taken from the loop
}

void client::state::drive(curl_socket_t socket, int events)
{
    const auto keep = shared_from_this();
    int running = 0;
    curl_multi_socket_action(multi_.get(), socket, events, &running);
    collect();
}

void client::state::collect()
{
    std::vector<std::pair<call_id, outcome>> ended; // told after libcurl is done with its list: they may call us again
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
        if (message->msg != CURLMSG_DONE)
            continue;
        transfer* of = nullptr;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &of);
        const auto result = message->data.result;
        curl_multi_remove_handle(multi_.get(), message->easy_handle); // the message is void from here
        ended.emplace_back(of->id(), of->finish(result));
    }
    for (auto& [id, result] : ended)
        settle(id, std::move(result));
}

void client::state::settle(call_id id, outcome result)
{
    const auto found = transfers_.find(id);
    if (found == transfers_.end())
        return;
    const auto done = found->second->take_done();
    transfers_.erase(found);
    if (!destroyed_ && done)
        done(std::move(result));
}

void client::state::settle_later(call_id id, outcome result)
{
    asio::post(context_, [self = shared_from_this(), id, result = std::move(result)]() mutable { self->settle(id, std::move(result)); });
}

void client::state::arm(const std::shared_ptr<watch>& on, curl_socket_t socket)
{
    if ((on->wanted & CURL_POLL_IN) && !on->reading) {
        on->reading = true;
        on->fd.async_wait(descriptor::wait_read, [self = shared_from_this(), on, socket](error_code error) {
            on->reading = false;
            self->ready(on, socket, error, CURL_CSELECT_IN);
        });
    }
    if ((on->wanted & CURL_POLL_OUT) && !on->writing) {
        on->writing = true;
        on->fd.async_wait(descriptor::wait_write, [self = shared_from_this(), on, socket](error_code error) {
            on->writing = false;
            self->ready(on, socket, error, CURL_CSELECT_OUT);
        });
    }
}

void client::state::ready(const std::shared_ptr<watch>& on, curl_socket_t socket, error_code error, int events)
{
    if (on->gone)
        return;
    drive(socket, error ? CURL_CSELECT_ERR : events);
    if (!on->gone)
        arm(on, socket);
}

void client::state::forget(curl_socket_t socket)
{
    const auto found = watches_.find(socket);
    if (found == watches_.end())
        return;
    error_code ignored;
    found->second->gone = true;
    found->second->fd.close(ignored);
    watches_.erase(found);
}

int client::state::on_socket(CURL*, curl_socket_t socket, int what, void* self_pointer, void*)
{
    auto& self = *static_cast<state*>(self_pointer);
    if (what == CURL_POLL_REMOVE) {
        self.forget(socket);
        return 0;
    }
    auto& on = self.watches_[socket];
    if (!on) {
        const int own = ::dup(socket);
        if (own < 0) {
            self.watches_.erase(socket);
            return -1; // the transfer fails
        }
        on = std::make_shared<watch>(self.context_, own);
    }
    on->wanted = what;
    self.arm(on, socket);
    return 0;
}

int client::state::on_timer(CURLM*, long delay_ms, void* self_pointer)
{
    auto& self = *static_cast<state*>(self_pointer);
    const auto turn = ++self.timer_turn_; // a wait that had already expired cannot be cancelled
    self.timer_.cancel();
    if (delay_ms < 0 || self.closed_)
        return 0;
    self.timer_.expires_after(std::chrono::milliseconds(delay_ms)); // 0 too: libcurl is not entered again from here
    self.timer_.async_wait([of = self.shared_from_this(), turn](error_code) {
        if (of->timer_turn_ == turn && of->multi_)
            of->drive(CURL_SOCKET_TIMEOUT, 0);
    });
    return 0;
}

void client::state::cancel(call_id id)
{
    const auto found = transfers_.find(id);
    if (found == transfers_.end() || !found->second->may_end())
        return;
    if (multi_)
        curl_multi_remove_handle(multi_.get(), found->second->easy());
    settle_later(id, found->second->cancelled());
}

void client::state::close(bool tell)
{
    if (destroyed_ || (closed_ && tell))
        return;
    closed_ = true;
    destroyed_ = !tell;
    for (auto& [id, of] : transfers_) {
        if (!of->may_end())
            continue;
        curl_multi_remove_handle(multi_.get(), of->easy());
        if (tell)
            settle_later(id, of->cancelled());
    }
    multi_.reset(); // closes connections
    ++timer_turn_;
    timer_.cancel();
    while (!watches_.empty())
        forget(watches_.begin()->first);
    if (!tell)
        transfers_.clear();
}

client::client(loop& on, client_options options) : state_(std::make_shared<state>(on, std::move(options))) {}

client::~client() { state_->close(false); }

client::call_id client::call(client_request request, std::function<void(outcome)> done)
{
    return state_->start(std::move(request), std::move(done));
}

void client::cancel(call_id call) { state_->cancel(call); }

std::size_t client::in_flight() const noexcept { return state_->transfers_.size(); }

void client::close() { state_->close(true); }

}
