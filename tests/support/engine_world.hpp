#pragma once
#include "tests/support/engine_gateway.hpp"
#include "tests/support/engine_worker.hpp"

#include <array>
#include <memory>

namespace sluice::testing_support {

// A deterministic, seeded simulation of the partition engine: a gateway and two workers over a model of JetStream, with functions and callback
// receivers of random outcome, in virtual time. Who owns a partition is said by leases in half of the histories, by whim in the others. For
// some seconds calls are accepted and everything goes wrong that the design speaks of (see fault); then all goes well, and the world must come
// to rest with every call settled. The same seed is the same history. docs/simulator.md says what is checked.
class engine_world {
public:
    explicit engine_world(std::uint64_t seed, mutation how = mutation::none, bool trace = false);

    // Why it failed; nothing when every promise held.
    std::optional<std::string> run();
    const std::vector<std::string>& notes() const { return env_.books.notes(); }
    const fault_counts& faults() const { return env_.faults; }
    // Until all went well: what the history is made of.
    std::uint64_t events_in_bad_times() const { return bad_events_; }

private:
    struct place { // where a worker runs
        std::shared_ptr<engine_worker> worker;
        std::uint64_t restarts = 0;
    };

    void start(std::size_t where);
    void crash(std::size_t where);
    void reopen(std::size_t where, std::uint32_t partition);
    void accept_calls();
    void misfortunes();
    void misfortune();
    bool should_own(std::size_t where, std::uint32_t partition) const;
    void each_worker(const std::function<void(engine_worker&)>& what);
    void forget_ids(environment::partition& of);
    void move(std::uint32_t partition, bool tell_the_old_one);
    void hand_over(std::size_t where);
    void pause(std::size_t where);
    void change_leader(std::uint32_t partition, bool tail_lost);
    void lead_again(std::uint32_t partition);
    void new_owner(const ledger::ownership& which);
    void change_function(const std::string& name);
    void calm_down();
    bool at_rest() const;
    void check_rest();
    void check_cleaned();

    environment env_;
    std::array<place, 2> places_;
    std::vector<std::size_t> preferred_; // by partition: where it should be owned
    engine_gateway gateway_;
    std::uint64_t incarnations_ = 0, replicas_ = 0, bad_events_ = 0;
    std::vector<std::shared_ptr<engine_worker>> retired_; // destroyed once their turn is over
};

}
