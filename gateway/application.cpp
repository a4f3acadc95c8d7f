#include "gateway/application.hpp"

#include "gateway/rest.hpp"
#include "sluice/version.hpp"

#include <algorithm>

namespace sluice::gateway {

namespace {

// Of a message besides the body: the request's header (8 KiB at most), what is added to it, and the message's own header.
constexpr std::uint64_t head_bytes_reserved = 16 * 1024;
// Of a REST request: what it describes has to fit into one entry of a bucket.
constexpr std::uint64_t api_body_bytes_max = 64 * 1024;
constexpr const char* api_body_key = "the API's bound";

http_response method_not_allowed(const route& to)
{
    auto response = text_answer(405, "method not allowed");
    response.fields.push_back({"Allow", allow_of(to)});
    return response;
}

http_response unauthorized()
{
    auto response = text_answer(401, "invalid credentials");
    response.fields.push_back({"WWW-Authenticate", "Basic realm=\"Restricted\""});
    return response;
}

http_response redirect_to_ui() { return {307, {{"Location", "/ui/"}}, {}}; }

constexpr const char* architecture()
{
#if defined(__x86_64__)
    return "x86_64";
#elif defined(__aarch64__)
    return "aarch64";
#else
    return "unknown";
#endif
}

std::string info_json()
{
    const auto version = std::string(R"({"sha":")") + release + R"(","release":")" + release + "\"}";
    return R"({"provider":{"provider":"sluice","version":)" + version + R"(,"orchestration":"processes"},"version":)" + version
        + R"(,"arch":")" + architecture() + "\"}";
}

intake::bounds intake_bounds(const options& with) { return {with.publishes_max, with.publish_bytes_max, milliseconds(1'000)}; }

function_proxy::bounds proxy_bounds(const options& with)
{
    return {with.upstream_timeout, with.function_answer_bytes_max, with.function_calls_max};
}

}

application::application(loop& on, stores opened, const options& with, std::function<bool()> connected, logger& log)
    : options_(with),
      log_(log),
      connected_(std::move(connected)),
      http_meters_(registry_),
      function_meters_(registry_),
      reconnects_(registry_.make_counter("gateway_nats_reconnect_total", "Times that the connection to NATS came back.")),
      auth_(basic_auth::from_files(with.basic_auth_user_file, with.basic_auth_password_file)),
      guard_(with.callback_allow),
      stores_(std::move(opened)),
      known_(*stores_.functions, *stores_.endpoints, *stores_.namespaces,
             [this](std::string_view message) { log_.error("value cannot be read {}", message); }),
      intake_(on, std::move(stores_.logs), intake_bounds(with), log),
      replicas_(on, {}),
      async_(known_, policy_, intake_, function_meters_),
      proxy_(known_, replicas_, function_meters_, proxy_bounds(with)),
      functions_(on, known_, *stores_.functions, function_meters_),
      namespaces_(on, known_, *stores_.namespaces)
{
    policy_.partitions = intake_.partitions();
    policy_.body_bytes_max = with.body_bytes_max;
    policy_.publish_deadline = with.publish_deadline;
    policy_.callback_refusal = [this](std::string_view url) {
        const auto target = guard_.check(url);
        return target ? std::string{} : target.error();
    };
    if (!auth_.required())
        log_.warn("/system/* is open to everybody: no basic_auth_user_file");
    watch_functions();
}

// Metrics follow what is deployed.
void application::watch_functions()
{
    const auto update = [this](const function_name& name) {
        if (const auto* spec = known_.find(name))
            function_meters_.of(name)->set_replicas(*spec, known_.endpoints(name));
        else
            function_meters_.remove(name);
    };
    known_.on_function(update);
    known_.on_endpoints(update);
}

void application::set_message_bytes_max(std::uint64_t bytes)
{
    policy_.message_bytes_max = bytes;
    const auto room = bytes > head_bytes_reserved ? bytes - head_bytes_reserved : bytes / 2;
    const auto lowered = std::min(options_.body_bytes_max, room);
    if (lowered != policy_.body_bytes_max && lowered < options_.body_bytes_max)
        log_.warn("body limit lowered by the server's max_payload body_bytes_max={} configured={} max_payload={}", lowered,
                  options_.body_bytes_max, bytes);
    policy_.body_bytes_max = lowered;
}

void application::count_reconnects(std::uint64_t total)
{
    reconnects_.add(static_cast<double>(total - std::min(total, reconnects_seen_)));
    reconnects_seen_ = total;
}

void application::on_ready(std::function<void()> ready)
{
    known_.on_current([this, ready] {
        if (intake_.known())
            ready();
        else
            intake_.on_known(ready);
    });
}

bool application::ready() const { return connected_() && known_.current() && intake_.known(); }

application::body_bound application::bound_of(const http_request& head)
{
    const auto to = find_route(head.method, head.path());
    if (to.to && to.to->id == route_id::async_function)
        return {policy_.body_bytes_max, "body_bytes_max"};
    if (to.to && to.to->id == route_id::function)
        return {options_.function_body_bytes_max, "function_body_bytes_max"};
    return {api_body_bytes_max, api_body_key};
}

void application::handle(http::exchange_ptr exchange)
{
    const auto& request = exchange->request();
    const auto to = find_route(request.method, request.path());
    const call from(std::move(exchange), to, http_meters_, std::chrono::steady_clock::now());
    if (!to.to)
        return from.reply(text_answer(404, "404 page not found"));
    if (to.to->restricted && !auth_.allows(request.field("Authorization")))
        return from.reply(unauthorized());
    if (!to.method_allowed)
        return from.reply(method_not_allowed(*to.to));
    dispatch(from, to);
}

void application::dispatch(const call& from, const routed& to)
{
    switch (to.to->id) {
    case route_id::async_function: return async_.handle(from);
    case route_id::function: return proxy_.handle(from);
    case route_id::functions: return dispatch_functions(from);
    case route_id::function_status: return functions_.show(from);
    case route_id::namespaces: return from.request().method == "GET" ? namespaces_.list(from) : namespaces_.create(from);
    case route_id::one_namespace: return dispatch_namespace(from);
    case route_id::info: return from.reply(json_answer(200, info_json()));
    case route_id::healthz: return from.reply(empty_answer(200));
    case route_id::readyz:
        return from.reply(
            ready()
                ? empty_answer(200)
                : unavailable(connected_() ? "what is deployed and how full the logs are is not known yet" : "no connection to NATS", 1));
    case route_id::metrics: return from.reply({200, {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}}, registry_.text()});
    case route_id::root: return from.reply(redirect_to_ui());
    }
}

void application::dispatch_functions(const call& from)
{
    const auto method = from.request().method;
    if (method == "GET")
        return functions_.list(from);
    if (method == "POST")
        return functions_.create(from);
    if (method == "PUT")
        return functions_.replace(from);
    functions_.remove(from);
}

// OpenFaaS creates with POST /system/namespace/, with or without a name in the path; the rest needs one.
void application::dispatch_namespace(const call& from)
{
    const auto method = from.request().method;
    if (method == "POST")
        return namespaces_.create(from);
    if (from.name().empty())
        return from.reply(text_answer(404, "no namespace has an empty name"));
    if (method == "GET")
        return namespaces_.show(from);
    if (method == "PUT")
        return namespaces_.replace(from);
    namespaces_.remove(from);
}

void application::close()
{
    functions_.close();
    namespaces_.close();
    replicas_.close();
    intake_.close();
}

}
