#pragma once
#include "tests/support/engine_environment.hpp"
#include "tests/support/engine_leases.hpp"

#include <deque>
#include <memory>

namespace sluice::testing_support {

// One incarnation of a queue worker: a core::shard, and what carries its actions out over the simulated server, replicas and receivers. Requests
// arrive in the order they were sent; answers take their time. It may be paused, when everything that reaches it waits, and it may crash
// between any two steps: then it is destroyed, and what it sent still arrives.
class engine_worker : public std::enable_shared_from_this<engine_worker> {
public:
    // A worker keeps its name through restarts; its number is this incarnation's alone.
    engine_worker(environment& in, std::uint64_t number, std::string name);
    // Once it is what its callbacks below say.
    void start();

    std::uint64_t number() const { return number_; }
    const core::shard& engine() const { return engine_; }
    // It has an ownership of the partition, or tries to get one.
    bool has(std::uint32_t partition) const;
    bool paused() const { return env_.clock.now() < paused_until_; }
    bool draining() const { return draining_ || drain_asked_; }

    void open(std::uint32_t partition);
    void close(std::uint32_t partition);
    void pause(microseconds how_long) { paused_until_ = env_.clock.now() + how_long; }
    void drain();
    void give_leases_back() { leases_->give_back(); }
    void lease_entry_changed(std::uint32_t partition) { leases_->entry_changed(partition); }
    // It is the one that should own the partition, as far as it knows; and it may act on it now.
    bool holds(std::uint32_t partition) const { return !env_.leases || leases_->mine(partition); }
    void set_clock(unix_ms wall_offset) { wall_offset_ = wall_offset; }

    // The world tells.
    void tell(const std::string& function);
    void log_grew(std::uint32_t partition);
    void connect_again(std::uint32_t partition);

    // Told to the world.
    std::function<void()> crash;                         // it is to crash now
    std::function<void(std::uint32_t partition)> closed; // an ownership is over

private:
    struct held_slot {
        std::uint32_t partition = 0;
        std::string owner;
        std::uint64_t journal_next = 0; // 0: not read
        std::uint64_t log_next = 0;     // to be asked for
        std::uint64_t log_told = 0;     // next to be told; what is between is under way
        std::uint64_t log_stamp = 0;    // of the message before that; 0: none was read
        log_message last_told;          // of the log
        std::uint64_t reader = 0;       // how often it was made again
        bool log_paused = false, log_busy = false;
    };
    struct read_message {
        log_message what;
        std::uint64_t stamp = 0;
    };

    instant now() const;
    void lease_changed(std::uint32_t partition);
    bool may_act(std::uint32_t partition) const;
    ledger::ownership by(std::uint32_t slot) const { return by_slot_.at(slot); }
    environment::partition& streams(std::uint32_t slot) { return env_.partitions[by_slot_.at(slot).partition]; }
    void receive(const std::function<void()>& what);
    void deliver(microseconds wait, std::function<void()> what);
    bool connected(std::uint32_t partition) const;
    // `at_server` is told whether the request got there: not, when the connection was lost before.
    void request(std::uint32_t slot, std::function<void(bool reached)> at_server);
    void fetch(std::uint32_t slot, const model_stream& from, std::uint64_t sequence,
               std::function<void(const boost::system::result<log_message>&)> done);
    void ask(std::uint32_t slot, const model_stream& of, std::function<void(const boost::system::result<log_info>&)> done);
    void turn_soon(microseconds wait);
    void turn();
    void carry_out();
    void wake_up_later();
    void wake_up();

    void perform(core::act::ask_extents& what);
    void perform(core::act::read_journal& what);
    void perform(core::act::read_log& what);
    void perform(core::act::pause_log& what);
    void perform(core::act::append& what);
    void perform(core::act::read_back& what);
    void perform(core::act::ask_last& what);
    void perform(core::act::fetch_call& what);
    void perform(core::act::fetch_straggler& what);
    void perform(core::act::fetch_journal& what);
    void perform(core::act::fetch_answer& what);
    void perform(core::act::dispatch& what);
    void perform(core::act::send_callback& what);
    void perform(core::act::check_log& what);
    void perform(core::act::ask_log& what);
    void perform(core::act::purge_log& what);
    void perform(core::act::purge_journal& what);
    void perform(core::act::closed& what);
    void perform(core::act::settled&) {}
    void perform(core::act::lookup& what) { tell(what.function.full()); }
    void perform(core::act::warn& what) { env_.books.note("warn ", what.message); }

    void ask_extents_of(std::uint32_t slot);
    void read_journal_on(std::uint32_t slot);
    void read_log_on(std::uint32_t slot);
    void log_arrived(std::uint32_t slot, const std::vector<read_message>& some, std::uint64_t reader);
    void make_reader_again(std::uint32_t slot, held_slot& held);
    // As one takes them that knows a call by its sequence alone.
    std::string with_hashes_of_today(std::uint32_t slot, std::string payload);

    environment& env_;
    std::uint64_t number_;
    std::string name_;
    std::shared_ptr<engine_leases> leases_; // none where the world says who owns
    core::shard engine_;
    std::deque<core::action> decided_;          // and not done yet: it was stopped in between
    std::deque<std::function<void()>> arrived_; // meanwhile
    std::map<std::uint32_t, held_slot> slots_;
    std::map<std::uint32_t, ledger::ownership> by_slot_;    // the closed ones too
    std::map<std::uint32_t, std::uint64_t> checked_losses_; // by slot: of the log, when it was last checked
    std::vector<std::uint64_t> connections_;                // by partition: see environment::partition
    mono_time paused_until_{};
    mono_time wire_free_{};
    mono_time wake_at_ = mono_time::max();
    unix_ms wall_offset_ = 0;
    bool turn_posted_ = false, wake_up_posted_ = false, draining_ = false, drain_asked_ = false;
};

}
