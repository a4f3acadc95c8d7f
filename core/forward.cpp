#include "core/forward.hpp"

#include "sluice/wire.hpp"

#include <algorithm>
#include <cassert>
#include <charconv>

namespace sluice::core {

namespace {

bool is_hex(std::string_view text) noexcept
{
    return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool all_zero(std::string_view text) noexcept { return text.find_first_not_of('0') == text.npos; }

// Whether some Connection field of the request names this field.
bool named_by_connection(const http_request& from, std::string_view name) noexcept
{
    return std::any_of(from.fields.begin(), from.fields.end(),
                       [&](const header_view& field) { return same_name(field.name, "Connection") && list_has(field.value, name); });
}

// True when Connection says more than the two words that name no field.
bool connection_names_fields(const http_request& from) noexcept
{
    for (const auto& field : from.fields)
        if (same_name(field.name, "Connection") && !field.value.empty() && !same_name(field.value, "keep-alive")
            && !same_name(field.value, "close"))
            return true;
    return false;
}

bool stays_here(std::string_view name) noexcept
{
    return is_hop_by_hop(name) || same_name(name, "Host") || same_name(name, "Content-Length") || same_name(name, "Expect")
        || same_name(name, wire::replica_token_header) || same_name(name, wire::attempt_header) || same_name(name, wire::epoch_header);
}

// What the caller sent of the fields that are added where they are missing.
struct presence {
    std::string_view call_id, traceparent;
    bool forwarded_for = false, forwarded_host = false, user_agent = false, tracestate = false;
    int traceparents = 0;

    void note(const header_view& field) noexcept
    {
        switch (field.name.size()) {
        case 9:
            if (same_name(field.name, "X-Call-Id") && call_id.empty())
                call_id = field.value;
            break;
        case 10:
            user_agent |= same_name(field.name, "User-Agent");
            tracestate |= same_name(field.name, "tracestate");
            break;
        case 11:
            if (same_name(field.name, "traceparent")) {
                traceparent = field.value;
                ++traceparents;
            }
            break;
        case 15: forwarded_for |= same_name(field.name, "X-Forwarded-For"); break;
        case 16: forwarded_host |= same_name(field.name, "X-Forwarded-Host"); break;
        default: break;
        }
    }
    bool valid_trace() const noexcept { return traceparents == 1 && is_traceparent(traceparent); }
};

bool is_trace_field(std::string_view name) noexcept { return same_name(name, "traceparent") || same_name(name, "tracestate"); }

void append_additions(std::string& block, const http_request& from, const additions& more, const presence& sent, bool trace_kept)
{
    if (sent.call_id.empty())
        append_field(block, "X-Call-Id", more.id);
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, more.start_unix_ns).ptr;
    append_field(block, "X-Start-Time", {digits, static_cast<std::size_t>(end - digits)});
    if (!sent.forwarded_for && !from.peer.empty())
        append_field(block, "X-Forwarded-For", from.peer);
    if (const auto host = from.field("Host"); !sent.forwarded_host && !host.empty())
        append_field(block, "X-Forwarded-Host", host);
    if (!sent.user_agent && !more.user_agent.empty())
        append_field(block, "User-Agent", more.user_agent);
    if (!trace_kept)
        append_field(block, "traceparent", make_traceparent(more.id));
}

}

function_target split_target(std::string_view target, std::string_view prefix) noexcept
{
    assert(target.substr(0, prefix.size()) == prefix && prefix.back() == '/');
    const auto query_at = std::min(target.find('?'), target.size());
    auto path = target.substr(0, query_at);
    path.remove_prefix(std::min(prefix.size(), path.size()));
    const auto slash = std::min(path.find('/'), path.size());
    return {path.substr(0, slash), path.substr(slash), target.substr(query_at)};
}

bool is_traceparent(std::string_view value) noexcept
{
    constexpr std::size_t size = 55; // version 00
    if (value.size() < size || value[2] != '-' || value[35] != '-' || value[52] != '-')
        return false;
    const auto version = value.substr(0, 2), trace = value.substr(3, 32), parent = value.substr(36, 16), flags = value.substr(53, 2);
    if (!is_hex(version) || !is_hex(trace) || !is_hex(parent) || !is_hex(flags) || version == "ff" || all_zero(trace) || all_zero(parent))
        return false;
    return version == "00" ? value.size() == size : value.size() == size || value[size] == '-';
}

std::string make_traceparent(std::string_view id)
{
    assert(id.size() == 36);
    std::string value;
    value.reserve(55);
    value.append("00-").append(id, 0, 8).append(id, 9, 4).append(id, 14, 4).append(id, 19, 4).append(id, 24, 12);
    // The id's last 16 digits start with the UUID's variant, so they are never all zero.
    value.append("-").append(value, 19, 16).append("-01");
    return value;
}

std::string_view append_forwarded(std::string& block, const http_request& from, const additions& more)
{
    const bool named = connection_names_fields(from);
    presence sent;
    for (const auto& field : from.fields)
        if (!named || !named_by_connection(from, field.name))
            sent.note(field);
    const bool trace_kept = sent.valid_trace();
    const bool trace_dropped = !trace_kept && (sent.traceparents > 0 || sent.tracestate);
    for (const auto& field : from.fields) {
        if (stays_here(field.name) || (named && named_by_connection(from, field.name)))
            continue;
        if (trace_dropped && is_trace_field(field.name))
            continue;
        if (sent.call_id.empty() && same_name(field.name, "X-Call-Id"))
            continue;
        assert(std::none_of(field.value.begin(), field.value.end(), [](char c) { return c == '\r' || c == '\n' || c == '\0'; }));
        append_field(block, field.name, field.value);
    }
    append_additions(block, from, more, sent, trace_kept);
    return sent.call_id.empty() ? more.id : sent.call_id;
}

std::size_t field_bytes(const http_request& from) noexcept
{
    std::size_t bytes = 0;
    for (const auto& field : from.fields)
        bytes += field.name.size() + field.value.size() + 4;
    return bytes;
}

}
