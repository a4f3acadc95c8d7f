#pragma once
#include "sluice/time.hpp"

#include <functional>
#include <queue>
#include <random>

namespace sluice::testing_support {

using std::chrono::microseconds;

// Virtual time: events in the order of their due times, and of their making among equals.
class timeline {
public:
    mono_time now() const { return now_; }
    std::uint64_t events() const { return done_; }
    void at(mono_time due, std::function<void()> what) { events_.push({std::max(due, now_), made_++, std::move(what)}); }
    void after(microseconds wait, std::function<void()> what) { at(now_ + wait, std::move(what)); }

    // False: there is nothing left.
    bool run_next()
    {
        if (events_.empty())
            return false;
        auto next = std::move(const_cast<event&>(events_.top()));
        events_.pop();
        now_ = next.due;
        ++done_;
        next.what();
        return true;
    }

private:
    struct event {
        mono_time due;
        std::uint64_t number;
        std::function<void()> what;
        friend bool operator<(const event& a, const event& b) { return std::tie(a.due, a.number) > std::tie(b.due, b.number); }
    };
    mono_time now_{std::chrono::hours(1)};
    std::uint64_t made_ = 0, done_ = 0;
    std::priority_queue<event> events_;
};

class dice {
public:
    explicit dice(std::uint64_t seed) : random_(seed) {}
    std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
    microseconds wait(std::int64_t least_us, std::int64_t most_us)
    {
        return microseconds(least_us + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(most_us - least_us + 1))));
    }

private:
    std::mt19937_64 random_;
};

}
