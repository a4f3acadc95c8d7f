#pragma once
#include "adapters/asio/loop.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <optional>

// Runs a loop on behalf of a test, one handler at a time and without spinning, until something holds. A test never sleeps and never asserts
// on time: the deadlines here are so generous that only a real failure meets them.
namespace sluice::test {

inline constexpr std::chrono::seconds generous{30};

// True as soon as the condition holds; false when the deadline passes first. The condition is asked before and after each handler.
template <class Condition> bool loop_until(loop& on, Condition holds, std::chrono::steady_clock::duration deadline = generous)
{
    auto& context = on.context();
    const auto until = std::chrono::steady_clock::now() + deadline;
    context.restart();
    const auto stay = boost::asio::make_work_guard(context); // other threads may still post into an otherwise idle loop
    while (!holds()) {
        if (std::chrono::steady_clock::now() >= until)
            return false;
        context.run_one_until(until);
    }
    return true;
}

// Runs the loop for a while: for a test that shows that something does *not* happen, after whatever would make it happen.
inline void loop_for(loop& on, std::chrono::steady_clock::duration time)
{
    loop_until(
        on, [] { return false; }, time);
}

// True when the loop ran dry, as it must after an orderly close; false when something is still waited for at the deadline.
inline bool loop_runs_dry(loop& on, std::chrono::steady_clock::duration deadline = generous)
{
    auto& context = on.context();
    const auto until = std::chrono::steady_clock::now() + deadline;
    context.restart();
    while (!context.stopped()) {
        if (std::chrono::steady_clock::now() >= until)
            return false;
        context.run_one_until(until);
    }
    return true;
}

// Starts something that answers once through a callback and runs the loop until it has: `wait_for<T>(loop, [&](auto done) {
// log.info(done); })`.
// Nothing when the deadline passes first.
template <class T, class Start> std::optional<T> wait_for(loop& on, Start start, std::chrono::steady_clock::duration deadline = generous)
{
    auto answer = std::make_shared<std::optional<T>>(); // a late answer must not find a dead frame
    start([answer](T value) { answer->emplace(std::move(value)); });
    loop_until(
        on, [&] { return answer->has_value(); }, deadline);
    return std::move(*answer);
}

}
