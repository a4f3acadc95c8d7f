#include "core/replay.hpp"

#include <cstdlib>

// A journal message: what can be read can be written, and reads the same again; and a replay takes it or refuses it in words.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace sluice::core;
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto batch = journal::decode(bytes);
    replay read;
    const auto added = read.add(1, bytes);
    if (!batch) {
        if (batch.error().message.empty() || added)
            std::abort();
        return 0;
    }
    auto again = journal::encode_head(batch->epoch, batch->owner, batch->number);
    for (const auto& next : batch->records) {
        const auto before = again.size();
        journal::append_record(again, next);
        if (again.size() - before != journal::size_of(next))
            std::abort();
    }
    const auto second = journal::decode(again);
    if (!second || *second != *batch)
        std::abort();
    if (added)
        for (const auto& [call, entry] : read.held())
            if (!read.find(call) || read.owner_of(entry).tenant.size() > size)
                std::abort();
    return 0;
}
