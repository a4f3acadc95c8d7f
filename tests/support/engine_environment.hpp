#pragma once
#include "core/shard.hpp"
#include "tests/support/engine_faults.hpp"
#include "tests/support/engine_ledger.hpp"
#include "tests/support/engine_stream.hpp"
#include "tests/support/engine_timeline.hpp"

#include <map>
#include <string>
#include <vector>

// What the simulated workers live in: virtual time, chance, the server's streams, functions, and the books that check everything.
namespace sluice::testing_support {

// Ways in which the world, not the engine, is broken on purpose: the books must notice each.
enum class mutation {
    none,
    callback_before_record, // a callback goes out with the append, not after it
    no_fencing,             // the journal takes every append, and says that it went where it should
    ack_without_storing,    // an append is acknowledged and not kept
    replay_skips,           // a message of the journal is not read at a take-over
    hash_ignored,           // records settle whatever has their sequence now
    log_skips,              // a message of the log is never read
    log_purged_too_far,     // by one
    journal_purged_too_far, // by one
    replica_overbooked,     // the engine is told of one slot too many
    tenant_overbooked,      // and of a higher limit
    answer_forgotten,       // the end of an attempt is never told
    log_unchecked,          // the log is purged whatever it holds now
};

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
};

}
