#pragma once
#include "adapters/asio/loop.hpp"
#include "adapters/log/log.hpp"
#include "core/lease.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace sluice::queue_worker {

// Holds this worker's side of the partitions' leases: watches their bucket, claims what is free, renews what is held. Loop thread only;
// the bucket outlives it.
class lease_keeper {
public:
    lease_keeper(loop& on, key_value& bucket, std::string worker, std::uint32_t partitions, core::lease_options with, logger& log);

    // `changed` is told of a partition that became ours, that somebody else took, or that we may act on again after we could not renew in time.
    void start(std::function<void(std::uint32_t partition)> changed);
    bool mine(std::uint32_t partition) const { return held_[partition]->terms.mine(); }
    // Effects outside are ours to make, now. Reads the clock: a process that was stopped finds out here.
    bool may_act(std::uint32_t partition) const;
    // None that is ours has lapsed.
    bool all_renewed() const;
    // Each partition has a holder: this worker or another.
    bool all_held() const;
    // Gives every lease back; `done` once that is stored, or the deadline has passed.
    void give_back(milliseconds deadline, std::function<void()> done);
    void close();

private:
    struct held_lease {
        held_lease(loop& on, core::lease with) : terms(std::move(with)), due(on) {}
        core::lease terms;
        timer due;
        bool was_mine = false;
        bool could_act = false;
        bool complained = false; // of a value that cannot be used
    };
    void entered(const kv_entry& entry);
    void step(std::uint32_t partition);
    void tell(std::uint32_t partition);
    void finish_leaving();

    loop& loop_;
    key_value& bucket_;
    logger& log_;
    std::vector<std::unique_ptr<held_lease>> held_; // by partition
    bool complained_of_namesake_ = false;
    std::unique_ptr<key_value::watcher> watcher_;
    std::function<void(std::uint32_t)> changed_;
    std::function<void()> left_;
    timer leave_deadline_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}
