#include "gateway/application.hpp"

#include "adapters/process/files.hpp"
#include "gateway/rest.hpp"
#include "sluice/version.hpp"

#include <algorithm>

namespace sluice::gateway {

namespace {

// Of a message besides the body: the request's header (8 KiB at most), what is added to it, and the message's own header.
constexpr std::uint64_t head_bytes_reserved = 16 * 1024;

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

// Where OpenFaaS has its user interface: what this is, and where to go on.
http_response ui_page()
{
    std::string page = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Sluice</title><h1>Sluice " + std::string(release)
        + "</h1><p>Asynchronous invocation of functions, with the API of OpenFaaS. There is no user interface: use faas-cli or "
          "HTTP.</p><ul>";
    for (const char* path : {"/system/functions", "/system/namespaces", "/system/info", "/metrics", "/healthz", "/readyz"})
        page.append("<li><a href=\"").append(path).append("\">").append(path).append("</a>");
    page.append("</ul><p>Calls: <code>POST /async-function/NAME</code> and <code>/function/NAME</code>. The documentation comes with the "
                "program, in the folder docs.</p></html>\n");
    return {200, {{"Content-Type", "text/html; charset=utf-8"}, {"Content-Security-Policy", "default-src 'none'"}}, std::move(page)};
}

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

intake::bounds intake_bounds(const options& with)
{
    intake::bounds bounds{with.publishes_max, with.publish_bytes_max, std::min(milliseconds(1'000), with.ready_deadline / 4), {}, 0};
    if (!with.store_folder.empty()) {
        bounds.store_free = [folder = with.store_folder] { return process::free_bytes(folder); };
        bounds.store_free_min = with.store_free_min;
    }
    return bounds;
}

function_proxy::bounds proxy_bounds(const options& with)
{
    return {with.upstream_timeout, with.function_answer_bytes_max, with.function_calls_max};
}

http::client_options client_options_of(std::shared_ptr<http::byte_budget> answers)
{
    http::client_options client;
    client.answers = std::move(answers);
    return client;
}

}

application::application(loop& on, nats::stores opened, const options& with, std::function<std::string()> store_illness, logger& log)
    : options_(with),
      log_(log),
      store_illness_(std::move(store_illness)),
      http_meters_(registry_),
      function_meters_(registry_),
      reconnects_(registry_.make_counter("gateway_nats_reconnect_total", "Times that the connection to NATS came back.")),
      auth_(basic_auth::from_files(with.basic_auth_user_file, with.basic_auth_password_file)),
      guard_(with.callback_allow),
      stores_(std::move(opened)),
      known_(*stores_.functions, *stores_.endpoints, *stores_.namespaces,
             [this](std::string_view message) { log_.error("value cannot be read {}", message); }),
      intake_(on, std::move(stores_.logs), intake_bounds(with), log),
      answers_(std::make_shared<http::byte_budget>(with.answer_bytes_budget)),
      replicas_(on, client_options_of(answers_)),
      async_(known_, policy_, intake_, function_meters_, log),
      proxy_(known_, replicas_, function_meters_, proxy_bounds(with)),
      functions_(on, known_, *stores_.functions, *stores_.namespaces, function_meters_, with.function_replicas_max),
      namespaces_(on, known_, *stores_.namespaces, *stores_.functions)
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

std::string application::not_ready_because() const
{
    if (auto why = store_illness_(); !why.empty())
        return why;
    if (!known_.current() || !intake_.known())
        return "what is deployed and how full the logs are is not known yet";
    if (!intake_.answered_within(options_.ready_deadline))
        return "JetStream has not answered for " + std::to_string(options_.ready_deadline.count()) + " ms (ready_deadline)";
    return {};
}

application::body_bound application::bound_of(const http_request& head)
{
    const auto to = find_route(head.method, head.path());
    if (to.to && to.to->id == route_id::async_function)
        return {policy_.body_bytes_max, "body_bytes_max"};
    if (to.to && to.to->id == route_id::function)
        return {options_.function_body_bytes_max, "function_body_bytes_max"};
    return {options_.api_body_bytes_max, "api_body_bytes_max"};
}

std::optional<http_response> application::refusal_of(const http_request& head, const routed& to) const
{
    if (!to.to)
        return text_answer(404, "404 page not found");
    if (to.to->restricted && !auth_.allows(head.field("Authorization")))
        return unauthorized();
    if (!to.method_allowed)
        return method_not_allowed(*to.to);
    return std::nullopt;
}

std::optional<http_response> application::early_answer(const http_request& head)
{
    const auto to = find_route(head.method, head.path());
    auto refusal = refusal_of(head, to);
    if (!refusal && to.to->id == route_id::async_function)
        refusal = async_.refusal_of(head);
    if (!refusal && to.to->id == route_id::function)
        refusal = proxy_.refusal_of(head);
    if (refusal && to.to && to.to->counted)
        http_meters_.answered(*to.to, head.method, refusal->status, 0);
    return refusal;
}

void application::handle(http::exchange_ptr exchange)
{
    const auto to = find_route(exchange->request().method, exchange->request().path());
    const call from(std::move(exchange), to, http_meters_, std::chrono::steady_clock::now());
    if (auto refusal = refusal_of(from.request(), to))
        return from.reply(*std::move(refusal));
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
    case route_id::readyz: {
        const auto why = not_ready_because();
        return from.reply(why.empty() ? empty_answer(200) : unavailable(why, 1));
    }
    case route_id::metrics: return from.reply({200, {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}}, registry_.text()});
    case route_id::root: return from.reply(redirect_to_ui());
    case route_id::ui: return from.reply(ui_page());
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
