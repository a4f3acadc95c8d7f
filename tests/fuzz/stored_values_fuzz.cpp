#include "core/function_codec.hpp"
#include "core/layout.hpp"
#include "core/lease.hpp"
#include "core/replica_records.hpp"

#include <cstdlib>

// Values of the buckets, of the provider's state file, and bodies of the REST API: what is understood is written so that it is understood
// alike, and what is not is refused in words that name something.
namespace {

using namespace sluice;

void must(bool holds)
{
    if (!holds)
        std::abort();
}

// Written twice over it is the same text.
template <class Read> void stable(std::string_view text, Read read)
{
    const auto first = read(text);
    if (!first)
        return must(!first.error().message.empty());
    const auto written = core::encode(*first);
    const auto second = read(written);
    must(second && core::encode(*second) == written);
}

}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    stable(text, core::decode_function);
    stable(text, core::decode_endpoints);
    stable(text, core::decode_namespace);
    if (auto wanted = core::parse_deployment(text)) {
        const auto stored = core::decode_function(core::encode(*wanted));
        must(stored && core::encode(*stored) == core::encode(*wanted));
        must(!core::status_json(*stored, nullptr, 0).empty());
    } else {
        must(!wanted.error().message.empty());
    }
    if (auto space = core::parse_namespace(text))
        must(core::decode_namespace(core::encode(*space)).has_value());
    if (auto name = core::parse_delete_request(text))
        must(parse_function_name(name->full()).has_value());
    if (auto layout = core::decode_layout(text))
        must(*layout >= 1 && *layout <= core::partitions_max && core::decode_layout(core::encode_layout(*layout)) == layout);
    if (auto replicas = core::decode_replica_records(text))
        must(core::decode_replica_records(core::encode(*replicas)) == replicas);

    core::lease terms("worker", "session", core::lease_terms(milliseconds(3'000)));
    const mono_time now{std::chrono::hours(1)};
    terms.seen({"p0", std::string(text), 5, false}, now);
    terms.current();
    must(!terms.may_act(now)); // whatever it says, this session has written nothing
    if (terms.next(now).what == core::lease::step::kind::update)
        must(terms.problem().empty());
    return 0;
}
