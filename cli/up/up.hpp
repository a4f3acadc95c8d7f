#pragma once
#include "adapters/nats/config.hpp"
#include "core/config.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

// `sluice up`: everything on one machine from one command. It keeps a state folder, runs nats-server (or uses one that is there) and each
// role as a child process, starts again what dies, and stops in order. A second `up` on the same folder continues from its state.
namespace sluice::up {

struct options {
    std::string state = ".state";
    std::string listen = "127.0.0.1:8080";
    std::string log_level = "info";
    std::uint64_t body_bytes_max = 1024 * 1024;
    std::vector<std::string> callback_allow{"127.0.0.0/8", "::1/128"};
    std::vector<std::string> static_function;
    std::uint32_t partitions = 4;
    std::vector<std::string> role_option;

    std::string nats_server; // empty: found on PATH
    std::uint64_t nats_payload_bytes_max = 8 * 1024 * 1024;
    std::uint64_t nats_store_bytes_max = 64ull * 1024 * 1024 * 1024;
    std::chrono::milliseconds nats_answer_deadline{30'000};
    nats::config nats{.url = {}}; // a server or cluster that is there already; without a URL: ours

    std::string run; // shell command, once everything is ready
    bool run_then_stop = false;
    std::chrono::milliseconds start_deadline{60'000};
    std::chrono::milliseconds drain_deadline{30'000};
    std::uint64_t log_bytes_max = 16 * 1024 * 1024;
};

// `check_role_option` is asked about each entry of role_option: the tables of the roles are not known here.
void add_to(config::table& table, options& into, config::value_check check_role_option);

// The bound of each partition's log and journal in our nats-server, which sets it aside when they are made: nine tenths of the store, shared
// out; the rest is for what is deployed.
std::uint64_t stream_bytes_max(const options& given) noexcept;

// What no single value shows; throws config::error naming the options. Before run(), which relies on it.
void check(const options& given);

// Runs until SIGINT or SIGTERM, or until the command of `run` has ended where that is asked for. Returns the exit code. Throws
// std::exception when something cannot be started. `environment` is the whole of ours.
int run(const options& with, const std::map<std::string, std::string>& environment);

}
