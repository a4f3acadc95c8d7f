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

void async_handler::handle(call from) { append(std::move(from), {unix_ns_now(), random_.next()}); }

void async_handler::append(call from, core::accept_moment when)
{
    auto accepted = core::accept(from.request(), known_, policy_, when);
    if (!accepted)
        return from.reply(answer_of(accepted.error()));
    if (const auto why = into_.refusal_for(accepted->partition, accepted->message.payload.size()))
        return from.reply(answer_of(*why));
    accepted->message.deadline = policy_.publish_deadline / attempts;
    const auto partition = accepted->partition;
    into_.append(std::move(*accepted), [this, from = std::move(from), when, partition](message_log::result<stored_at> stored) {
        finished(from, when, partition, stored);
    });
}

void async_handler::finished(const call& from, core::accept_moment when, std::uint32_t partition,
                             const message_log::result<stored_at>& stored)
{
    if (stored)
        return accepted(from, when, partition);
    if (stored.error() == log_errc::unknown && steady_clock::now() - from.started() < policy_.publish_deadline * (attempts - 1) / attempts)
        return append(from, when);
    if (stored.error() == log_errc::too_large)
        return from.reply(answer_of({413, "the call is larger than the message log takes (max_payload)"}));
    if (stored.error() == log_errc::full)
        return from.reply(unavailable("the queue is full", full_retry_s));
    from.reply(unavailable("the call could not be queued: " + stored.error().message(), unavailable_retry_s));
}

void async_handler::accepted(const call& from, core::accept_moment when, std::uint32_t partition)
{
    if (const auto name = parse_function_name(from.name()); name && known_.find(*name))
        counted_.of(*name)->accepted();
    auto answer = core::accept_answer(from.request(), partition, when);
    answer.push_back({"X-Served-By", served_by});
    from.reply({202, std::move(answer), {}});
}

}
