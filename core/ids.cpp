#include "core/ids.hpp"

#include <cassert>

namespace sluice::core {

namespace {

constexpr std::size_t id_size = 36;
constexpr char digits[] = "0123456789abcdef";

constexpr bool is_dash(std::size_t at) { return at == 8 || at == 13 || at == 18 || at == 23; }

}

std::string make_id(unix_ms now, std::uint32_t partition, std::uint64_t random)
{
    assert(partition < id_partitions_max && now >= 0);
    const std::uint64_t high = static_cast<std::uint64_t>(now) << 16 | 0x7000u | partition;
    const std::uint64_t low = (random & 0x3fffffffffffffffull) | 0x8000000000000000ull;
    std::string id(id_size, '-');
    unsigned nibble = 0;
    for (std::size_t at = 0; at < id_size; ++at) {
        if (is_dash(at))
            continue;
        const std::uint64_t word = nibble < 16 ? high : low;
        id[at] = digits[word >> (60 - nibble % 16 * 4) & 15];
        ++nibble;
    }
    return id;
}

std::optional<id_parts> parse_id(std::string_view id) noexcept
{
    if (id.size() != id_size)
        return std::nullopt;
    std::uint64_t words[2] = {0, 0};
    unsigned nibble = 0;
    for (std::size_t at = 0; at < id_size; ++at) {
        const char c = id[at];
        if (is_dash(at)) {
            if (c != '-')
                return std::nullopt;
            continue;
        }
        const bool letter = c >= 'a' && c <= 'f';
        if (!letter && !(c >= '0' && c <= '9'))
            return std::nullopt;
        words[nibble / 16] = words[nibble / 16] << 4 | static_cast<std::uint64_t>(letter ? c - 'a' + 10 : c - '0');
        ++nibble;
    }
    if ((words[0] & 0xf000u) != 0x7000u || words[1] >> 62 != 2)
        return std::nullopt;
    return id_parts{static_cast<unix_ms>(words[0] >> 16), static_cast<std::uint32_t>(words[0] & 0xfffu)};
}

}
