#include "sluice/outcome.hpp"

#include "sluice/wire.hpp"

#include <algorithm>
#include <charconv>

namespace sluice {

void adopt_cut(answer& reply)
{
    const auto* bytes = find(reply.fields, wire::cut_answer_header);
    if (!bytes)
        return;
    std::uint64_t sent = 0;
    const auto [end, failure] = std::from_chars(bytes->data(), bytes->data() + bytes->size(), sent);
    if (failure == std::errc{} && end == bytes->data() + bytes->size() && sent > reply.body.size()) {
        reply.truncated = true;
        reply.body_bytes = sent;
    }
    std::erase_if(reply.fields, [](const header& field) { return same_name(field.name, wire::cut_answer_header); });
}

}
