#include "queue-worker/callback_sender.hpp"

namespace sluice::queue_worker {

namespace {

constexpr std::uint64_t receipt_bytes_max = 16 * 1024; // of a receiver's answer; only its status counts

template <class Bounds> curl::client_options curl_options(const Bounds& with)
{
    curl::client_options options;
    options.ca_file = with.ca_file;
    return options;
}

// The name that was checked is the one that is looked up.
std::string url_of(const url_guard::target& to)
{
    const bool v6 = to.host.find(':') != std::string::npos;
    return (to.tls ? "https://" : "http://") + (v6 ? '[' + to.host + ']' : to.host) + ':' + std::to_string(to.port) + to.path_and_query;
}

std::shared_ptr<const std::string> body_of(const std::shared_ptr<const core::journal::answered>& what) { return {what, &what->body}; }

}

callback_sender::callback_sender(loop& on, const std::vector<std::string>& allowlist, bounds with)
    : loop_(on), guard_(allowlist), bounds_(std::move(with)), plain_(on, {}), curl_(on, curl_options(bounds_))
{}

void callback_sender::send(std::shared_ptr<const core::journal::answered> what, std::function<bool()> may_send,
                           std::function<void(outcome)> done)
{
    auto to = guard_.check(what->url);
    if (!to)
        return refuse("callback url: " + to.error(), std::move(done));
    if (to->numeric && !to->tls)
        return send_plain(*to, std::move(what), std::move(may_send), std::move(done));
    curl::client_request request;
    request.url = url_of(*to);
    request.head = what->head;
    request.body = body_of(what);
    request.deadline = bounds_.deadline;
    request.answer_bytes_max = receipt_bytes_max;
    request.only_status = true;
    request.allows = [this, target = *to](std::string_view address) { return guard_.allows(target, address); };
    request.may_send = std::move(may_send);
    curl_.call(std::move(request), std::move(done));
}

void callback_sender::send_plain(const url_guard::target& to, std::shared_ptr<const core::journal::answered> what,
                                 std::function<bool()> may_send, std::function<void(outcome)> done)
{
    if (!guard_.allows(to, to.host))
        return refuse("callback url: " + to.host + " is not allowed", std::move(done));
    http::client_request request;
    request.host = to.host;
    request.port = to.port;
    request.target = to.path_and_query;
    request.head = what->head;
    request.body = body_of(what);
    request.deadline = bounds_.deadline;
    request.answer_bytes_max = receipt_bytes_max;
    request.only_status = true;
    request.may_send = std::move(may_send);
    plain_.call(std::move(request), std::move(done));
}

void callback_sender::refuse(std::string reason, std::function<void(outcome)> done)
{
    loop_.post([reason = std::move(reason), done = std::move(done)] { done(outcome{outcome_kind::refused, {}, reason, {}}); });
}

void callback_sender::close()
{
    plain_.close();
    curl_.close();
}

}
