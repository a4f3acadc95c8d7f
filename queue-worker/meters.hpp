#pragma once
#include "adapters/metrics/metrics.hpp"
#include "core/shard.hpp"

#include <map>

namespace sluice::queue_worker {

// The worker's metrics, in OpenFaaS's names where it has one. Loop thread only.
class meters {
public:
    explicit meters(std::string queue);

    void attempt(const function_name& function, const outcome& result);
    void settled(const core::act::settled& what);
    void callback(const outcome& result);
    void reconnects(std::uint64_t total);
    // Of a function that does not exist any more; what still waits or runs is shown until it has ended.
    void remove(const function_name& function);

    // The exposition text; gauges are read from the shard now.
    std::string text(const core::shard& shard);

private:
    struct per_function {
        metrics::gauge pending;
        metrics::gauge in_flight;
        std::map<unsigned, metrics::histogram> seconds; // by status; 0: no answer
    };
    per_function& of(const function_name& function);

    metrics::registry registry_;
    std::string queue_;
    std::map<function_name, per_function> functions_;
    std::map<core::journal::settled::how_kind, metrics::counter> settled_;
    metrics::counter processed_;
    metrics::counter callbacks_delivered_;
    metrics::counter callbacks_failed_;
    metrics::counter reconnects_;
    metrics::gauge live_;
    metrics::gauge callbacks_waiting_;
    metrics::gauge partitions_;
    std::uint64_t reconnects_seen_ = 0;
};

}
