#pragma once
#include "core/config.hpp"
#include "sluice/function.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice::core {

// How a function wants to be run, from its environment variables: OpenFaaS's contract of the classic watchdog and of of-watchdog. Pure;
// the provider reads it too, so that a wrong value is known before anything is started.
struct watchdog_config {
    enum class run_mode : std::uint8_t {
        classic, // a process per call, body to stdin, answer from stdout
        http,    // one process, calls forwarded to its port
    };
    run_mode mode = run_mode::classic;
    std::vector<std::string> command; // fprocess split at each single space: no shell, no quotes
    // http mode with an upstream_url: where the function listens; else the watchdog picks a port and hands it over in PORT.
    bool upstream_given = false;
    std::string upstream_host = "127.0.0.1";
    std::uint16_t upstream_port = 0;
    std::string upstream_prefix;               // path of upstream_url without a closing '/'
    std::uint16_t port = 8080;                 // only where no listening socket is inherited
    std::uint32_t max_inflight = 0;            // 0: no bound
    std::chrono::milliseconds exec_timeout{0}; // 0: none. Default none in classic, 30 s in http mode
    std::chrono::milliseconds read_timeout{30'000};
    std::chrono::milliseconds write_timeout{30'000};
    std::chrono::milliseconds healthcheck_interval{30'000}; // default write_timeout
    std::string content_type;
    std::string ready_path;
    bool cgi_headers = true;
    bool combine_output = true;
    bool prefix_logs = true;
    std::uint32_t log_line_bytes_max = 64 * 1024; // log_buffer_size: a longer line is cut into several
};

// Throws config::error naming the variable.
watchdog_config read_watchdog_config(const string_map& environment);

// A http URL with a numeric host or "localhost".
struct http_address {
    std::string host; // numeric
    std::uint16_t port = 80;
    std::string prefix; // path without a closing '/'; may be empty
};
// Throws std::invalid_argument saying what is allowed.
http_address parse_http_address(std::string_view url);

// PATH of a function that was given none.
inline constexpr const char* function_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

}
