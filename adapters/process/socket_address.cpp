#include "adapters/process/socket_address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

namespace sluice::process {

std::optional<socket_address> socket_address_of(const std::string& host, std::uint16_t port)
{
    socket_address made;
    auto* four = reinterpret_cast<sockaddr_in*>(&made.storage);
    if (::inet_pton(AF_INET, host.c_str(), &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(port);
        made.length = sizeof *four;
        return made;
    }
    auto* six = reinterpret_cast<sockaddr_in6*>(&made.storage);
    if (::inet_pton(AF_INET6, host.c_str(), &six->sin6_addr) != 1)
        return std::nullopt;
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(port);
    made.length = sizeof *six;
    return made;
}

}
