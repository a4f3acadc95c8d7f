#include "cli/up/nats_server.hpp"

#include "adapters/process/owned_fd.hpp"
#include "adapters/process/process.hpp"
#include "core/config.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <netinet/in.h>
#include <poll.h>
#include <sstream>
#include <sys/socket.h>
#include <sys/wait.h>
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
            throw config::error("nats_server: cannot execute " + given + ": " + std::strerror(errno));
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

namespace {

constexpr std::chrono::milliseconds version_deadline{5'000};
constexpr unsigned major_min = 2, minor_min = 9;

// The first line that the program prints, as far as it comes in time.
std::string version_line(const std::string& binary)
{
    auto output = process::make_pipe();
    process::launch_options options;
    options.argv = {binary, "--version"};
    options.stdout_fd = options.stderr_fd = output.write.number();
    options.die_with_parent = true;
    const auto asked = process::launch(options);
    output.write.reset();
    std::string said;
    char part[256];
    const auto until = std::chrono::steady_clock::now() + version_deadline;
    while (said.find('\n') == said.npos && said.size() < sizeof part) {
        pollfd readable{output.read.number(), POLLIN, 0};
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
        if (left.count() <= 0 || ::poll(&readable, 1, static_cast<int>(left.count())) <= 0)
            break;
        const auto got = ::read(output.read.number(), part, sizeof part);
        if (got <= 0)
            break;
        said.append(part, static_cast<std::size_t>(got));
    }
    process::signal(asked, SIGKILL);
    ::waitpid(asked.pid, nullptr, 0);
    return said.substr(0, said.find('\n'));
}

}

void require_usable(const std::string& nats_server)
{
    std::string said;
    try {
        said = version_line(nats_server);
    } catch (const std::system_error& error) {
        throw config::error("nats_server: cannot execute " + nats_server + ": " + error.code().message());
    }
    unsigned major = 0, minor = 0;
    if (std::sscanf(said.c_str(), "nats-server: v%u.%u", &major, &minor) != 2)
        throw config::error("nats_server: " + nats_server + " is no nats-server: asked for its version it says \"" + said + '"');
    if (major < major_min || (major == major_min && minor < minor_min))
        throw config::error("nats_server: " + nats_server + " is too old (" + said + "), needed is 2.9 or newer");
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
