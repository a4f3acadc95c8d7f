#pragma once
#include "adapters/nats/config.hpp"
#include "core/config.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

// Runs functions as processes of this machine: watches the functions bucket, starts a watchdog per replica, publishes where they listen.
// Replicas outlive a provider that dies; the next one on the same state folder takes them over.
namespace sluice::provider {

struct options {
    nats::config nats;
    std::string log_level = "info";
    std::string ready_file;
    std::string metrics_listen;
    std::uint32_t replicas = 1; // of each bucket, when it is made
    std::string state_folder;
    std::string work_folder;
    std::string hidden_folder;
    std::vector<std::string> static_function;
    std::uint32_t function_uid = 65534;
    std::uint32_t function_gid = 0;
    std::uint32_t replicas_max = 256;
    std::uint32_t connections_max = 4'096;
    std::uint64_t body_bytes_max = 64 * 1024 * 1024;
    std::uint64_t body_bytes_budget = 256 * 1024 * 1024;
    std::uint64_t answer_bytes_max = 8 * 1024 * 1024;
    std::uint64_t log_bytes_max = 4 * 1024 * 1024;
    std::chrono::milliseconds start_deadline{60'000};
    std::chrono::milliseconds slow_start_after{10'000};
    std::chrono::milliseconds leave_wait{300};
    std::chrono::milliseconds drain_deadline{30'000};
    std::chrono::milliseconds restart_wait_min{100};
    std::chrono::milliseconds restart_wait_max{30'000};
    bool keep_replicas = false;
};

void add_to(config::table& table, options& into);

// What no single value shows; throws config::error naming the options. Before run(), which relies on it.
void check(const options& given);

// Runs until SIGTERM or SIGINT, then stops its replicas in order (unless keep_replicas) and answers 0. Throws config::error, or
// std::exception when the state folder is in use or NATS cannot be reached at start.
int run(const options& given);

}
