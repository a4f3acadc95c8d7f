#include "adapters/http/request_reader.hpp"

#include <cstdlib>

// Feeds a request at once and in pieces: both must end alike, what is accepted must be framed in one way only, and no view may outlive
// its bytes (which the address sanitizer sees). The first byte of the input says how the pieces are cut.
namespace {

using sluice::http::request_reader;

struct seen {
    request_reader::state end;
    unsigned status = 0;
    std::string method, target, body;
    std::size_t fields = 0, used = 0;
    bool operator==(const seen&) const = default;
};

seen read(std::string_view bytes, std::size_t piece)
{
    request_reader reader(1024);
    std::string held;
    std::size_t used = 0;
    while (used < bytes.size() || !held.empty()) {
        const auto next = bytes.substr(used, piece);
        held.append(next);
        used += next.size();
        const auto taken = reader.feed(held);
        held.erase(0, taken);
        if (reader.at() == request_reader::state::head_done)
            reader.accept_body(512, "bound");
        if (reader.at() == request_reader::state::complete || reader.at() == request_reader::state::failed)
            break;
        if (next.empty() && taken == 0)
            break;
    }
    seen out{reader.at(), 0, {}, {}, {}, 0, 0};
    if (reader.at() == request_reader::state::failed)
        out.status = reader.why().status;
    if (reader.at() != request_reader::state::complete)
        return out;
    const auto& request = reader.request();
    out.method = request.method;
    out.target = request.target;
    out.body = request.body;
    out.fields = request.fields.size();
    out.used = used - held.size();
    unsigned framing = 0, hosts = 0;
    for (const auto& field : request.fields) {
        framing += sluice::same_name(field.name, "content-length") || sluice::same_name(field.name, "transfer-encoding");
        hosts += sluice::same_name(field.name, "host");
        if (field.value.find_first_of(std::string_view("\r\n\0", 3)) != field.value.npos)
            std::abort();
    }
    if (framing > 1 || hosts > 1 || (reader.http11() && hosts != 1) || request.body.size() > 512)
        std::abort();
    return out;
}

}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size == 0)
        return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const auto whole = read(bytes, bytes.size() + 1);
    const auto pieces = read(bytes, 1 + data[0] % 16);
    // In pieces an error may be seen before, or only after, more of the head has come: then only that it is refused, or waits, is the same.
    const bool accepted = whole.end == request_reader::state::complete || pieces.end == request_reader::state::complete;
    if (accepted && !(whole == pieces))
        std::abort();
    return 0;
}
