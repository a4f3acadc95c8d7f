#pragma once
#include "adapters/asio/loop.hpp"
#include "adapters/http/status_pages.hpp"
#include "adapters/log/log.hpp"
#include "adapters/metrics/metrics.hpp"
#include "core/replica_setup.hpp"
#include "core/watchdog_config.hpp"
#include "watchdog/function_service.hpp"
#include "watchdog/output_log.hpp"
#include "watchdog/watchdog.hpp"

#include <memory>
#include <optional>

namespace sluice::watchdog {

// One replica from its start to its end: function, front, metrics, and the order in which they stop. Loop thread only.
class replica {
public:
    replica(loop& on, const options& given, core::watchdog_config config, core::replica_setup setup, logger& events);
    ~replica();

    // First call: no longer ready; new calls are refused once those who send them could have heard (`linger`), running ones finish
    // within the drain deadline, then the function ends. Second call: what runs is cancelled.
    void stop(const char* why);
    void on_closed(std::function<void()> closed) { closed_ = std::move(closed); }
    const executor& runner() const noexcept { return *executor_; }
    int exit_code() const noexcept { return exit_code_; }
    const std::string& end_reason() const noexcept { return end_reason_; } // of an end that nobody asked for
    std::uint16_t port() const noexcept { return server_->port(); }
    std::uint16_t metrics_port() const noexcept { return pages_.port(); }

private:
    void function_ended(std::string why);
    void refuse_new_calls();
    void end_function();
    void close_when_answered();
    std::unique_ptr<executor> make_executor(const options& given, string_map environment);

    loop& loop_;
    logger& events_;
    core::watchdog_config config_;
    std::chrono::milliseconds linger_, drain_deadline_;
    metrics::registry meters_;
    output_log output_;
    std::unique_ptr<executor> executor_;
    function_service service_;
    std::unique_ptr<http::server> server_;
    http::status_pages pages_;
    enum class phase : std::uint8_t { running, lingering, draining, ending, closing } phase_ = phase::running;
    int exit_code_ = 0;
    std::string end_reason_;
    std::chrono::steady_clock::time_point close_by_{};
    std::function<void()> closed_;
    timer timer_;
};

}
