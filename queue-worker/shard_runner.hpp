#pragma once
#include "adapters/asio/loop.hpp"
#include "adapters/log/log.hpp"
#include "core/directory.hpp"
#include "core/shard.hpp"
#include "queue-worker/call_sender.hpp"
#include "queue-worker/callback_sender.hpp"
#include "queue-worker/lease_keeper.hpp"
#include "queue-worker/meters.hpp"
#include "sluice/message_log.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <vector>

namespace sluice::queue_worker {

// Carries a core::shard out: performs its actions on the partitions' logs and journals, the replicas and the callback receivers, and tells it
// what came of them. Decides nothing but when to ask again after an error of the store. All events of one turn of the loop are decided on
// together. Loop thread only; everything given to the constructor outlives it.
class shard_runner {
public:
    struct partition_ports {
        std::unique_ptr<message_log> log;
        std::unique_ptr<message_log> journal;
    };

    shard_runner(loop& on, core::shard_options with, milliseconds left_alone_wait, std::vector<partition_ports> ports, lease_keeper& leases,
                 core::directory& functions, call_sender& calls, callback_sender& callbacks, meters& counted, logger& log);

    // Takes over every partition whose lease is ours, now or later; one that cannot be is left alone and tried again after a while. `settled` is
    // called once, when settled().
    void start(std::function<void()> settled);
    void drain();
    bool quiet() const { return shard_.quiet(); }
    // Lets go of everything; nothing is called back afterwards.
    void close();
    const core::shard& shard() const noexcept { return shard_; }
    std::size_t partitions() const noexcept { return failures_.size(); }
    // All that are ours are owned or left alone, and the others are held by other workers.
    bool settled() const;
    // The first partition that is left alone, and why; empty: none is.
    std::string refusal() const
    {
        const auto first = std::find_if(refused_.begin(), refused_.end(), [](const std::string& why) { return !why.empty(); });
        return first == refused_.end() ? "" : "partition " + std::to_string(first - refused_.begin()) + " is left alone: " + *first;
    }

private:
    // What one ownership of a partition holds open.
    struct slot_state {
        std::uint32_t partition = 0;
        std::unique_ptr<message_log::reader> journal_reader;
        std::unique_ptr<message_log::reader> log_reader;
        std::unique_ptr<timer> again;
        mono_time replay_deadline{};
    };

    void lease_changed(std::uint32_t partition);
    bool has_slot(std::uint32_t partition) const;
    bool may_act(std::uint32_t slot) const;
    void open(std::uint32_t partition);
    void open_later(std::uint32_t partition, milliseconds wait);
    void turn_soon();
    void turn();
    void watch_replays(instant now);

    void perform(core::act::ask_extents&& what);
    void perform(core::act::read_journal&& what);
    void perform(core::act::read_log&& what);
    void perform(core::act::pause_log&& what);
    void perform(core::act::append&& what);
    void perform(core::act::read_back&& what);
    void perform(core::act::ask_last&& what);
    void perform(core::act::fetch_call&& what);
    void perform(core::act::fetch_straggler&& what);
    void perform(core::act::fetch_journal&& what);
    void perform(core::act::fetch_answer&& what);
    void perform(core::act::dispatch&& what);
    void perform(core::act::send_callback&& what);
    void perform(core::act::check_log&& what);
    void perform(core::act::ask_log&& what);
    void perform(core::act::purge_log&& what);
    void perform(core::act::purge_journal&& what);
    void perform(core::act::closed&& what);
    void perform(core::act::settled&& what);
    void perform(core::act::lookup&& what);
    void perform(core::act::warn&& what);

    // Who takes an answer: the engine is told of it, and goes on. After close() nobody is.
    template <class Tell> auto told(Tell tell)
    {
        return [this, tell = std::move(tell)](auto result) {
            if (closed_)
                return;
            tell(result);
            turn_soon();
        };
    }
    void ask_extents_again(std::uint32_t slot);
    partition_ports& ports_of(std::uint32_t slot) { return ports_[slots_.at(slot).partition]; }
    void tell_about(const function_name& function);
    void tell_about_all();

    loop& loop_;
    core::retry_policy retry_; // of functions that say nothing else
    core::shard shard_;
    milliseconds left_alone_wait_; // before a partition that was left alone is tried again
    std::vector<partition_ports> ports_;
    lease_keeper& leases_;
    core::directory& functions_;
    call_sender& calls_;
    callback_sender& callbacks_;
    meters& meters_;
    logger& log_;
    std::map<std::uint32_t, slot_state> slots_;
    std::vector<std::unique_ptr<timer>> open_timers_; // by partition
    std::vector<std::uint32_t> failures_;             // by partition: attempts to take it over since it was last owned
    std::vector<std::string> refused_;                // by partition: why it is left alone; empty: it is not
    std::function<void()> settled_;
    timer due_;
    timer every_second_;
    bool turn_posted_ = false;
    bool closed_ = false;
};

}
