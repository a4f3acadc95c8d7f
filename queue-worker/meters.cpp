#include "queue-worker/meters.hpp"

namespace sluice::queue_worker {

namespace {

using how_kind = core::journal::settled::how_kind;

const char* name_of(how_kind how)
{
    switch (how) {
    case how_kind::done: return "done";
    case how_kind::called_back: return "called_back";
    case how_kind::dead: return "dead";
    case how_kind::callback_dead: return "callback_dead";
    case how_kind::unreadable: return "unreadable";
    }
    return "unknown";
}

}

meters::meters(std::string queue) : queue_(std::move(queue))
{
    for (auto how : {how_kind::done, how_kind::called_back, how_kind::dead, how_kind::callback_dead, how_kind::unreadable})
        settled_[how] = registry_.make_counter("sluice_calls_settled_total", "Calls settled on record, by how they ended",
                                               {{"queue_name", queue_}, {"how", name_of(how)}});
    processed_ = registry_.make_counter("queue_worker_messages_processed_total", "Calls settled on record", {{"queue_name", queue_}});
    callbacks_delivered_ =
        registry_.make_counter("sluice_callback_attempts_total", "Attempts to deliver a callback", {{"result", "delivered"}});
    callbacks_failed_ = registry_.make_counter("sluice_callback_attempts_total", "Attempts to deliver a callback", {{"result", "failed"}});
    reconnects_ = registry_.make_counter("queue_worker_nats_reconnect_total", "Reconnects to NATS");
    live_ = registry_.make_gauge("sluice_calls_unsettled", "Accepted calls that are not settled on record", {{"queue_name", queue_}});
    callbacks_waiting_ = registry_.make_gauge("sluice_callbacks_waiting", "Callbacks that wait for their turn", {{"queue_name", queue_}});
    partitions_ = registry_.make_gauge("sluice_partitions_owned", "Partitions that this worker owns", {{"queue_name", queue_}});
}

meters::per_function& meters::of(const function_name& function)
{
    auto known = functions_.find(function);
    if (known != functions_.end())
        return known->second;
    const metrics::labels labels{{"queue_name", queue_}, {"function_name", function.full()}};
    per_function made;
    made.pending = registry_.make_gauge("queue_worker_pending_messages", "Calls that wait for their turn", labels);
    made.in_flight = registry_.make_gauge("queue_worker_function_invocation_inflight", "Calls at a replica", labels);
    return functions_.emplace(function, std::move(made)).first->second;
}

void meters::attempt(const function_name& function, const outcome& result)
{
    const unsigned status = result.kind == outcome_kind::delivered ? result.reply.status : 0;
    auto& children = of(function).seconds;
    auto known = children.find(status);
    if (known == children.end())
        known = children
                    .emplace(status,
                             registry_.make_histogram("sluice_attempt_seconds", "Attempts to execute a call; code 0: no answer",
                                                      {{"function_name", function.full()}, {"code", std::to_string(status)}}))
                    .first;
    known->second.observe(std::chrono::duration<double>(result.took).count());
}

void meters::settled(const core::act::settled& what)
{
    processed_.add();
    settled_[what.how].add();
}

void meters::callback(const outcome& result)
{
    const bool delivered = result.kind == outcome_kind::delivered && result.reply.status / 100 == 2;
    (delivered ? callbacks_delivered_ : callbacks_failed_).add();
}

void meters::reconnects(std::uint64_t total)
{
    reconnects_.add(static_cast<double>(total - reconnects_seen_));
    reconnects_seen_ = total;
}

void meters::remove(const function_name& function)
{
    if (functions_.erase(function) > 0)
        registry_.remove("function_name", function.full());
}

std::string meters::text(const core::shard& shard)
{
    const auto now = shard.count();
    live_.set(static_cast<double>(now.live));
    callbacks_waiting_.set(static_cast<double>(now.callbacks_waiting));
    partitions_.set(static_cast<double>(now.partitions_owned));
    shard.each_function([this](const function_name& function, std::size_t waiting, std::size_t running) {
        if (waiting == 0 && running == 0 && !functions_.contains(function))
            return;
        auto& gauges = of(function);
        gauges.pending.set(static_cast<double>(waiting));
        gauges.in_flight.set(static_cast<double>(running));
    });
    return registry_.text();
}

}
