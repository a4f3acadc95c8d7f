#pragma once
#include "tests/support/engine_worker.hpp"

#include <array>
#include <memory>

namespace sluice::testing_support {

// A deterministic, seeded simulation of the partition engine: two workers over a model of JetStream, with functions and callback receivers of random
// outcome, in virtual time. For some seconds calls are accepted and everything goes wrong that the design speaks of: crashes between any two steps,
// pauses after which a worker still believes that it is the owner, two owners at once, lost and late answers of the store, forgotten ids,
// a log that loses its tail, functions and replicas that come and go, clocks that jump. Then all goes well, and the world must come to rest with
// every call settled. The same seed is the same history.
class engine_world {
public:
    explicit engine_world(std::uint64_t seed, mutation how = mutation::none, bool trace = false);

    // Why it failed; nothing when every promise held.
    std::optional<std::string> run();
    const std::vector<std::string>& notes() const { return env_.books.notes(); }

private:
    struct place { // where a worker runs
        std::shared_ptr<engine_worker> worker;
        std::uint64_t restarts = 0;
    };

    void start(std::size_t where);
    void crash(std::size_t where);
    void reopen(std::size_t where, std::uint32_t partition);
    void accept_calls();
    void accept();
    void misfortunes();
    void misfortune();
    void move(std::uint32_t partition, bool tell_the_old_one);
    void hand_over(std::size_t where);
    void lose_tail(std::uint32_t partition);
    void change_function(const std::string& name);
    void calm_down();
    bool at_rest() const;
    void check_rest();

    environment env_;
    std::array<place, 2> places_;
    std::vector<std::size_t> preferred_; // by partition: where it should be owned
    std::uint64_t calls_ = 0, incarnations_ = 0, replicas_ = 0;
    std::vector<std::shared_ptr<engine_worker>> retired_; // destroyed once their turn is over
};

}
