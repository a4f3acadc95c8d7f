#include "adapters/http/response_reader.hpp"

#include <cstdlib>

// Feeds a response at once and in pieces: what is understood must be the same, and within its bounds. The first byte of the input says
// how the pieces are cut, and whether the request was HEAD.
namespace {

using sluice::http::response_reader;

bool read(std::string_view bytes, std::size_t piece, bool to_head, sluice::answer& out)
{
    response_reader reader(1024);
    reader.reset(to_head, 100);
    std::string held;
    for (std::size_t used = 0; used < bytes.size();) {
        const auto next = bytes.substr(used, piece);
        used += next.size();
        held.append(next);
        held.erase(0, reader.feed(held));
        if (reader.at() == response_reader::state::complete || reader.at() == response_reader::state::failed)
            break;
    }
    if (reader.at() == response_reader::state::head || reader.at() == response_reader::state::body)
        reader.feed_end();
    if (reader.at() != response_reader::state::complete)
        return false;
    out = reader.take_answer();
    if (out.status < 200 || out.body.size() > 100 || out.truncated != (out.body_bytes > out.body.size()))
        std::abort();
    return true;
}

}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size == 0)
        return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const bool to_head = data[0] & 0x80;
    sluice::answer whole, pieces;
    const bool first = read(bytes, bytes.size() + 1, to_head, whole);
    const bool second = read(bytes, 1 + data[0] % 16, to_head, pieces);
    if (first && second && (whole.status != pieces.status || whole.body != pieces.body || whole.fields.size() != pieces.fields.size()))
        std::abort();
    return 0;
}
