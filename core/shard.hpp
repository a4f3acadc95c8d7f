#pragma once
#include "core/actions.hpp"
#include "core/fair_queue.hpp"
#include "core/partition.hpp"
#include "core/permits.hpp"
#include "core/retry.hpp"
#include "sluice/outcome.hpp"

#include <boost/container/flat_map.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <utility>
#include <vector>

namespace sluice::core {

struct shard_options {
    std::uint32_t tenant_concurrency = 256;      // running calls of a tenant
    std::uint32_t inflight_max = 1'024;          // running calls in all
    std::uint32_t replica_inflight_default = 50; // for a replica that declares no max_inflight
    retry_policy retry{};
    std::uint32_t retries_percent = 20;           // of a tenant's limit, that calls which are tried again may use: at least one
    milliseconds refused_max{24 * 3'600'000};     // a call that is refused (429, no connection) for that long is dead
    milliseconds missing_function_grace{300'000}; // calls of a function that does not exist wait that long, then are dead
    std::uint32_t callbacks_max = 512;            // callbacks under way in all
    std::uint32_t tenant_callbacks = 64;          // and of a tenant
    callback_policy callback{};
    std::uint64_t body_bytes_budget = 64 * 1024 * 1024;   // bodies of waiting calls kept in memory; the others are fetched again
    std::uint64_t answer_bytes_budget = 64 * 1024 * 1024; // answers of waiting callbacks, likewise
    std::uint64_t fetch_bytes_max = 16 * 1024 * 1024;     // under way at once; a server drops a client that is behind by 64 MB
    std::uint64_t calls_max = 2'000'000;                  // calls in the index; above it the logs are not read on
    partition::options partitions{};
};

// The partition engine: what one thread of the queue worker decides. It owns some partitions, knows every accepted and unsettled call of theirs,
// and says which call goes to which replica, what is recorded, and when a callback is sent. No I/O: events come in through members, actions
// go out through take_actions(), time is a parameter. Order of effects for each call: answer, its record stored, callback, its record stored.
// docs/engine.md has the protocol. One thread.
class shard {
public:
    explicit shard(shard_options with);
    shard(const shard&) = delete;
    shard& operator=(const shard&) = delete;

    // Tries to take a partition over. `owner` is unique for this attempt. The answer is a slot, which lives until act::closed.
    std::uint32_t open(std::uint32_t partition, std::string owner);
    void close(std::uint32_t slot, std::string reason);
    // Suspended, nothing of the slot's is started, called back or removed, while what is under way goes on and is recorded: its owner may
    // not act outside for now. A slot begins as not suspended.
    void suspend(std::uint32_t slot, bool suspended);

    // What the world answered; see core/actions.hpp. Answers for a slot that is closed are ignored.
    void opened(std::uint32_t slot, const log_info& journal, const log_info& log);
    void journal_message(std::uint32_t slot, const sluice::log_message& message);
    void log_message(std::uint32_t slot, sluice::log_message message, instant now);
    void append_result(std::uint32_t slot, std::uint64_t batch, const boost::system::result<stored_at>& result, instant now);
    void read_back_result(std::uint32_t slot, const boost::system::result<sluice::log_message>& result, instant now);
    void last_result(std::uint32_t slot, const boost::system::result<log_info>& result, instant now);
    void call_fetched(call_key key, boost::system::result<sluice::log_message> result, instant now);
    void straggler_fetched(std::uint32_t slot, std::uint64_t sequence, boost::system::result<sluice::log_message> result, instant now);
    void journal_fetched(std::uint32_t slot, std::uint64_t sequence, const boost::system::result<sluice::log_message>& result, instant now);
    void answer_fetched(call_key key, const boost::system::result<sluice::log_message>& result, instant now);
    void attempt_finished(call_key key, const outcome& result, instant now);
    void callback_finished(call_key key, const outcome& result, instant now);
    void log_checked(std::uint32_t slot, std::uint64_t sequence, const boost::system::result<sluice::log_message>& result);
    void log_extent(std::uint32_t slot, const boost::system::result<log_info>& result);
    void log_purged(std::uint32_t slot, std::uint64_t below, bool done);

    // What is known of functions: their replicas, and whether they exist. Until told, neither is known, and their calls wait.
    void set_replicas(const function_name& function, const std::vector<endpoint>& replicas);
    void set_exists(const function_name& function, bool exists, instant now);
    void set_retry(const function_name& function, retry_policy policy);

    // Starts no call from now on; what runs is finished and recorded, and callbacks that are due are sent.
    void drain() { draining_ = true; }
    // Nothing runs and everything is on record.
    bool quiet() const;

    // Does what is due and decides; call it after events, and at next_due().
    std::vector<action> take_actions(instant now);
    std::optional<mono_time> next_due() const;

    struct counts {
        std::size_t live = 0;    // calls in the index
        std::size_t waiting = 0; // for their turn
        std::size_t running = 0;
        std::size_t callbacks_waiting = 0;
        std::size_t callbacks_running = 0;
        std::size_t partitions_owned = 0;
        std::uint64_t body_bytes = 0;
    };
    counts count() const;
    // Waiting and running calls of each function that has had any.
    void each_function(const std::function<void(const function_name&, std::size_t waiting, std::size_t running)>& visit) const;

private:
    struct function_state {
        function_state(function_name of, const shard_options& with)
            : name(std::move(of)), slots(with.replica_inflight_default), retry(with.retry)
        {}
        function_name name;
        permits slots;
        retry_policy retry;
        std::optional<bool> exists;
        std::uint64_t missing_timer = 0; // number of the timer that counts
        bool gone = false;               // it has not existed for the whole grace: its calls are dead
        std::vector<fair_queue::lane_index> lanes;
        bool held = false; // its lanes are: no replica can take a call
    };
    struct lane_info {
        std::uint32_t function = 0;
        fair_queue::lane_index callback_lane = 0;
        std::string tenant;
    };
    struct attempt {
        fair_queue::pick taken;
        mono_time began{}; // at the function
        std::uint64_t replica = 0;
        std::shared_ptr<const endpoint> target;
        std::uint64_t journal_sequence = 0; // its body is being fetched from there; 0: from the log
        std::uint64_t fetch_bytes = 0;      // of a fetch under way
    };
    struct callback_under_way {
        fair_queue::pick taken;
        std::shared_ptr<const journal::answered> what; // empty while it is fetched
        std::uint64_t journal_sequence = 0;            // from there
        std::uint64_t fetch_bytes = 0;                 // of a fetch under way
    };
    enum class timer_kind : std::uint8_t { attempt_due, function_chance, function_missing };
    struct timer {
        mono_time due;
        timer_kind kind = timer_kind::attempt_due;
        call_key call; // of functions: slot is the function's index, sequence the timer's number
        friend bool operator>(const timer& a, const timer& b) { return a.due > b.due; }
    };

    // A tenant that was next while its partition's journal could not be written, or while all that is reserved for it was in use: out of the turn
    // until that has changed.
    struct held_tenant {
        std::uint32_t slot = 0;
        fair_queue* queue = nullptr;
        fair_queue::tenant_index tenant = 0;
        std::string name; // of one that waits for a reservation; else empty
    };

    partition* at(std::uint32_t slot); // nothing once it was closed and forgotten
    partition* owned(std::uint32_t slot);
    call* find(call_key key);
    std::uint32_t function_index(const function_name& name);
    std::uint32_t lane_of(const std::string& tenant, const function_name& name);
    void hold(function_state& function, bool held);

    void enter_held(std::uint32_t slot, instant now);
    void enter_call(std::uint32_t slot, invocation what, instant now);
    void resume_history(call_key key, call& what, const replay::entry& history, instant now);
    void enter_unreadable(std::uint32_t slot, std::uint64_t sequence, std::uint64_t id_hash, std::uint32_t bytes, const std::string& why);
    void wait_until(call_key key, mono_time due, timer_kind kind);
    void attempt_due(call_key key, call& what);
    void schedule_stored(call_key key, call& what, bool is_last, std::uint64_t stored_at);
    void keep_body(call& what, std::shared_ptr<const invocation> body);
    void drop_body(call& what);
    void trim_body(call& what);

    void fetch(call_key key, call& what, attempt& with);
    void run(call_key key, call& what, attempt& with, instant now);
    verdict decide(call_key key, const call* what, const retry_policy& policy, const outcome& result, instant now);
    void finish(call_key key, call& what, const verdict& decided, const outcome& last);
    void release(call_key key, const attempt& with, std::optional<fair_queue::work> used);
    void give_back(call_key key, call& what);
    void send(call_key key, std::shared_ptr<const journal::answered> what);
    void fetch_answer(call_key key, const call& what);
    void callback_again(call_key key, call& what, mono_time due);
    void record_settled(call_key key, call& what, journal::settled::how_kind how, std::uint32_t status);
    void stored(std::uint32_t slot, journal_writer::stored batch);
    void stored_of(std::uint32_t slot, journal::answered& what, std::uint64_t at);
    void stored_of(std::uint32_t slot, const journal::settled& what, std::uint64_t at);
    void stored_of(std::uint32_t slot, const journal::retry_scheduled& what, std::uint64_t at);
    void stored_of(std::uint32_t slot, const journal::callback_scheduled& what, std::uint64_t at);
    void stored_of(std::uint32_t slot, const journal::carried& what, std::uint64_t at);
    void stored_of(std::uint32_t slot, const journal::reserved& what, std::uint64_t at);
    void stored_of(std::uint32_t, const journal::handed_over&, std::uint64_t) {}
    void drop_answer(call_key key);

    void fire(const timer& due, instant now);
    void start_calls(instant now);
    bool start(const fair_queue::pick& next, instant now);
    void start_callbacks();
    bool may_fetch(std::uint64_t bytes) const noexcept { return fetch_bytes_ == 0 || fetch_bytes_ + bytes <= options_.fetch_bytes_max; }
    template <class UnderWay> void fetched(UnderWay& what) noexcept { fetch_bytes_ -= std::exchange(what.fetch_bytes, 0); }
    bool may_write(std::uint32_t slot);
    bool may_start(const fair_queue& queue, std::uint32_t slot);
    bool hold_if_stalled(fair_queue& queue, const fair_queue::pick& next);
    bool hold_if_unreserved(const fair_queue::pick& next);
    void hold_tenant(fair_queue& queue, const fair_queue::pick& next, std::string name);
    void release_tenants();
    void look_after_reservations(instant now);
    void hand_over();
    void pump(instant now);
    void forget(std::uint32_t slot);
    void throttle_reading();

    shard_options options_;
    boost::container::flat_map<std::uint32_t, std::unique_ptr<partition>> slots_;
    std::uint32_t next_slot_ = 0;
    fair_queue queue_;
    fair_queue callbacks_;
    std::vector<std::unique_ptr<function_state>> functions_;
    std::map<function_name, std::uint32_t> function_names_;
    std::vector<lane_info> lanes_;                          // by lane of queue_
    boost::unordered_flat_map<call_key, attempt> attempts_; // permits in use
    boost::unordered_flat_map<call_key, callback_under_way> callbacks_under_way_;
    boost::unordered_flat_map<call_key, std::shared_ptr<const journal::answered>> answers_; // of waiting callbacks, within the budget
    boost::unordered_flat_map<call_key, mono_time> refused_since_;                          // of calls whose last attempt was refused
    std::priority_queue<timer, std::vector<timer>, std::greater<>> timers_;
    std::vector<held_tenant> held_tenants_;
    std::vector<action> out_;
    std::size_t live_ = 0; // calls in the index of all partitions
    std::uint64_t body_bytes_ = 0;
    std::uint64_t answer_bytes_ = 0;
    std::uint64_t fetch_bytes_ = 0; // of calls and answers that are being fetched
    bool draining_ = false;
    bool handed_over_ = false; // everything; callbacks that fall due from now on are the next owner's
    bool reading_paused_ = false;
};

}
