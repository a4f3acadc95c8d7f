#include "adapters/asio/loop.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cassert>
#include <cerrno>
#include <fcntl.h>
#include <system_error>
#include <unistd.h>
#include <utility>

// Handlers hold their state weakly and lock it while they run: an object may be destroyed inside its own callback, and a handler
// that is still queued when its object goes finds nothing.
namespace sluice {

struct loop::state {
    boost::asio::io_context context{1}; // one thread runs it; post() from others is still safe
};

loop::loop() : state_(std::make_unique<state>()) { std::signal(SIGPIPE, SIG_IGN); }

loop::~loop() = default;

void loop::run()
{
    state_->context.restart();
    state_->context.run();
}

std::size_t loop::poll()
{
    state_->context.restart();
    return state_->context.poll();
}

void loop::post(std::function<void()> work) { boost::asio::post(state_->context, std::move(work)); }

boost::asio::io_context& loop::context() noexcept { return state_->context; }

struct timer::state {
    explicit state(boost::asio::io_context& context) : waiter(context) {}

    // A wait that had already expired cannot be cancelled any more: its handler knows by the turn that it was replaced.
    void disarm() noexcept
    {
        ++turn;
        armed = false;
        // What the callback held is released last, as that may destroy the timer itself.
        auto released = std::exchange(then, nullptr);
        waiter.cancel();
    }

    boost::asio::steady_timer waiter;
    std::function<void()> then;
    std::uint64_t turn = 0;
    bool armed = false;
};

timer::timer(loop& on) : state_(std::make_shared<state>(on.context())) {}

timer::~timer()
{
    if (state_)
        state_->disarm();
}

timer::timer(timer&&) noexcept = default;

timer& timer::operator=(timer&& other) noexcept
{
    auto old = std::exchange(state_, std::move(other.state_));
    if (old && old != state_)
        old->disarm();
    return *this;
}

void timer::after(std::chrono::steady_clock::duration delay, std::function<void()> then)
{
    at(std::chrono::steady_clock::now() + delay, std::move(then));
}

void timer::at(std::chrono::steady_clock::time_point when, std::function<void()> then)
{
    assert(state_ && then);
    auto self = state_;
    self->disarm();
    self->armed = true;
    self->then = std::move(then);
    self->waiter.expires_at(when);
    self->waiter.async_wait([weak = std::weak_ptr(self), turn = self->turn](boost::system::error_code) {
        const auto held = weak.lock();
        if (!held || !held->armed || held->turn != turn)
            return;
        held->armed = false;
        const auto due = std::exchange(held->then, nullptr);
        due();
    });
}

void timer::cancel() noexcept
{
    if (const auto self = state_)
        self->disarm();
}

bool timer::armed() const noexcept { return state_ && state_->armed; }

struct signal_watch::state {
    explicit state(boost::asio::io_context& context) : signals(context) {}

    static void wait(const std::shared_ptr<state>& self)
    {
        self->signals.async_wait([weak = std::weak_ptr(self)](boost::system::error_code error, int number) {
            const auto held = weak.lock();
            if (!held || error || held->cancelled)
                return;
            held->on_signal(number);
            if (!held->cancelled)
                wait(held);
        });
    }

    boost::asio::signal_set signals;
    std::function<void(int)> on_signal;
    bool cancelled = false;
};

signal_watch::signal_watch(loop& on, std::initializer_list<int> signals, std::function<void(int)> on_signal)
    : state_(std::make_shared<state>(on.context()))
{
    state_->on_signal = std::move(on_signal);
    for (const int number : signals)
        state_->signals.add(number);
    state::wait(state_);
}

signal_watch::~signal_watch() { cancel(); }

void signal_watch::cancel() noexcept
{
    state_->cancelled = true;
    boost::system::error_code ignored;
    state_->signals.cancel(ignored);
}

struct readable_watch::state {
    explicit state(boost::asio::io_context& context) : descriptor(context) {}

    static void wait(const std::shared_ptr<state>& self)
    {
        self->descriptor.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                                    [weak = std::weak_ptr(self)](boost::system::error_code error) {
                                        const auto held = weak.lock();
                                        if (!held || error || held->stopped)
                                            return;
                                        held->on_readable();
                                        if (!held->stopped)
                                            wait(held);
                                    });
    }

    boost::asio::posix::stream_descriptor descriptor;
    std::function<void()> on_readable;
    bool stopped = false;
};

// The copy lets the owner close its descriptor at any time, and lets several watch one.
readable_watch::readable_watch(loop& on, int fd, std::function<void()> on_readable) : state_(std::make_shared<state>(on.context()))
{
    const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        throw std::system_error(errno, std::system_category(), "watch a descriptor");
    boost::system::error_code error;
    state_->descriptor.assign(copy, error);
    if (error) {
        ::close(copy);
        throw std::system_error(error.value(), std::system_category(), "watch a descriptor");
    }
    state_->on_readable = std::move(on_readable);
    state::wait(state_);
}

readable_watch::~readable_watch()
{
    state_->stopped = true;
    boost::system::error_code ignored;
    state_->descriptor.close(ignored);
}

}
