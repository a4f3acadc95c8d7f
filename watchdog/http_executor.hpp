#pragma once
#include "adapters/asio/loop.hpp"
#include "adapters/asio/writable_watch.hpp"
#include "adapters/http/client.hpp"
#include "adapters/log/log.hpp"
#include "adapters/process/socket_address.hpp"
#include "core/watchdog_config.hpp"
#include "watchdog/executor.hpp"
#include "watchdog/function_launch.hpp"
#include "watchdog/output_log.hpp"
#include "watchdog/port_claim.hpp"

#include <memory>
#include <optional>
#include <unordered_map>

namespace sluice::watchdog {

// of-watchdog's http mode: the function is one process that listens on its own port; calls are forwarded as they came, path, query,
// fields and body, to at most exec_timeout (X-Timeout shortens it for one call). Loop thread only.
class http_executor final : public executor {
public:
    struct settings {
        core::watchdog_config config;
        string_map environment;
        function_rights rights;
        std::uint64_t answer_bytes_max = 8 * 1024 * 1024;
        std::size_t connections_max = 4'096;
        std::chrono::milliseconds end_deadline{2'000}; // from SIGTERM to SIGKILL
    };
    // Starts the process; throws std::system_error when that fails. on_end: it ended although nobody had asked it to, with the reason.
    http_executor(loop& on, settings given, output_log& log, logger& events, std::function<void(std::string why)> on_end);
    ~http_executor() override;

    void start(call_id id, const http::exchange_ptr& call, std::function<void(http_response)> done) override;
    void cancel(call_id id) override;
    void probe(std::function<void(unsigned status, std::string why)> done) override;
    bool launched(int pid) const override { return pid == process_.pid; }
    bool runs(call_id) const override { return true; }
    void stop(std::function<void()> stopped) override;

private:
    void launch();
    void try_connect();
    void connecting_ended(int error);
    void ended(process::exit_status status);
    http::client_request forwarded(const http::exchange_ptr& call) const;
    http_response translate(outcome result) const;

    loop& loop_;
    settings settings_;
    output_log& log_;
    logger& events_;
    std::function<void(std::string why)> on_end_;
    std::function<void()> stopped_;
    std::optional<port_claim> port_;
    http::client client_;
    std::unordered_map<call_id, http::client::call_id> calls_;
    process::identity process_;
    std::optional<process::watch> watch_exit_;
    std::optional<line_reader> output_, errors_;
    bool runs_ = false;
    bool listens_ = false;
    process::socket_address upstream_;
    process::owned_fd probe_socket_;
    std::unique_ptr<writable_watch> watch_probe_;
    std::chrono::milliseconds probe_wait_{5};
    timer probe_timer_, end_timer_;
};

}
