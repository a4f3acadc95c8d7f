#include "adapters/nats/connect_guard.hpp"

#include "adapters/nats/server_greeting.hpp"
#include "adapters/process/owned_fd.hpp"

#include <algorithm>
#include <charconv>
#include <dirent.h>
#include <fcntl.h>
#include <functional>
#include <memory>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace sluice::nats {

namespace {

constexpr unsigned sweeps_a_deadline = 2;

std::set<std::uint16_t> ports_of(const std::vector<std::string>& servers)
{
    std::set<std::uint16_t> ports;
    for (const auto& server : servers) {
        const auto text = address_of(server).port;
        std::uint16_t port = 0;
        std::from_chars(text.data(), text.data() + text.size(), port);
        if (port != 0) // what peer_port() says of everything that is no connection
            ports.insert(port);
    }
    return ports;
}

std::uint16_t peer_port(int fd)
{
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0)
        return 0; // not connected yet: the library bounds that itself
    if (peer.ss_family == AF_INET)
        return ntohs(reinterpret_cast<const sockaddr_in&>(peer).sin_port);
    if (peer.ss_family == AF_INET6)
        return ntohs(reinterpret_cast<const sockaddr_in6&>(peer).sin6_port);
    return 0;
}

std::uint16_t own_port(int fd)
{
    sockaddr_storage own{};
    socklen_t size = sizeof own;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) != 0)
        return 0;
    return ntohs(own.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(own).sin6_port
                                           : reinterpret_cast<const sockaddr_in&>(own).sin_port);
}

bool listens(int fd)
{
    int yes = 0;
    socklen_t size = sizeof yes;
    return ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &size) == 0 && yes != 0;
}

void each_descriptor(const std::function<void(int)>& call)
{
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc/self/fd"), ::closedir);
    while (const auto* entry = folder ? ::readdir(folder.get()) : nullptr) {
        const std::string name = entry->d_name;
        int fd = -1;
        if (std::from_chars(name.data(), name.data() + name.size(), fd).ec == std::errc())
            call(fd);
    }
}

// Calls with a copy of each descriptor that is a connection to one of the ports which this process opened (what it accepted has the port that it
// listens on as its own), and with the socket's inode. The copy stands for the same socket whatever becomes of the number meanwhile. Without a
// descriptor to spare nothing is found.
void each_connection(const std::set<std::uint16_t>& ports, const std::function<void(int, std::uint64_t)>& call)
{
    std::set<std::uint16_t> listened_on;
    each_descriptor([&](int fd) {
        if (listens(fd))
            listened_on.insert(own_port(fd));
    });
    const auto is_ours = [&](int fd) { return ports.contains(peer_port(fd)) && !listened_on.contains(own_port(fd)); };
    each_descriptor([&](int fd) {
        if (!is_ours(fd))
            return;
        const process::owned_fd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
        struct stat about {};
        if (copy && is_ours(copy.number()) && ::fstat(copy.number(), &about) == 0)
            call(copy.number(), static_cast<std::uint64_t>(about.st_ino));
    });
}

}

connect_guard::connect_guard(const std::vector<std::string>& servers, std::chrono::milliseconds deadline) : ports_(ports_of(servers))
{
    each_connection(ports_, [this](int, std::uint64_t inode) { before_.insert(inode); });
    thread_ = std::thread([this, step = deadline / sweeps_a_deadline] { run(std::max(step, std::chrono::milliseconds(1))); });
}

connect_guard::~connect_guard()
{
    {
        const std::lock_guard lock(mutex_);
        done_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void connect_guard::run(std::chrono::milliseconds step)
{
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, step, [this] { return done_; })) {
        lock.unlock();
        sweep();
        lock.lock();
    }
}

void connect_guard::sweep()
{
    each_connection(ports_, [this](int fd, std::uint64_t inode) {
        if (!before_.contains(inode) && ++sweeps_[inode] > sweeps_a_deadline)
            ::shutdown(fd, SHUT_RDWR);
    });
}

}
