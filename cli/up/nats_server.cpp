#include "cli/up/nats_server.hpp"

#include "core/config.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <netinet/in.h>
#include <sstream>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

namespace sluice::up {

namespace {

// A string of NATS's configuration language.
std::string quoted(const std::string& text)
{
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\')
            out += '\\';
        out += c;
    }
    return out + '"';
}

}

std::string find_nats_server(const std::string& given, const std::string& path_variable)
{
    if (!given.empty()) {
        if (::access(given.c_str(), X_OK) != 0)
            throw config::error("nats_server: cannot execute " + given);
        return given;
    }
    // Debian keeps it in a folder that is not on every user's PATH.
    std::istringstream folders(path_variable + ":/usr/sbin:/usr/local/sbin");
    for (std::string folder; std::getline(folders, folder, ':');) {
        auto candidate = folder + "/nats-server";
        if (!folder.empty() && ::access(candidate.c_str(), X_OK) == 0)
            return candidate;
    }
    throw config::error("nats_server: none on PATH; install the package nats-server, or give --nats-server FILE or --nats URL");
}

std::string nats_server_config(const nats_server_options& options)
{
    std::ostringstream text;
    text << "# Written at each start of `sluice up`: changes are lost.\n"
         << "listen: \"127.0.0.1:" << options.port << "\"\n"
         << "server_name: \"sluice\"\n"
         << "max_payload: " << options.payload_bytes_max << "\n"
         << "ports_file_dir: " << quoted(options.ports_folder) << "\n"
         << "authorization {\n  user: " << quoted(options.user) << "\n  password: " << quoted(options.password) << "\n}\n"
         << "jetstream {\n  store_dir: " << quoted(options.store_folder) << "\n  max_memory_store: 67108864\n"
         << "  max_file_store: " << options.store_bytes_max << "\n}\n";
    return text.str();
}

std::uint16_t free_port()
{
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    const bool found = fd >= 0 && ::bind(fd, generic, size) == 0 && ::getsockname(fd, generic, &size) == 0;
    const int error = errno;
    if (fd >= 0)
        ::close(fd);
    if (!found)
        throw std::system_error(error, std::generic_category(), "no free port on 127.0.0.1");
    return ntohs(address.sin_port);
}

}
