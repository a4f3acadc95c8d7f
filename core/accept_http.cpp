#include "core/accept_http.hpp"

#include "core/forward.hpp"
#include "core/ids.hpp"

namespace sluice::core {

accept_result<accepted_http> accept(const http_request& request, const directory& known, const accept_policy& policy,
                                    const accept_moment& now)
{
    const auto target = split_target(request.target, async_prefix);
    const auto name = parse_function_name(target.name);
    if (!name)
        return refusal{404, "no function can have the name in this path"};
    const auto to = admit(*name, request.field("X-Callback-Url"), known, policy);
    if (!to)
        return to.error();
    if (request.body.size() > policy.body_bytes_max)
        return body_too_large(policy.body_bytes_max);

    const auto now_ms = now.unix_ns / 1'000'000;
    auto id = make_id(now_ms, to->partition, now.random);
    std::string payload;
    payload.reserve(request.target.size() + field_bytes(request) + additions_bytes_max + request.body.size());
    payload.append(request.method).append(" ");
    payload.append(target.path.empty() ? "/" : target.path).append(target.query).append(" HTTP/1.1\r\n");
    accepted_http result;
    result.answer.reserve(3);
    const auto call_id = append_forwarded(payload, request, {id, now.unix_ns});
    result.answer.push_back({"X-Call-Id", std::string(call_id)});
    result.answer.push_back({"X-Start-Time", std::to_string(now.unix_ns)});
    payload.append("\r\n").append(request.body);
    auto sealed = seal(*to, std::move(id), std::move(payload), request.body.size(), now_ms, policy);
    if (!sealed)
        return sealed.error();
    result.call = std::move(*sealed);
    return result;
}

}
