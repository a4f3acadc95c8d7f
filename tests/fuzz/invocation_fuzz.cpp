#include "core/invocation.hpp"
#include "sluice/wire.hpp"

#include <cstdlib>

// A message of the call log: the input is the value of its call header, a line end, its callback, a line end, its payload. What is read
// names parts within the payload; what is not is refused in words.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace sluice;
    std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto line = [&bytes] {
        const auto end = std::min(bytes.find('\n'), bytes.size());
        const auto taken = bytes.substr(0, end);
        bytes.remove_prefix(std::min(end + 1, bytes.size()));
        return std::string(taken);
    };
    headers fields{{"Nats-Msg-Id", "id"}, {std::string(wire::call_header), line()}};
    if (auto callback = line(); !callback.empty())
        fields.push_back({std::string(wire::callback_header), callback});
    const std::string payload(bytes);
    const auto read = core::parse_invocation({7, fields, payload});
    if (!read)
        return read.error().message.empty() ? (std::abort(), 0) : 0;
    if (*read->payload != payload || read->sequence != 7 || read->fields_at > read->body_at || read->body_at > payload.size())
        std::abort();
    if (read->tenant.empty() || !parse_function_name(read->function.full()) || core::method_of(payload).empty()
        || core::target_of(payload).empty())
        std::abort();
    const auto id = core::call_id_of(*read);
    if (id.find('\n') != id.npos)
        std::abort();
    return 0;
}
