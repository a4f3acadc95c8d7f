#pragma once
#include "adapters/nats/store_health.hpp"
#include "core/listen_address.hpp"
#include "gateway/application.hpp"

#include <functional>
#include <optional>
#include <string>

namespace sluice::gateway {

// The role's life: open the stores, listen, and at the end stop accepting, finish what is under way within the drain deadline, close
// everything. Loop thread only; everything given to the constructor outlives it.
class frontend {
public:
    // Throws config::error for what can be checked before anything is opened.
    frontend(loop& on, nats::connection& store, const options& with, logger& log);
    ~frontend();

    // What start-up needs and cannot have ends it: see failure(). Else runs until stop().
    void start();
    void stop(); // a second time: without waiting
    // Why start-up failed; empty: it did not.
    const std::string& failure() const noexcept { return failure_; }
    // Called once everything is closed, so that the loop can run dry.
    void on_closed(std::function<void()> closed) { on_closed_ = std::move(closed); }
    bool idle() const noexcept { return !application_ || application_->idle(); } // no call under way
    std::uint16_t port() const noexcept { return server_ ? server_->port() : 0; }

private:
    void serve(nats::stores opened);
    void became_ready();
    void store_changed(bool up);
    void fail(std::string why);
    void close_when_idle();
    void close();

    loop& loop_;
    nats::connection& store_;
    options options_;
    core::listen_address listen_;
    logger& log_;
    std::optional<nats::store_health> store_health_;
    std::optional<application> application_;
    std::optional<http::server> server_;
    timer drain_poll_;
    std::chrono::steady_clock::time_point drain_until_;
    std::function<void()> on_closed_;
    std::string failure_;
    bool store_up_ = true;
    bool stopping_ = false;
    bool closed_ = false;
    std::shared_ptr<frontend*> self_; // what opens the stores may answer after the end
};

}
