#include "core/layout.hpp"

#include "core/invocation.hpp"

#include <boost/json.hpp>

namespace sluice::core {

namespace {

constexpr const char* layout_key = "layout";
using answer = boost::system::result<std::uint32_t, std::string>;

void read_layout(key_value& cluster, std::function<void(answer)> done)
{
    cluster.get(layout_key, [done = std::move(done)](key_value::result<kv_entry> stored) {
        if (stored)
            done(decode_layout(stored->value));
        else
            done(answer("the cluster's layout cannot be read: " + stored.error().message()));
    });
}

}

std::string encode_layout(std::uint32_t partitions) { return R"({"version":1,"partitions":)" + std::to_string(partitions) + '}'; }

boost::system::result<std::uint32_t, std::string> decode_layout(std::string_view text)
{
    boost::system::error_code error;
    const auto json = boost::json::parse(text, error);
    const auto* object = error ? nullptr : json.if_object();
    const auto* version = object ? object->if_contains("version") : nullptr;
    const auto* partitions = object ? object->if_contains("partitions") : nullptr;
    if (!version || !version->is_int64() || !partitions || !partitions->is_int64())
        return answer("the cluster's layout is unreadable: " + std::string(text.substr(0, 200)));
    if (version->get_int64() != 1)
        return answer("the cluster's layout has version " + std::to_string(version->get_int64()) + ", newer than this release reads (1)");
    if (partitions->get_int64() < 1 || partitions->get_int64() > partitions_max)
        return answer("the cluster's layout has " + std::to_string(partitions->get_int64()) + " partitions, outside 1.."
                      + std::to_string(partitions_max));
    return answer(static_cast<std::uint32_t>(partitions->get_int64()));
}

void agree_on_layout(key_value& cluster, std::uint32_t wanted, std::function<void(answer)> done)
{
    // Lost races end in reading what the winner stored; an unknown outcome does too.
    cluster.create(layout_key, encode_layout(wanted),
                   [&cluster, done = std::move(done)](key_value::result<std::uint64_t>) { read_layout(cluster, done); });
}

std::uint32_t partition_of(std::string_view tenant, std::uint32_t partitions) noexcept
{
    return static_cast<std::uint32_t>(hash_id(tenant) % partitions);
}

}
