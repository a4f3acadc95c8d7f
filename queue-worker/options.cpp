#include "queue-worker/queue_worker.hpp"

#include "adapters/nats/stores.hpp"
#include "adapters/process/files.hpp"
#include "core/layout.hpp"
#include "core/option_checks.hpp"

namespace sluice::queue_worker {

namespace {

using std::chrono::hours;
constexpr std::uint64_t mib = 1024 * 1024;

void add_shard(config::table& table, core::shard_options& into)
{
    table.number("tenant_concurrency", "running calls of one tenant", into.tenant_concurrency, 1, 100'000);
    table.number("inflight_max", "running calls in all", into.inflight_max, 1, 100'000);
    table.number("replica_inflight_default", "calls in flight at a replica that declares no max_inflight", into.replica_inflight_default, 1,
                 10'000);
    table.number("retries_max", "attempts after the first, of a call whose function fails in a way that is retried", into.retry.retries_max,
                 0, core::retries_limit);
    table.number("retries_percent", "of a tenant's concurrent calls that may be attempts after the first; at least one call",
                 into.retries_percent, 1, 100);
    table.duration("retry_wait_min", "before the second attempt, then doubling", into.retry.wait_min, milliseconds(0),
                   core::retry_wait_limit);
    table.duration("retry_wait_max", "between two attempts, unless the function asks for more (Retry-After)", into.retry.wait_max,
                   milliseconds(0), core::retry_wait_limit);
    table.duration("refused_max", "a call that is refused (429, no connection) for that long is dead", into.refused_max,
                   milliseconds(1'000), hours(24 * 30));
    table.duration("missing_function_grace", "calls of a function that does not exist wait that long, then are dead",
                   into.missing_function_grace, milliseconds(0), hours(24));
    table.number("callbacks_max", "callbacks under way in all", into.callbacks_max, 1, 100'000);
    table.number("tenant_callbacks_max", "callbacks under way of one tenant", into.tenant_callbacks, 1, 100'000);
    table.number("callback_attempts_max", "attempts to deliver a callback", into.callback.attempts_max, 1, 1'000);
    table.duration("callback_wait_min", "before the second attempt to deliver a callback, then doubling", into.callback.wait_min,
                   milliseconds(1), hours(1));
    table.duration("callback_wait_max", "between two attempts to deliver a callback", into.callback.wait_max, milliseconds(1), hours(24));
    table.number("calls_max", "calls in the index; above it the logs are not read on", into.calls_max, 1'000, 100'000'000);
    table.bytes("purge_bytes_min", "bytes of settled calls that make a purge of the log worth it", into.partitions.purge_bytes_min, 0,
                1024 * mib);
    table.duration("purge_interval", "between two purges of a log", into.partitions.purge_interval, milliseconds(100), hours(1));
}

}

void check(const options& given)
{
    nats::check(given.nats);
    if (given.journal_bytes_max != 0 && given.journal_bytes_max < core::stream_bytes_min)
        throw config::error("journal_bytes_max: is neither 0 nor at least 16MiB");
}

void add_to(config::table& table, options& into)
{
    nats::add_to(table, into.nats);
    table.choice("log_level", "what is logged", into.log_level, {"debug", "info", "warn", "error"});
    table.text("ready_file", "written with host:port of metrics_listen once the partitions are owned", into.ready_file);
    table.text("metrics_listen", "host:port of /metrics and /healthz; port 0: any; empty: none", into.metrics_listen,
               core::check_listen_address);
    table.text("worker_id",
               "names this worker in the leases; started anew under the same name it takes its partitions back at once; empty: a "
               "new name for each process. No two that run may share one",
               into.worker_id);
    table.duration("lease_ttl",
                   "a worker that does not renew its leases for so long loses its partitions; workers may differ, the longer one counts",
                   into.lease_ttl, milliseconds(1'000), hours(1));
    table.number("partitions", "of a new cluster; an existing one keeps its own", into.partitions, 1, core::partitions_max);
    table.bytes("log_bytes_max", "of a partition's log, when it is made", into.log_bytes_max, core::stream_bytes_min, 1ull << 50);
    table.bytes("journal_bytes_max",
                "of a partition's journal, when it is made; from 80 % on no calls are started; 0: unbounded, and then a full store stops "
                "everything",
                into.journal_bytes_max, 0, 1ull << 50);
    nats::add_replicas_to(table, into.replicas);
    table.duration("takeover_reserve",
                   "after a worker died, the calls that it may have running count against their tenants' limits for so long; call_deadline "
                   "makes limits exact, 0 lets work resume at once",
                   into.shard.partitions.reserve.call_timeout, milliseconds(0), hours(24));
    table.duration("call_deadline", "of a call, from dispatch to the whole answer", into.call_deadline, milliseconds(1), hours(24));
    table.bytes("answer_bytes_max", "of an answer's body that a callback carries", into.answer_bytes_max, 0, 64 * mib);
    table.duration("callback_deadline", "of one attempt to deliver a callback", into.callback_deadline, milliseconds(1), hours(1));
    table.list("callback_allow", "addresses, CIDRs or host names, with or without port, that callbacks may go to besides public addresses",
               into.callback_allow, core::check_callback_allow);
    table.text("callback_ca_file", "certificates that callbacks over https are verified with; empty: the system's", into.callback_ca_file,
               process::check_readable);
    table.duration("left_alone_wait", "before a partition that cannot be read is tried again: an operator may have mended it",
                   into.left_alone_wait, milliseconds(100), hours(24));
    table.duration("drain_deadline", "running calls get that long to finish at shutdown", into.drain_deadline, milliseconds(0), hours(1));
    table.bytes("body_bytes_budget", "bodies of waiting calls kept in memory", into.shard.body_bytes_budget, 0, 1ull << 40);
    table.bytes("answer_bytes_budget", "answers of waiting callbacks kept in memory", into.shard.answer_bytes_budget, 0, 1ull << 40);
    table.text("retry_codes", "statuses of a function that are retried", into.retry_codes,
               [](const std::string& text) { core::parse_retry_codes(text); });
    table.choice("retry_jitter", "the wait is as computed, or drawn from nothing to that, or from half of it to that", into.retry_jitter,
                 {"exponential", "full", "equal"});
    add_shard(table, into.shard);
}

}
