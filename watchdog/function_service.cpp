#include "watchdog/function_service.hpp"

#include "sluice/wire.hpp"

#include <string>
#include <vector>

namespace sluice::watchdog {

namespace {

constexpr std::size_t meters_max = 512; // a function may invent status codes

// Takes as long whatever the position of the first difference.
bool same_secret(std::string_view given, std::string_view expected) noexcept
{
    if (given.size() != expected.size())
        return false;
    unsigned char difference = 0;
    for (std::size_t i = 0; i < given.size(); ++i)
        difference = static_cast<unsigned char>(difference | (given[i] ^ expected[i]));
    return difference == 0;
}

// With six decimals, as OpenFaaS writes it; whole numbers, because formatting a double showed in profiles of the hot path.
std::string seconds_text(std::chrono::steady_clock::duration took)
{
    const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
    std::string decimals = std::to_string(micros % 1'000'000);
    decimals.insert(0, 6 - decimals.size(), '0');
    return std::to_string(micros / 1'000'000) + '.' + decimals;
}

// Methods come from the caller: those that are none of HTTP's own share one label.
std::string method_label(std::string_view method)
{
    for (std::string_view known : {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
        if (method == known)
            return std::string(known);
    return "other";
}

}

function_service::function_service(loop& on, executor& runs, settings given, metrics::registry* meters)
    : loop_(on), executor_(runs), settings_(std::move(given)), meters_(meters)
{
    if (meters_)
        in_flight_ = meters_->make_gauge("http_requests_in_flight", "Calls that run");
}

http::service::body_bound function_service::bound_of(const http_request&) { return {settings_.body_bytes_max, "body_bytes_max"}; }

bool function_service::admitted(const http_request& request) const noexcept
{
    return settings_.token.empty() || same_secret(request.field(wire::replica_token_header), settings_.token);
}

void function_service::handle(http::exchange_ptr call)
{
    const auto path = call->request().path();
    if (path.starts_with("/_/")) {
        const bool health = path == "/_/health";
        if (health || path == "/_/ready") {
            if (call->request().method != "GET")
                return call->reply({405, {{"Allow", "GET"}}, {}});
            if (ending_)
                return call->reply({503, {}, {}});
            return health ? call->reply({200, {}, "OK"}) : answer_ready(std::move(call));
        }
    }
    if (!admitted(call->request()))
        return call->reply(own_answer(401, "sluice-watchdog", "the replica's token is missing or wrong\n"));
    if (settings_.max_inflight > 0 && calls_.size() >= settings_.max_inflight) {
        if (meters_)
            measure(429, call->request().method, {});
        return call->reply(
            own_answer(429, "faas-middleware",
                       "Concurrent request limit exceeded. Max concurrent requests: " + std::to_string(settings_.max_inflight) + '\n'));
    }
    run(std::move(call));
}

void function_service::answer_ready(http::exchange_ptr call)
{
    if (settings_.max_inflight > 0 && calls_.size() >= settings_.max_inflight)
        return call->reply({429, {}, {}});
    executor_.probe([call](unsigned status, std::string why) {
        const bool ready = status >= 200 && status < 300;
        call->reply({status, {}, ready ? std::string() : std::move(why)});
    });
}

void function_service::run(http::exchange_ptr call)
{
    const auto id = ++last_id_;
    const auto& kept = calls_.emplace(id, running_call{std::move(call), std::chrono::steady_clock::now()}).first->second.call;
    if (meters_)
        in_flight_.set(static_cast<double>(calls_.size()));
    const auto held = kept; // the executor may finish within the call
    held->on_abandoned([this, id] { executor_.cancel(id); });
    executor_.start(id, held, [this, id](http_response response) { finish(id, std::move(response)); });
}

void function_service::finish(executor::call_id id, http_response response)
{
    const auto at = calls_.find(id);
    const auto ended = std::move(at->second);
    calls_.erase(at);
    const auto took = std::chrono::steady_clock::now() - ended.started;
    if (meters_) {
        in_flight_.set(static_cast<double>(calls_.size()));
        measure(response.status, ended.call->request().method, took);
    }
    response.fields.push_back({"X-Duration-Seconds", seconds_text(took)});
    ended.call->reply(std::move(response));
    if (calls_.empty() && idle_)
        loop_.post(std::exchange(idle_, nullptr));
}

void function_service::when_idle(std::function<void()> idle)
{
    idle_ = std::move(idle);
    if (calls_.empty())
        loop_.post(std::exchange(idle_, nullptr));
}

void function_service::cancel_all()
{
    std::vector<executor::call_id> all;
    for (const auto& [id, running] : calls_)
        all.push_back(id);
    for (const auto id : all)
        executor_.cancel(id);
}

void function_service::measure(unsigned status, std::string_view method, std::chrono::duration<double> took)
{
    auto key = meter_key{status, method_label(method)};
    auto at = by_code_.find(key);
    if (at == by_code_.end()) {
        if (by_code_.size() >= meters_max)
            return;
        const metrics::labels labels{{"code", std::to_string(status)}, {"method", key.second}};
        at = by_code_
                 .emplace(std::move(key),
                          meter{meters_->make_counter("http_requests_total", "Calls answered", labels),
                                meters_->make_histogram("http_request_duration_seconds", "Time to answer a call", labels)})
                 .first;
    }
    at->second.total.add();
    at->second.duration.observe(took.count());
}

}
