#pragma once
#include "core/config.hpp"
#include "sluice/function.hpp"

#include <chrono>
#include <cstdint>
#include <string>

// The process beside a function: takes calls over HTTP and runs the function for them, a process per call (classic mode) or one process
// that listens itself (http mode). The function's own wishes are environment variables (core/watchdog_config.hpp); the options here are
// the platform's. With `setup_fd` the environment and the token come through that descriptor, else the function gets ours.
namespace sluice::watchdog {

struct options {
    std::string listen;          // host:port; empty: 0.0.0.0 and the function's variable `port`
    std::uint32_t listen_fd = 0; // 0: none
    std::uint32_t setup_fd = 0;  // 0: none
    std::string metrics_listen;
    std::string ready_file;
    std::string end_file;
    std::string log_level = "info";
    std::uint64_t body_bytes_max = 64 * 1024 * 1024;
    std::uint64_t body_bytes_budget = 256 * 1024 * 1024;
    std::uint64_t answer_bytes_max = 8 * 1024 * 1024;
    std::uint64_t log_bytes_max = 0;
    std::uint32_t connections_max = 4'096;
    std::chrono::milliseconds drain_deadline{0};
    std::chrono::milliseconds end_deadline{2'000};
    std::uint32_t function_uid = 0;
    std::uint32_t function_gid = 0;
    std::string hidden_folder;
};

void add_to(config::table& table, options& into);

// `environment` is the function's where no setup_fd is given. Runs until SIGTERM or SIGINT (answers 0), or until an http function's
// process ends by itself (answers 1). An end that nobody asked for leaves its reason in end_file. Throws config::error naming the variable
// or option, std::system_error when it cannot listen.
int run(const options& given, const string_map& environment);

}
