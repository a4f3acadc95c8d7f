#pragma once
#include "adapters/asio/loop.hpp"
#include "adapters/http/server.hpp"
#include "adapters/metrics/metrics.hpp"
#include "watchdog/executor.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

namespace sluice::watchdog {

// The front of a replica: asks for the token, answers /_/health and /_/ready, bounds how many calls run at once (OpenFaaS's concurrency
// limiter), and hands the rest to the executor. A call whose client has gone is cancelled. Loop thread only.
class function_service final : public http::service {
public:
    struct settings {
        std::string token; // empty: none asked
        std::uint32_t max_inflight = 0;
        std::uint64_t body_bytes_max = 64 * 1024 * 1024;
    };
    // `meters` may be null; it outlives this.
    function_service(loop& on, executor& runs, settings given, metrics::registry* meters);

    body_bound bound_of(const http_request& head) override;
    void handle(http::exchange_ptr call) override;

    // From now on /_/health and /_/ready answer 503; calls still run.
    void announce_end() noexcept { ending_ = true; }
    std::size_t running() const noexcept { return calls_.size(); }
    // Calls back once nothing runs, at once if nothing does.
    void when_idle(std::function<void()> idle);
    void cancel_all();

private:
    struct running_call {
        http::exchange_ptr call;
        std::chrono::steady_clock::time_point started;
    };
    using meter_key = std::pair<unsigned, std::string>;
    struct meter {
        metrics::counter total;
        metrics::histogram duration;
    };

    bool admitted(const http_request& request) const noexcept;
    void answer_ready(http::exchange_ptr call);
    void run(http::exchange_ptr call);
    void finish(executor::call_id id, http_response response);
    void measure(unsigned status, std::string_view method, std::chrono::duration<double> took);

    loop& loop_;
    executor& executor_;
    settings settings_;
    metrics::registry* meters_;
    metrics::gauge in_flight_;
    std::map<meter_key, meter> by_code_;
    bool ending_ = false;
    executor::call_id last_id_ = 0;
    std::unordered_map<executor::call_id, running_call> calls_;
    std::function<void()> idle_;
};

}
