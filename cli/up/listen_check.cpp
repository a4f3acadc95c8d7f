#include "cli/up/listen_check.hpp"

#include "adapters/process/owned_fd.hpp"
#include "adapters/process/socket_address.hpp"
#include "cli/up/role_option.hpp"
#include "core/listen_address.hpp"

#include <cerrno>
#include <map>
#include <sys/socket.h>
#include <system_error>
#include <utility>

namespace sluice::up {

namespace {

// As the roles do it.
std::string listen_once(const core::listen_address& at)
{
    const auto address = process::socket_address_of(at.host, at.port);
    if (!address)
        return {}; // of a zone, or wrong: the role's business
    const process::owned_fd socket(::socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    if (socket && ::setsockopt(socket.number(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0
        && ::bind(socket.number(), address->raw(), address->length) == 0 && ::listen(socket.number(), 1) == 0)
        return {};
    return std::generic_category().message(errno);
}

}

std::string listen_fault(const options& with)
{
    std::map<std::pair<std::string, std::string>, std::string> addresses{{{"gateway", "--listen"}, with.listen}};
    for (const auto& entry : with.role_option) {
        const auto option = parse_role_option(entry);
        const auto equals = option.flag.find('=');
        if (auto name = option.flag.substr(0, equals); name == "--listen" || name == "--metrics-listen")
            addresses[{option.role, std::move(name)}] = option.flag.substr(equals + 1); // the last one counts
    }
    for (const auto& [of, text] : addresses) {
        if (text.empty())
            continue;
        const auto address = core::parse_listen_address("listen", text);
        if (const auto fault = listen_once(address); !fault.empty())
            return of.first + ": listen on " + address.text() + ": " + fault;
    }
    return {};
}

}
