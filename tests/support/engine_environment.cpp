#include "tests/support/engine_environment.hpp"

#include <algorithm>
#include <array>

namespace sluice::testing_support {

using namespace core;

namespace {

constexpr milliseconds call_takes_at_most{700};

shard_options random_options(dice& random)
{
    shard_options made;
    made.tenant_concurrency = 3;
    made.inflight_max = 6;
    made.retry.retries_max = random.below(2) ? 1 : 3;
    made.retry.wait_min = milliseconds(20);
    made.retry.wait_max = milliseconds(100);
    if (random.below(2) == 0)
        made.retry.codes.clear(); // a function's own error stands
    made.retries_percent = random.below(2) ? 100 : 34;
    made.missing_function_grace = milliseconds(300);
    made.callbacks_max = 4;
    made.tenant_callbacks = 2;
    made.callback = {random.below(2) ? 2u : 4u, milliseconds(20), milliseconds(100)};
    const std::array<std::uint64_t, 3> budgets{0, 400, 1'000'000};
    made.body_bytes_budget = budgets[random.below(3)];
    made.answer_bytes_budget = budgets[random.below(3)];
    made.calls_max = random.below(2) ? 10 : 1'000;
    made.partitions = {{.batch_bytes_max = 600,
                        .pipeline_bytes = 100,
                        .in_flight_max = 3,
                        .resend_wait_min = milliseconds(5),
                        .resend_wait_max = milliseconds(50)},
                       5,
                       200,
                       milliseconds(50),
                       random.below(4) ? 100'000u : 200u,
                       4,
                       500,
                       {made.tenant_concurrency, random.below(3) ? call_takes_at_most : milliseconds(0), milliseconds(200)}};
    return made;
}

ledger::limits limits_of(const shard_options& with)
{
    return {with.tenant_concurrency,
            with.inflight_max,
            environment::replica_slots,
            with.tenant_callbacks,
            with.callbacks_max,
            with.retry.retries_max + 1,
            std::max(with.tenant_concurrency * with.retries_percent / 100, 1u),
            !with.retry.codes.empty(),
            with.partitions.reserve.call_timeout.count() > 0};
}

}

environment::environment(std::uint64_t seed, mutation how, bool trace)
    : broken(how),
      random(seed),
      options(random_options(random)),
      leases(random.below(2) == 0),
      books(clock, limits_of(options), faults, leases, trace),
      partitions(partition_count),
      lease_keys(partition_count)
{
    options.tenant_concurrency += is(mutation::tenant_overbooked) ? 1 : 0;
    options.inflight_max += is(mutation::workers_calls_overbooked) ? 1 : 0;
    options.callbacks_max += is(mutation::callbacks_overbooked) ? 1 : 0;
    options.tenant_callbacks += is(mutation::tenant_callbacks_overbooked) ? 1 : 0;
    options.retries_percent = is(mutation::retries_overbooked) ? 100 : options.retries_percent;
    options.retry.retries_max += is(mutation::one_attempt_more) ? 1 : 0;
    if (auto& counted = options.partitions.reserve.call_timeout; is(mutation::former_calls_not_counted))
        counted = std::min(counted, milliseconds(1));
}

}
