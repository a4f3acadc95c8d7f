#include "core/url_guard.hpp"

#include <cstdlib>

// Whatever is accepted must be accepted again when put together from its parts, with the same parts.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    static const sluice::url_guard guard({"127.0.0.0/8", "::1", "hooks.internal:8443"});
    const auto first = guard.check({reinterpret_cast<const char*>(data), size});
    if (!first)
        return first.error().empty() ? (std::abort(), 0) : 0;
    const bool v6 = first->host.find(':') != std::string::npos;
    const auto host = v6 ? "[" + first->host + "]" : first->host;
    const auto second =
        guard.check((first->tls ? "https://" : "http://") + host + ":" + std::to_string(first->port) + first->path_and_query);
    // Put together it may be longer than the bound: the port is written out now.
    if (!second && size + 8 < sluice::url_guard::url_bytes_max)
        std::abort();
    if (second && (second->host != first->host || second->port != first->port || second->path_and_query != first->path_and_query))
        std::abort();
    if (first->numeric && !guard.allows(*first, first->host))
        std::abort();
    return 0;
}
