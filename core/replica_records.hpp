#pragma once
#include "sluice/function.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What a provider writes down of its running replicas, so that its next process finds them again. Pure.
namespace sluice::core {

struct replica_record {
    function_name function;
    std::string replica; // as in endpoint
    int pid = 0;
    std::uint64_t start_ticks = 0; // tells its process from a later one with the same pid
    std::uint16_t port = 0;        // on 127.0.0.1
    std::string token;
    std::uint64_t spec_hash = 0;
    std::uint32_t max_inflight = 0;
    std::string folder; // made for this replica alone, removed with it; empty: none

    friend bool operator==(const replica_record&, const replica_record&) = default;
};

std::string encode(const std::vector<replica_record>& records); // JSON
// Nothing for damage or a newer version: whoever reads must not take that for "none run".
std::optional<std::vector<replica_record>> decode_replica_records(std::string_view json);

}
