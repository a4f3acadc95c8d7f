#pragma once
#include "core/lease.hpp"
#include "core/shard.hpp"
#include "tests/support/engine_faults.hpp"
#include "tests/support/engine_ledger.hpp"
#include "tests/support/engine_mutations.hpp"
#include "tests/support/engine_stream.hpp"
#include "tests/support/engine_timeline.hpp"

#include <map>
#include <string>
#include <vector>

// What the simulated workers live in: virtual time, chance, the server's streams, functions, and the books that check everything.
namespace sluice::testing_support {

struct function_model {
    bool exists = true;
    std::vector<endpoint> replicas;
};

struct environment {
    environment(std::uint64_t seed, mutation how, bool trace);

    mutation broken;
    timeline clock;
    dice random;
    core::shard_options options; // of every shard
    bool leases;                 // say who owns a partition; else the world does, at its whim
    fault_counts faults;
    ledger books;
    struct partition {
        model_stream log;
        model_stream journal;
        std::uint64_t connection = 1; // of whoever talks to their leader; another after each change or restart of it
        mono_time down_until{};
    };
    std::vector<partition> partitions;
    std::map<std::string, function_model> functions;
    struct lease_key {
        kv_entry entry;
        std::uint64_t holder = 0; // the worker; 0: nobody
    };
    std::vector<lease_key> lease_keys;
    mono_time leases_down_until{};
    std::function<void(std::uint32_t partition)> lease_changed; // in the bucket
    key_value::result<std::uint64_t> store_lease(std::uint32_t partition, const core::lease::step& what, std::uint64_t worker);

    bool calm = false; // nothing goes wrong any more
    std::uint64_t executions = 0;
    std::function<void(const ledger::ownership& which)> new_owner; // a partition was taken over

    // With this chance in thousand, while it is not calm.
    bool goes_wrong(unsigned permille) { return !calm && random.below(1'000) < permille; }
    bool goes_wrong(unsigned permille, fault what)
    {
        const bool does = goes_wrong(permille);
        if (does)
            faults.hit(what);
        return does;
    }
    bool up(std::uint32_t number) const { return clock.now() >= partitions[number].down_until; }
    bool is(mutation how) const { return broken == how; }
    static constexpr std::uint32_t replica_slots = 2;
    static constexpr std::uint32_t partition_count = 2;
};

}
