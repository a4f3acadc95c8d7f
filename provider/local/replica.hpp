#pragma once
#include "adapters/asio/loop.hpp"
#include "adapters/http/client.hpp"
#include "adapters/process/process.hpp"
#include "core/reconcile.hpp"
#include "core/replica_records.hpp"

#include <functional>
#include <string>

namespace sluice::provider {

// One running watchdog, started by us or by a provider before us: asks it whether it is ready, sees its end, tells it to stop.
// Decides nothing. Loop thread only; its callbacks may not destroy it.
class replica {
public:
    struct listener {
        std::function<void()> changed; // phase, first answer, or that it starts slowly and why
        std::function<void(process::exit_status)> ended;
    };
    replica(loop& on, http::client& asks, core::replica_record record, std::chrono::milliseconds slow_start_after, listener told);
    ~replica();

    const core::replica_record& record() const noexcept { return record_; }
    core::replica_phase phase() const noexcept { return phase_; }
    mono_time since() const noexcept { return since_; }
    // False until the first answer, or its absence.
    bool asked_once() const noexcept { return asked_once_; }

    void leave();                                                            // from now on it counts as unpublished
    void terminate();                                                        // SIGTERM: it finishes what runs
    void kill(std::string reason);                                           // SIGKILL; its functions die with it
    const std::string& kill_reason() const noexcept { return kill_reason_; } // empty: nobody killed it here
    std::string why_not_ready() const;                                       // by its last answer to /_/ready, in words
    // It has been starting for longer than `slow_start_after`; it may still become ready.
    bool starts_slowly() const noexcept { return slow_ && phase_ == core::replica_phase::starting; }

private:
    void ask();
    void answered(const outcome& result);
    void enter(core::replica_phase phase);

    http::client& client_;
    core::replica_record record_;
    listener told_;
    core::replica_phase phase_ = core::replica_phase::starting;
    mono_time since_;
    std::chrono::milliseconds slow_start_after_;
    bool slow_ = false; // longer than that not ready
    bool asked_once_ = false;
    int misses_ = 0;
    unsigned ready_status_ = 0; // 0: no answer
    std::string ready_reason_;  // as that answer says it
    std::string kill_reason_;
    std::chrono::milliseconds wait_;
    http::client::call_id question_ = 0;
    bool asking_ = false;
    std::shared_ptr<bool> here_ = std::make_shared<bool>(true);
    timer timer_;
    process::watch watch_;
};

}
