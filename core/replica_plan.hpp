#pragma once
#include "core/function_codec.hpp"
#include "sluice/function.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// What a provider of processes makes of a function's spec. Pure.
namespace sluice::core {

struct replica_plan {
    std::uint64_t spec_hash = 0; // of what a replica's process depends on; labels change how many there are, not the process
    string_map environment;      // of the function: env_vars, fprocess, PATH
    std::string folder;          // where it runs: an image that is a folder's path; empty: a fresh one of its own
    std::uint32_t max_inflight = 0;
    std::uint32_t replicas = 1;
    std::optional<field_error> wrong_label; // that was ignored
};

// The error names the field: envProcess, a wrong variable (core/watchdog_config.hpp), secrets.
parsed<replica_plan> plan_replicas(const function_spec& spec);

// parse_deployment, and it refuses what the spec alone shows can never be started. What only the provider's machine knows (programs,
// secrets) is not looked at: that becomes the function's trouble.
struct deployment_bounds {
    std::uint32_t replicas_max = 256; // that the label com.openfaas.scale.min may ask for
};
parsed<function_spec> parse_runnable_deployment(std::string_view json, const deployment_bounds& bounds = {});

// An operator's endpoint, "NAME[.NS]=http://HOST:PORT[,max_inflight=N]": a process that is not ours.
struct static_function {
    function_name name;
    std::string url;
    endpoint replica;
};
static_function parse_static_function(std::string_view text); // throws config::error naming static_function
// Of a whole list; throws likewise where two are of one name.
std::vector<static_function> parse_static_functions(const std::vector<std::string>& list);

}
