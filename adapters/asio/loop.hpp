#pragma once
#include <chrono>
#include <csignal>
#include <functional>
#include <initializer_list>
#include <memory>

namespace boost::asio {
class io_context;
}

// One thread's event loop, and what hangs on it, without an Asio header: roles compile in seconds, and only adapters know Asio.
// Everything here is "loop thread only" but post(). Callbacks never run inside the call that was given them.
namespace sluice {

class loop {
public:
    // Ignores SIGPIPE for the whole process: a peer that has gone is an error of a write, not our end. OpenSSL and libcurl leave that to us.
    loop();
    ~loop();
    loop(const loop&) = delete;
    loop& operator=(const loop&) = delete;

    // Runs until nothing is left to wait for: an orderly shutdown closes everything and lets the loop run dry.
    void run();
    // Runs what is ready, without waiting; for tests. Returns how many handlers ran.
    std::size_t poll();
    // Any thread.
    void post(std::function<void()> work);

    boost::asio::io_context& context() noexcept; // for adapters only

private:
    struct state;
    std::unique_ptr<state> state_;
};

// A steady timer. Setting it again replaces what was set; destroying it cancels.
class timer {
public:
    explicit timer(loop& on);
    ~timer();
    timer(timer&&) noexcept;
    timer& operator=(timer&&) noexcept;

    void after(std::chrono::steady_clock::duration delay, std::function<void()> then);
    void at(std::chrono::steady_clock::time_point when, std::function<void()> then);
    void cancel() noexcept;
    bool armed() const noexcept;

private:
    struct state;
    std::shared_ptr<state> state_;
};

// Calls back for each signal of the set until destroyed or cancelled. Cancelled, it no longer keeps the loop running, but still
// swallows the signals: a second SIGTERM does not cut an orderly shutdown short. Destroyed, their default action is back.
class signal_watch {
public:
    signal_watch(loop& on, std::initializer_list<int> signals, std::function<void(int)> on_signal);
    ~signal_watch();
    void cancel() noexcept;

private:
    struct state;
    std::shared_ptr<state> state_;
};

// Calls back each time a descriptor is readable (a pipe, a pidfd), until destroyed; keeps on calling while it stays readable. Makes
// it non-blocking. Does not own it: the caller may close it at any time. Throws std::system_error for a descriptor that cannot be polled.
class readable_watch {
public:
    readable_watch(loop& on, int fd, std::function<void()> on_readable);
    ~readable_watch();

private:
    struct state;
    std::shared_ptr<state> state_;
};

}
