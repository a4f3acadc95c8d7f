#include "gateway/async_handler.hpp"

#include "core/forward.hpp"

#include <chrono>

namespace sluice::gateway {

namespace {

using std::chrono::steady_clock;

// The publish deadline is divided into this many attempts.
constexpr int attempts = 3;
constexpr std::uint32_t unavailable_retry_s = 1;
constexpr std::uint32_t full_retry_s = 10;

std::int64_t unix_ns_now()
{
    using namespace std::chrono;
    return duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count();
}

}

std::optional<http_response> async_handler::refusal_of(const http_request& head) const
{
    const auto to = core::admit(head, known_, policy_);
    return to ? std::nullopt : std::optional(answer_of(to.error()));
}

struct async_handler::publishing {
    call from;
    core::accept_moment when;
    core::accepted sealed; // sent again as it is: what is deployed may have changed meanwhile
};

void async_handler::handle(call from)
{
    const core::accept_moment when{unix_ns_now(), random_.next()};
    auto sealed = core::accept(from.request(), known_, policy_, when);
    if (!sealed)
        return from.reply(answer_of(sealed.error()));
    sealed->message.deadline = policy_.publish_deadline / attempts;
    const auto what = std::make_shared<publishing>(publishing{std::move(from), when, std::move(*sealed)});
    what->from.take_body(); // it is in the message
    append(what);
}

void async_handler::append(const publishing_ptr& what)
{
    // A server that came back with a smaller bound would close the connection on this one, each time.
    const auto bytes = what->sealed.message.payload.size();
    if (bytes > policy_.message_bytes_max)
        return refuse(what, core::body_too_large(policy_.body_bytes_max));
    if (const auto why = into_.refusal_for(what->sealed.partition, bytes))
        return refuse(what, *why);
    into_.append(what->sealed, [this, what](message_log::result<stored_at> stored) { finished(what, stored); });
}

void async_handler::finished(const publishing_ptr& what, const message_log::result<stored_at>& stored)
{
    if (stored)
        return accepted(what);
    const auto asked_for = steady_clock::now() - what->from.started();
    if (stored.error() == log_errc::unknown && asked_for < policy_.publish_deadline * (attempts - 1) / attempts)
        return append(what);
    if (stored.error() == log_errc::too_large)
        return refuse(what, {413, "the call is larger than the message log takes (max_payload)"});
    if (stored.error() == log_errc::full)
        return refuse(what, {503, "the queue is full", full_retry_s});
    refuse(what, {503, "the call could not be queued: " + stored.error().message(), unavailable_retry_s});
}

void async_handler::accepted(const publishing_ptr& what)
{
    const auto& from = what->from;
    if (const auto name = parse_function_name(from.name()); name && known_.find(*name))
        counted_.of(*name)->accepted();
    auto answer = core::accept_answer(from.request(), what->sealed.partition, what->when);
    answer.push_back({"X-Served-By", served_by});
    from.reply({202, std::move(answer), {}});
}

void async_handler::refuse(const publishing_ptr& what, const core::refusal& why)
{
    if (const auto left_out = refusals_logged_.allow(steady_clock::now()))
        log_.warn("call refused invocation={} function={} partition={} status={} reason=\"{}\" not_logged={}", what->sealed.message.id,
                  what->from.name(), what->sealed.partition, why.status, why.text, *left_out);
    what->from.reply(answer_of(why));
}

}
