#pragma once
#include "sluice/time.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::core {

// An invocation's id: a UUID of version 7 (RFC 9562 § 5.7) as 36 characters of lower case. The 12 bits after the version carry the call's
// partition, so that whoever is asked about an id knows where to look; 62 random bits follow. Time and randomness are parameters. Pure.
inline constexpr std::uint32_t id_partitions_max = 4096;

std::string make_id(unix_ms now, std::uint32_t partition, std::uint64_t random);

struct id_parts {
    unix_ms at = 0;
    std::uint32_t partition = 0;
};
// Nothing when the text is no id of ours by its form.
std::optional<id_parts> parse_id(std::string_view id) noexcept;

}
