#pragma once
#include "adapters/nats/config.hpp"
#include "core/config.hpp"
#include "sluice/time.hpp"

#include <cstdint>
#include <string>
#include <vector>

// The role `sluice gateway`: HTTP in. Accepts asynchronous calls into the partitions' logs, proxies synchronous ones to a ready replica,
// and serves OpenFaaS's REST API over the buckets that hold what is deployed.
namespace sluice::gateway {

struct options {
    std::string listen = "127.0.0.1:8080";
    nats::config nats;
    std::string log_level = "info";
    std::string ready_file;                                     // written with host:port once calls are accepted
    std::uint32_t partitions = 4;                               // counts only for the first process of a new cluster
    std::uint64_t log_bytes_max = 4ull * 1024 * 1024 * 1024;    // of a partition's log, when it is made
    std::uint32_t replicas = 1;                                 // of each bucket and log, when it is made
    std::uint64_t body_bytes_max = 1024 * 1024;                 // of an asynchronous call
    std::uint64_t function_body_bytes_max = 8 * 1024 * 1024;    // of a synchronous call
    std::uint64_t function_answer_bytes_max = 32 * 1024 * 1024; // of the answer to a synchronous call
    std::uint64_t api_body_bytes_max = 1024 * 1024;             // of a request to /system/*
    std::uint64_t body_bytes_budget = 256ull * 1024 * 1024;     // all request bodies that are held
    std::uint64_t answer_bytes_budget = 256ull * 1024 * 1024;   // all answers to synchronous calls that are held
    milliseconds upstream_timeout{60'000};                      // of a synchronous call, from its last byte to the whole answer
    std::uint32_t function_calls_max = 4096;                    // synchronous calls under way
    std::uint32_t function_replicas_max = 256;                  // that a deployment may ask for
    milliseconds publish_deadline{5'000};                       // from acceptance to the log's answer
    milliseconds ready_deadline{5'000};                         // without an answer of JetStream: not ready
    std::uint32_t publishes_max = 8192;                         // asynchronous calls that wait for the log's answer
    std::string store_folder;                                   // of a NATS server on this machine; empty: unknown
    std::uint64_t store_free_min = 256ull * 1024 * 1024;        // with less left on its disk, calls are refused
    std::uint64_t publish_bytes_max = 256ull * 1024 * 1024;     // the bytes of those
    std::uint32_t connections_max = 10'000;
    milliseconds header_deadline{10'000};
    milliseconds body_deadline{60'000};
    milliseconds body_pace_deadline{10'000}; // for each further 16 KiB of a body
    milliseconds write_deadline{60'000};
    milliseconds idle_deadline{60'000};
    std::vector<std::string> callback_allow; // see url_guard
    std::string basic_auth_user_file;        // both or none
    std::string basic_auth_password_file;
    milliseconds drain_deadline{30'000}; // requests under way get that long to finish at shutdown
};

void add_to(config::table& table, options& into);

// What no single value shows; throws config::error naming the options. Before run(), which relies on it.
void check(const options& given);

// Runs until SIGTERM or SIGINT, then finishes what is under way and returns the exit code. Throws std::exception when it cannot start.
int run(const options& with);

}
