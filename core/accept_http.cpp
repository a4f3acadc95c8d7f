#include "core/accept_http.hpp"

#include "core/forward.hpp"
#include "core/ids.hpp"

namespace sluice::core {

namespace {

constexpr std::int64_t ns_per_ms = 1'000'000;

}

accept_result<admission> admit(const http_request& head, const directory& known, const accept_policy& policy)
{
    const auto name = parse_function_name(split_target(head.target, async_prefix).name);
    if (!name)
        return refusal{404, "no function can have the name in this path"};
    return admit(*name, head.field("X-Callback-Url"), known, policy);
}

accept_result<accepted> accept(const http_request& request, const directory& known, const accept_policy& policy, const accept_moment& now)
{
    const auto to = admit(request, known, policy);
    if (!to)
        return to.error();
    if (request.body.size() > policy.body_bytes_max)
        return body_too_large(policy.body_bytes_max);

    const auto target = split_target(request.target, async_prefix);
    const auto now_ms = now.unix_ns / ns_per_ms;
    auto id = make_id(now_ms, to->partition, now.random);
    std::string payload;
    payload.reserve(request.target.size() + field_bytes(request) + additions_bytes_max + request.body.size());
    payload.append(request.method).append(" ");
    payload.append(target.path.empty() ? "/" : target.path).append(target.query).append(" HTTP/1.1\r\n");
    append_forwarded(payload, request, {id, now.unix_ns});
    payload.append("\r\n").append(request.body);
    return seal(*to, std::move(id), std::move(payload), request.body.size(), now_ms, policy);
}

headers accept_answer(const http_request& request, std::uint32_t partition, const accept_moment& now)
{
    headers answer;
    answer.reserve(4);
    const auto own = request.field("X-Call-Id");
    answer.push_back({"X-Call-Id", own.empty() ? make_id(now.unix_ns / ns_per_ms, partition, now.random) : std::string(own)});
    answer.push_back({"X-Start-Time", std::to_string(now.unix_ns)});
    return answer;
}

}
