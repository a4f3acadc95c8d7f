#include "core/accept.hpp"

#include "core/layout.hpp"
#include "sluice/wire.hpp"

#include <cassert>

namespace sluice::core {

namespace {

constexpr std::uint32_t unknown_retry_s = 1;
// Of a NATS message besides our fields' names and values: the status line, Nats-Msg-Id, colons and line ends.
constexpr std::uint64_t message_framing_bytes = 128;

std::string call_header(const admission& to, unix_ms now)
{
    std::string text = std::to_string(wire::format_version);
    text.reserve(160);
    const auto& name = to.function->name;
    text.append(" ")
        .append(*to.tenant)
        .append(" ")
        .append(name.name)
        .append(".")
        .append(name.space)
        .append(" ")
        .append(std::to_string(now));
    return text;
}

}

refusal body_too_large(std::uint64_t body_bytes_max)
{
    return {413, "the body is larger than body_bytes_max, " + std::to_string(body_bytes_max) + " bytes"};
}

accept_result<admission> admit(const function_name& function, std::string_view callback_url, const directory& known,
                               const accept_policy& policy)
{
    if (auto why = known.unknown(function))
        return refusal{503, *std::move(why), unknown_retry_s};
    admission to;
    to.function = known.find(function);
    if (!to.function)
        return refusal{404, "error finding function " + function.full() + ": not found"};
    if (!callback_url.empty() && policy.callback_refusal)
        if (auto why = policy.callback_refusal(callback_url); !why.empty())
            return refusal{400, "X-Callback-Url: " + why};
    to.tenant = &known.tenant_of(to.function->name.space); // of the directory, as it may be the one returned
    to.partition = partition_of(*to.tenant, policy.partitions);
    to.callback_url = callback_url;
    return to;
}

accept_result<accepted> seal(const admission& to, std::string id, std::string payload, std::uint64_t body_bytes, unix_ms now,
                             const accept_policy& policy)
{
    assert(to.tenant->find(' ') == std::string::npos && body_bytes <= payload.size());
    if (body_bytes > policy.body_bytes_max)
        return body_too_large(policy.body_bytes_max);
    accepted call;
    call.partition = to.partition;
    call.message.fields.reserve(2);
    call.message.fields.push_back({std::string(wire::call_header), call_header(to, now)});
    if (!to.callback_url.empty())
        call.message.fields.push_back({std::string(wire::callback_header), std::string(to.callback_url)});
    std::uint64_t bytes = payload.size() + id.size() + message_framing_bytes;
    for (const auto& field : call.message.fields)
        bytes += field.name.size() + field.value.size();
    if (bytes > policy.message_bytes_max)
        return refusal{413,
                       "the call is larger than the message log takes, max_payload " + std::to_string(policy.message_bytes_max) + " bytes"};
    call.message.id = std::move(id);
    call.message.payload = std::move(payload);
    call.message.deadline = policy.publish_deadline;
    return call;
}

}
