#pragma once
#include "adapters/nats/config.hpp"
#include "core/config.hpp"
#include "core/lease.hpp"
#include "core/shard.hpp"

#include <chrono>
#include <string>
#include <vector>

// The role `sluice queue-worker`: takes partitions over, reads their logs, sends each call to a replica with a free permit, journals what
// came of it, and sends the callbacks.
namespace sluice::queue_worker {

struct options {
    nats::config nats;
    std::string log_level = "info";
    std::string ready_file;                                  // written once the partitions are owned
    std::string metrics_listen;                              // host:port of /metrics and /healthz; empty: none
    std::string worker_id;                                   // see core/lease.hpp; empty: a new one for each process
    milliseconds lease_ttl{3'000};                           // a worker that does not renew its leases for so long loses them
    std::uint32_t partitions = 4;                            // counts only for the first process of a new cluster
    std::uint64_t log_bytes_max = 4ull * 1024 * 1024 * 1024; // of each partition's log, when it is made
    std::uint64_t journal_bytes_max = 0;                     // of each partition's journal, when it is made; 0: unbounded
    std::uint32_t replicas = 1;                              // of each bucket, log and journal, when it is made
    milliseconds call_deadline{60'000};                      // from dispatch to the whole answer
    std::uint64_t answer_bytes_max = 1024 * 1024;            // of an answer's body that a callback carries
    milliseconds callback_deadline{30'000};                  // from the first byte to the answer
    std::vector<std::string> callback_allow;                 // see url_guard
    std::string callback_ca_file;                            // PEM; empty: the system's
    milliseconds left_alone_wait{30'000};                    // before a partition that was left alone is tried again
    milliseconds drain_deadline{30'000};                     // running calls get that long to finish at shutdown
    std::string retry_codes = "408,429,500,502,503,504";     // see retry_policy
    std::string retry_jitter = "exponential";
    core::shard_options shard = [] {
        core::shard_options with;
        with.partitions.reserve.call_timeout = milliseconds(0); // a dead worker's calls do not hold up its tenants
        return with;
    }();
};

void add_to(config::table& table, options& into);

// What no single value shows; throws config::error naming the options. Before run(), which relies on it.
void check(const options& given);

// Runs until SIGTERM or SIGINT, then finishes what runs and returns the exit code. Throws std::exception when it cannot start.
int run(const options& with);

}
