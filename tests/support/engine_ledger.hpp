#pragma once
#include "core/actions.hpp"
#include "sluice/outcome.hpp"
#include "tests/support/engine_faults.hpp"
#include "tests/support/engine_timeline.hpp"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace sluice::testing_support {

// The books of a simulated world: what really happened to every accepted call, told by the world and not by the engine, and the promises checked at
// each entry. Breaking one is a failure; the first is what counts.
class ledger {
public:
    struct limits {
        std::uint32_t tenant_concurrency = 0, inflight_max = 0, replica_slots = 0, tenant_callbacks = 0, callbacks_max = 0,
                      attempts_max = 0, tenant_retries = 0;
        bool errors_retried = false; // a function's own, and calls that ran out of their time
        bool reserved = false;       // calls run only where they are reserved on record
    };
    // One ownership of a partition by one incarnation of a worker.
    struct ownership {
        std::uint64_t worker = 0;
        std::uint32_t partition = 0;
        std::string owner;            // as the journal names it
        std::uint64_t log_losses = 0; // of the log, before it began
    };
    struct accepted_call {
        std::string id, tenant, callback, payload;
        bool unreadable = false;
    };

    // `exact`: one owner at a time acts, so that limits hold across owners.
    ledger(const timeline& clock, limits allowed, fault_counts& faults, bool exact, bool trace)
        : clock_(clock), limits_(allowed), faults_(faults), exact_(exact), trace_(trace)
    {}

    void accepted(std::uint32_t partition, std::uint64_t sequence, const accepted_call& what);
    // The call was answered 202.
    void promised(std::uint32_t partition, const std::string& id);
    void tail_lost(std::uint32_t partition, std::uint64_t after);

    void dispatched(const ownership& by, const core::act::dispatch& what);
    void executed(std::uint32_t partition, const core::invocation& what, const std::string& answer);
    // The replica is done with it, whoever still waits for that.
    void left_replica(const ownership& by, const std::string& tenant);
    void attempt_ended(const ownership& by, const core::act::dispatch& what, const outcome& result);
    void callback_sent(const ownership& by, const core::journal::answered& what, std::uint32_t attempt);
    void callback_received(std::uint32_t partition, const core::journal::answered& what);
    void callback_ended(const ownership& by, const core::journal::answered& what);
    void worker_gone(std::uint64_t worker) { workers_.erase(worker); }

    void journal_stored(std::uint32_t partition, std::uint64_t sequence, const std::string& payload);
    void log_purged(std::uint32_t partition, std::uint64_t below, std::uint64_t last);
    void journal_purged(std::uint32_t partition, std::uint64_t below, std::uint64_t last);

    // The journal's last take-over is its own; the owner may not know that it is not.
    bool current(const ownership& by) { return journals_[by.partition].owner == by.owner; }
    std::size_t unsettled() const { return unsettled_; }
    // Each call that was accepted and not lost by the server is settled on record, once, for a reason that is true.
    void check_end();

    void fail(const std::string& why);
    const std::optional<std::string>& failure() const { return failure_; }
    template <class... Parts> void note(const Parts&... parts)
    {
        if (trace_)
            write_note((text_of(parts) + ...));
    }
    const std::vector<std::string>& notes() const { return notes_; }

private:
    struct key {
        std::uint32_t partition = 0;
        std::uint64_t sequence = 0, id_hash = 0;
        friend auto operator<=>(const key&, const key&) = default;
    };
    struct by_owner {
        bool running = false, callback_running = false;
        std::uint32_t attempt = 0;
        bool next_is_another = true; // the next dispatch is another attempt, not the same one given back
    };
    struct truth {
        accepted_call what;
        bool lost = false;
        std::set<std::string> answers;
        std::optional<core::journal::answered> on_record;
        std::optional<core::journal::settled> settled;
        std::uint32_t attempts_on_record = 0;          // that failed
        std::uint32_t callback_attempts_on_record = 0; // likewise
        // Journal sequences of the last word of each kind; 0: none.
        std::uint64_t carried_at = 0, answered_at = 0, retry_at = 0, callback_at = 0, settled_at = 0;
        unsigned received = 0;
        std::map<std::string, by_owner> owners;
    };
    struct journal_truth {
        std::uint64_t epoch = 0;
        std::string owner;
        std::map<std::string, std::pair<std::uint32_t, std::uint64_t>> reserved; // by tenant: slots, and the journal sequence that says so
        std::uint64_t log_first = 1;
        std::map<std::string, std::uint32_t> at_replicas; // by tenant: calls of all owners
    };
    struct running {
        std::map<std::string, std::uint32_t> tenants, retries, replicas, callbacks;
        std::uint32_t calls = 0, callbacks_in_all = 0;
    };

    truth* find(std::uint32_t partition, const core::journal::call_ref& call);
    truth* of_record(std::uint32_t partition, const core::journal::call_ref& call, const char* what);
    void stored(std::uint32_t partition, const core::journal::settled& what, std::uint64_t at);
    void stored(std::uint32_t partition, const core::journal::answered& what, std::uint64_t at);
    void stored(std::uint32_t partition, const core::journal::retry_scheduled& what, std::uint64_t at);
    void stored(std::uint32_t partition, const core::journal::callback_scheduled& what, std::uint64_t at);
    void stored(std::uint32_t partition, const core::journal::carried& what, std::uint64_t at);
    void stored(std::uint32_t partition, const core::journal::reserved& what, std::uint64_t at);
    void stored(std::uint32_t partition, const core::journal::handed_over& what, std::uint64_t at);
    void check_left(const truth& call, std::uint64_t sequence, std::uint64_t log_first, std::uint64_t journal_first);
    void check_reason(const truth& call);
    void count(std::uint32_t& now, std::uint32_t most, const char* what);
    void write_note(const std::string& text);
    static std::string text_of(const std::string& text) { return text; }
    static std::string text_of(const char* text) { return text; }
    static std::string text_of(std::uint64_t number) { return std::to_string(number); }

    const timeline& clock_;
    limits limits_;
    fault_counts& faults_;
    bool exact_;
    bool trace_;
    std::map<key, truth> calls_;
    std::set<std::pair<std::uint32_t, std::string>> ids_; // of the calls that the logs ever had
    std::map<std::uint32_t, journal_truth> journals_;
    std::map<std::uint64_t, running> workers_;
    std::size_t unsettled_ = 0;
    std::optional<std::string> failure_;
    std::vector<std::string> notes_;
};

}
