#pragma once
#include "sluice/function.hpp"
#include "sluice/time.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice::core {

// The replicas of one function and how many calls each holds: a call leaves only with a permit of a ready replica that has a free slot
// (its declared max_inflight, or the default where it declares none). Pure.
class permits {
public:
    explicit permits(std::uint32_t inflight_default) : inflight_default_(inflight_default) {}

    struct permit {
        std::uint64_t replica = 0; // stays unique for this object's life
        std::shared_ptr<const endpoint> target;
    };

    // What runs now. Slots in use on a replica that stays are kept, those of one that went are forgotten.
    void update(const std::vector<endpoint>& replicas);
    // The least busy ready replica; turns among equals.
    std::optional<permit> take(mono_time now);
    void give_back(std::uint64_t replica);
    // The replica gets no call before that: it refused one, or was full.
    void rest(std::uint64_t replica, mono_time until);
    // When a resting replica may be asked again, if no replica can take a call now for that reason.
    std::optional<mono_time> next_chance(mono_time now) const;
    std::uint32_t in_flight() const noexcept;
    // A replica is ready, though it may be full or resting.
    bool any_ready() const noexcept;

private:
    struct replica_state {
        std::uint64_t number = 0;
        std::shared_ptr<const endpoint> target;
        std::uint32_t in_flight = 0;
        mono_time rests_until{};
    };
    bool has_slot(const replica_state& replica) const noexcept;
    replica_state* find(std::uint64_t number) noexcept;

    std::uint32_t inflight_default_;
    std::uint64_t numbers_ = 0;
    std::size_t cursor_ = 0;
    std::vector<replica_state> replicas_;
};

}
