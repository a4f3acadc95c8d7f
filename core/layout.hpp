#pragma once
#include "sluice/key_value.hpp"

#include <boost/system/result.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace sluice::core {

inline constexpr std::uint32_t partitions_max = 256;
// Of a partition's log, and of its journal where that has a bound: a smaller one would be full of a few calls with large bodies.
inline constexpr std::uint64_t stream_bytes_min = 16 * 1024 * 1024;

// How the cluster is laid out, agreed once by whoever starts first and fixed from then on: the number of partitions. In the cluster bucket,
// key "layout": {"version":1,"partitions":N}. Gateways and workers use what is stored, whatever their own configuration says.
std::string encode_layout(std::uint32_t partitions);
boost::system::result<std::uint32_t, std::string> decode_layout(std::string_view json);

// Stores `wanted` if nothing is stored, and answers what is: the number of partitions, or why it is unknown. Loop thread only; the bucket
// outlives the answer.
void agree_on_layout(key_value& cluster, std::uint32_t wanted, std::function<void(boost::system::result<std::uint32_t, std::string>)> done);

// A tenant's partition: FNV-1a of its name, modulo their number.
std::uint32_t partition_of(std::string_view tenant, std::uint32_t partitions) noexcept;

}
