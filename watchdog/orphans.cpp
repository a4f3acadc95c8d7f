#include "watchdog/orphans.hpp"

#include "adapters/process/descendants.hpp"

#include <charconv>
#include <csignal>

namespace sluice::watchdog {

namespace {

constexpr std::chrono::milliseconds look_soon{5}; // many children may end at once
constexpr std::chrono::milliseconds look_again{50};
constexpr std::chrono::milliseconds end_deadline{2'000};

std::optional<executor::call_id> call_of(int pid)
{
    const auto text = process::variable_of(pid, call_variable);
    executor::call_id id = 0;
    if (!text || std::from_chars(text->data(), text->data() + text->size(), id).ec != std::errc())
        return std::nullopt;
    return id;
}

}

orphans::orphans(loop& on, const executor& runs)
    : executor_(runs), child_ended_(on, {SIGCHLD}, [this](int) { look_in(look_soon); }), again_(on)
{}

void orphans::close()
{
    closed_ = true;
    child_ended_.cancel();
    again_.cancel();
}

// An orphan comes to us without a sign, after the end of its parent: so it is looked for after each end of a child, and while there are some.
void orphans::look()
{
    bool more = false;
    for (const int pid : process::children()) {
        if (executor_.launched(pid) || process::reap_if_ended(pid))
            continue;
        const auto call = call_of(pid);
        if (call && !executor_.runs(*call))
            ::kill(pid, SIGKILL); // our child and not reaped: the pid is its own
        more |= call.has_value();
    }
    if (more)
        look_in(look_again);
}

void orphans::look_in(std::chrono::milliseconds wait)
{
    if (!closed_ && !again_.armed())
        again_.after(wait, [this] { look(); });
}

void orphans::end_all() { process::end_children(end_deadline); }

}
