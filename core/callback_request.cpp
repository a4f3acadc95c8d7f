#include "core/callback_request.hpp"

#include "sluice/version.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace sluice::core {

namespace {

// Set by us, or about the connection that the answer came over; never copied from the function's answer.
constexpr std::array<std::string_view, 12> not_copied{"Content-Length",
                                                      "Host",
                                                      "Date",
                                                      "X-Call-Id",
                                                      "X-Duration-Seconds",
                                                      "X-Function-Status",
                                                      "X-Sluice-Truncated",
                                                      "User-Agent",
                                                      "traceparent",
                                                      "X-Function-Name",
                                                      "X-Retry",
                                                      "X-Retry-Max"};

bool copied(const header& field)
{
    return !is_hop_by_hop(field.name)
        && std::none_of(not_copied.begin(), not_copied.end(), [&](std::string_view name) { return same_name(name, field.name); });
}

std::string seconds(std::chrono::microseconds took)
{
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.6f", static_cast<double>(took.count()) / 1e6);
    return text.data();
}

void append_own_fields(std::string& head, const invocation& call, const outcome& last, unsigned status, attempts_made tried)
{
    const auto asked = std::string_view(*call.payload).substr(call.fields_at, call.body_at - 2 - call.fields_at);
    append_field(head, "X-Call-Id", field_of(asked, "X-Call-Id"));
    append_field(head, "X-Function-Name", call.function.full());
    append_field(head, "X-Function-Status", std::to_string(status));
    append_field(head, "X-Duration-Seconds", seconds(last.took));
    if (tried.attempts > 1)
        append_field(head, "X-Retry", std::to_string(tried.attempts - 1));
    append_field(head, "X-Retry-Max", std::to_string(std::max(tried.retries_max, tried.attempts - 1)));
    append_field(head, "User-Agent", std::string("sluice-queue-worker/") + release);
    if (auto trace = field_of(asked, "traceparent"); !trace.empty())
        append_field(head, "traceparent", trace);
}

}

journal::answered make_callback(const invocation& call, const verdict& decided, const outcome& last, attempts_made tried)
{
    journal::answered made;
    made.call = {call.sequence, call.id_hash};
    made.attempts = tried.attempts;
    made.status = decided.status;
    made.dead = decided.kind == verdict_kind::dead;
    made.url = call.callback_url;
    made.tenant = call.tenant;
    made.function = call.function.full();
    if (last.kind == outcome_kind::delivered) {
        for (const auto& field : last.reply.fields)
            if (copied(field))
                append_field(made.head, field.name, field.value);
        if (last.reply.truncated)
            append_field(made.head, "X-Sluice-Truncated",
                         "sent=" + std::to_string(last.reply.body.size()) + " of=" + std::to_string(last.reply.body_bytes));
        made.body = last.reply.body;
    } else {
        append_field(made.head, "Content-Type", "text/plain; charset=utf-8");
        made.body = decided.reason + "\n";
    }
    append_own_fields(made.head, call, last, decided.status, tried);
    return made;
}

}
