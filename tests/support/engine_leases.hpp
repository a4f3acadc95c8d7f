#pragma once
#include "core/lease.hpp"
#include "tests/support/engine_environment.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace sluice::testing_support {

// One worker's leases of the partitions, held in the simulated bucket by its own clock, which runs at a rate of its own.
class engine_leases : public std::enable_shared_from_this<engine_leases> {
public:
    // The worker that is told that its lease of a partition came, went, or lets it act again. What reaches it goes through `receive`, which waits
    // while it is paused.
    struct told {
        std::function<void(std::uint32_t partition)> changed;
        std::function<void(std::function<void()>)> receive;
    };
    engine_leases(environment& in, std::uint64_t worker, const std::string& name, told who);

    void start();
    void entry_changed(std::uint32_t partition);
    bool mine(std::uint32_t partition) const { return held_[partition].mine(); }
    bool may_act(std::uint32_t partition) const;
    void give_back();

private:
    mono_time now() const;
    void later(microseconds wait, std::function<void()> what);
    void step(std::uint32_t partition);
    void carry_out(std::uint32_t partition, const core::lease::step& what);

    environment& env_;
    std::uint64_t worker_;
    told who_;
    double rate_ = 1;
    std::vector<core::lease> held_;
    std::vector<bool> was_mine_, could_act_;
    std::vector<mono_time> due_;
};

}
