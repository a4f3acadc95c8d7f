#include "core/listen_address.hpp"

#include "core/config.hpp"

#include <charconv>

namespace sluice::core {

std::string listen_address::text() const
{
    const bool v6 = host.find(':') != std::string::npos;
    return (v6 ? '[' + host + ']' : host) + ':' + std::to_string(port);
}

listen_address parse_listen_address(std::string_view key, std::string_view text)
{
    const auto colon = text.rfind(':');
    listen_address found;
    if (colon != std::string_view::npos) {
        auto host = text.substr(0, colon);
        const auto* end = text.data() + text.size();
        const auto [stop, failure] = std::from_chars(text.data() + colon + 1, end, found.port);
        const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
        if (bracketed)
            host = host.substr(1, host.size() - 2);
        found.host = host == "localhost" && !bracketed ? "127.0.0.1" : host;
        if (failure == std::errc{} && stop == end && !host.empty() && (bracketed || host.find(':') == std::string_view::npos))
            return found;
    }
    throw config::error(std::string(key) + ": \"" + std::string(text) + "\" is not " + std::string(listen_address_form));
}

}
