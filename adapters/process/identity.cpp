#include "adapters/process/pidfd.hpp"
#include "adapters/process/process.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace sluice::process {

namespace {

template <class Number> std::optional<Number> parse(std::string_view text)
{
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size())
        return std::nullopt;
    return value;
}

// The n-th of the words that single spaces separate.
std::string_view word(std::string_view text, std::size_t n)
{
    for (; n > 0; --n)
        text.remove_prefix(std::min(text.find(' '), text.size() - 1) + 1);
    return text.substr(0, text.find_first_of(" \n"));
}

}

std::optional<kernel_view> look_up(int pid)
{
    if (pid <= 0)
        return std::nullopt;
    const owned_fd file(::open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC));
    if (!file)
        return std::nullopt;
    std::string text(1024, '\0');
    const auto length = ::read(file.number(), text.data(), text.size());
    if (length <= 0) // it ended in between
        return std::nullopt;
    text.resize(static_cast<std::size_t>(length));
    // The second field is the program's name in parentheses, which may itself hold spaces and parentheses.
    const auto name_end = text.rfind(") ");
    if (name_end == std::string::npos)
        return std::nullopt;
    const std::string_view rest = std::string_view(text).substr(name_end + 2); // begins with field 3
    const auto group = parse<int>(word(rest, 2));
    const auto start_ticks = parse<std::uint64_t>(word(rest, 19));
    if (!group || !start_ticks)
        return std::nullopt;
    const char state = rest.front();
    return kernel_view{.ended = state == 'Z' || state == 'X', .group = *group, .start_ticks = *start_ticks};
}

owned_fd open_pidfd(const identity& process)
{
    if (process.pid <= 0)
        return owned_fd();
    owned_fd opened(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0)));
    if (!opened && errno != ESRCH && errno != EINVAL) // EINVAL: no longer the leader of a thread group
        throw std::system_error(errno, std::system_category(), "pidfd_open of process " + std::to_string(process.pid));
    // Looked up after opening: from here on the descriptor cannot come to mean another process.
    errno = 0;
    const auto seen = opened ? look_up(process.pid) : std::nullopt;
    if (opened && !seen && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) // not seen is not gone
        throw std::system_error(errno, std::system_category(), "look at process " + std::to_string(process.pid));
    return seen && seen->start_ticks == process.start_ticks ? std::move(opened) : owned_fd();
}

std::optional<identity> identify(int pid)
{
    const auto seen = look_up(pid);
    if (!seen || seen->ended)
        return std::nullopt;
    return identity{.pid = pid, .start_ticks = seen->start_ticks};
}

bool alive(const identity& process) { return identify(process.pid) == process; }

bool signal(const identity& process, int number)
{
    const auto target = open_pidfd(process);
    if (!target || !alive(process))
        return false;
    return ::syscall(SYS_pidfd_send_signal, target.number(), number, nullptr, 0) == 0;
}

bool signal_group_of(const owned_fd& pidfd, int pid, int number)
{
    const auto send = [&](int what, unsigned flags) { return ::syscall(SYS_pidfd_send_signal, pidfd.number(), what, nullptr, flags) == 0; };
    const int group = ::getpgid(pid);
    if (!send(0, 0)) // reaped: what the pid means now is not known
        return false;
    // Started in its parent's group, it has none of its own; that one may be ours.
    if (group != pid) {
        pollfd ended{pidfd.number(), POLLIN, 0};
        return ::poll(&ended, 1, 0) == 0 && send(number, 0);
    }
    constexpr unsigned to_process_group = 4; // PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9
    return send(number, to_process_group) || (errno == EINVAL && ::kill(-pid, number) == 0);
}

bool signal_group(const identity& process, int number)
{
    const auto target = open_pidfd(process);
    return target && signal_group_of(target, process.pid, number);
}

}
