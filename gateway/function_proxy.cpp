#include "gateway/function_proxy.hpp"

#include "core/forward.hpp"
#include "core/ids.hpp"
#include "sluice/version.hpp"
#include "sluice/wire.hpp"

#include <chrono>

namespace sluice::gateway {

namespace {

using std::chrono::steady_clock;

constexpr std::string_view prefix = "/function/";
constexpr std::size_t replicas_tried_max = 3;
constexpr std::uint32_t retry_s = 1;
constexpr unsigned client_closed_request = 499; // as nginx counts it; only a client that closed its sending side alone reads it
const std::string user_agent = std::string("sluice-gateway/") + release;

bool is_proxied(std::string_view method)
{
    for (auto known : {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
        if (method == known)
            return true;
    return false;
}

http_response of_ours(http_response response)
{
    response.fields.push_back({std::string(wire::internal_header), "gateway"});
    return response;
}

// The reason itself may quote what the function wrote, and whoever may call a function need not see that.
std::string nobody_ready(const function_name& function, const function_endpoints* endpoints)
{
    auto text = "no replica of " + function.full() + " is ready";
    if (endpoints && endpoints->trouble)
        text.append("; GET /system/function/").append(function.full()).append(" says why");
    return text;
}

http_response method_not_allowed()
{
    auto response = text_answer(405, "functions are called with GET, POST, PUT, PATCH, DELETE, HEAD or OPTIONS");
    response.fields.push_back({"Allow", "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"});
    return response;
}

// The function's answer without what belongs to its connection.
http_response passed_on(answer&& reply, std::string_view request_type)
{
    http_response response{reply.status, {}, std::move(reply.body)};
    response.fields.reserve(reply.fields.size() + 4);
    bool typed = false;
    for (auto& field : reply.fields) {
        if (is_hop_by_hop(field.name) || same_name(field.name, "Content-Length") || same_name(field.name, wire::replica_token_header))
            continue;
        typed |= same_name(field.name, "Content-Type");
        response.fields.push_back(std::move(field));
    }
    if (!typed && !response.body.empty())
        response.fields.push_back({"Content-Type", request_type.empty() ? "text/plain" : std::string(request_type)});
    return response;
}

}

// One call until its answer, over one replica or several.
struct function_proxy::attempt {
    call from;
    function_name function;
    function_meters::one_ptr counted;
    std::string call_id; // of ours; empty: the caller sent one
    std::string start_time;
    http::client_request request;
    std::size_t head_size = 0; // of request.head without a token
    std::vector<std::string> tried;
    steady_clock::time_point deadline;
    http::client::call_id under_way = 0;
    bool abandoned = false;
};

std::optional<http_response> function_proxy::refusal_of(const http_request& head) const
{
    const auto name = parse_function_name(core::split_target(head.target, prefix).name);
    if (!name)
        return text_answer(404, "no function can have the name in this path");
    if (auto why = known_.unknown(*name))
        return unavailable(*std::move(why), retry_s);
    if (!known_.find(*name))
        return text_answer(404, "error finding function " + name->full() + ": not found");
    if (!is_proxied(head.method))
        return method_not_allowed();
    if (under_way_ >= bounds_.calls_max)
        return of_ours(unavailable("too many synchronous calls are under way: function_calls_max", retry_s));
    return std::nullopt;
}

void function_proxy::handle(call from)
{
    const auto& request = from.request();
    if (auto refusal = refusal_of(request))
        return from.reply(*std::move(refusal));
    const auto name = parse_function_name(from.name());
    const auto unix_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    const auto target = core::split_target(request.target, prefix);
    const auto id = core::make_id(unix_ns / 1'000'000, 0, random_.next());
    auto what = std::make_shared<attempt>(attempt{
        from, *name, counted_.of(*name), {}, std::to_string(unix_ns), {}, 0, {}, steady_clock::now() + bounds_.upstream_timeout, 0, false});
    auto& upstream = what->request;
    upstream.method = request.method;
    upstream.target = std::string(target.path.empty() ? "/" : target.path).append(target.query);
    upstream.head.reserve(core::field_bytes(request) + core::additions_bytes_max);
    if (core::append_forwarded(upstream.head, request, {id, unix_ns, user_agent}) == id)
        what->call_id = id;
    what->head_size = upstream.head.size();
    upstream.answer_bytes_max = bounds_.answer_bytes_max;
    if (!request.body.empty())
        upstream.body = std::make_shared<const std::string>(what->from.take_body());
    ++under_way_;
    what->counted->started();
    // Weak: the call itself keeps this callback.
    what->from.on_abandoned([this, weak = std::weak_ptr(what)] {
        if (const auto left = weak.lock())
            abandoned(left);
    });
    send(what);
}

void function_proxy::send(const attempt_ptr& what)
{
    const auto* endpoints = known_.endpoints(what->function);
    const auto* replica = endpoints && what->tried.size() < replicas_tried_max ? balancer_.start(*endpoints, what->tried) : nullptr;
    if (!replica && what->tried.empty())
        return finish(what, of_ours(unavailable(nobody_ready(what->function, endpoints), retry_s)));
    if (!replica)
        return finish(what, of_ours(text_answer(502, "no replica of " + what->function.full() + " could be reached")));
    what->tried.push_back(replica->replica);
    auto request = what->request;
    request.host = replica->host;
    request.port = replica->port;
    request.head.resize(what->head_size);
    if (!replica->token.empty())
        append_field(request.head, wire::replica_token_header, replica->token);
    request.deadline = std::max(milliseconds(1), std::chrono::ceil<milliseconds>(what->deadline - steady_clock::now()));
    what->under_way =
        replicas_.call(std::move(request), [this, what, id = replica->replica](outcome result) { answered(what, id, std::move(result)); });
}

void function_proxy::answered(const attempt_ptr& what, const std::string& replica, outcome result)
{
    balancer_.finished(what->function, replica);
    if (what->abandoned && result.kind != outcome_kind::delivered)
        return finish(what, of_ours(text_answer(client_closed_request, "the client closed the connection before the function's answer")));
    switch (result.kind) {
    case outcome_kind::delivered:
        adopt_cut(result.reply);
        if (result.reply.truncated)
            return finish(what,
                          of_ours(text_answer(502,
                                              "the function's answer is larger than function_answer_bytes_max, "
                                                  + std::to_string(bounds_.answer_bytes_max) + " bytes")));
        return finish(what, passed_on(std::move(result.reply), what->from.request().field("Content-Type")));
    case outcome_kind::refused: return send(what);
    case outcome_kind::unreachable: return finish(what, of_ours(text_answer(502, "the function's connection broke: " + result.reason)));
    case outcome_kind::timed_out: return finish(what, of_ours(text_answer(504, "the function did not answer within upstream_timeout")));
    case outcome_kind::overloaded: return finish(what, of_ours(unavailable("the gateway cannot open a connection", retry_s)));
    }
}

// Its answer comes through the cancelled request.
void function_proxy::abandoned(const attempt_ptr& what)
{
    what->abandoned = true;
    replicas_.cancel(what->under_way);
}

void function_proxy::finish(const attempt_ptr& what, http_response response)
{
    --under_way_;
    const std::chrono::duration<double> took = steady_clock::now() - what->from.started();
    what->counted->finished(response.status, took.count());
    if (!what->call_id.empty() && !find(response.fields, "X-Call-Id"))
        response.fields.push_back({"X-Call-Id", what->call_id});
    response.fields.push_back({"X-Start-Time", what->start_time});
    response.fields.push_back({"X-Served-By", served_by});
    what->from.reply(std::move(response));
}

}
