#include "adapters/process/descendants.hpp"

#include "adapters/process/owned_fd.hpp"
#include "adapters/process/process.hpp"

#include <cerrno>
#include <charconv>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <poll.h>
#include <string_view>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sluice::process {

namespace {

constexpr std::size_t environment_bytes_max = 2 * 1024 * 1024; // what exec takes, about
constexpr int rounds_max = 10;
constexpr int round_wait_ms = 2;

std::string file_text(const std::string& path, std::size_t bytes_max)
{
    std::string text;
    const owned_fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    char chunk[16 * 1024];
    while (file && text.size() < bytes_max) {
        const auto got = ::read(file.number(), chunk, sizeof chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        text.append(chunk, static_cast<std::size_t>(got));
    }
    return text;
}

std::optional<int> pid_of(std::string_view text)
{
    int pid = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
    return error == std::errc() && end == text.data() + text.size() && pid > 0 ? std::optional(pid) : std::nullopt;
}

// Whether one was there.
bool kill_all_with(const std::string& name, const std::set<std::string>& values)
{
    bool found = false;
    std::error_code ignored;
    for (auto at = std::filesystem::directory_iterator("/proc", ignored); !ignored && at != std::filesystem::directory_iterator();
         at.increment(ignored))
    {
        const auto pid = pid_of(at->path().filename().native());
        const auto seen = pid && *pid != ::getpid() ? identify(*pid) : std::nullopt; // before its environment: it may be another's soon
        const auto value = seen ? variable_of(*pid, name) : std::nullopt;
        if (value && values.contains(*value))
            found |= signal(*seen, SIGKILL);
    }
    return found;
}

}

void adopt_orphans() noexcept { ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

std::vector<int> children()
{
    std::vector<int> found;
    const auto own = std::to_string(::getpid());
    const auto text = file_text("/proc/" + own + "/task/" + own + "/children", environment_bytes_max);
    for (std::string_view rest = text; !rest.empty();) {
        const auto word = rest.substr(0, rest.find(' '));
        if (const auto pid = pid_of(word))
            found.push_back(*pid);
        rest.remove_prefix(std::min(word.size() + 1, rest.size()));
    }
    return found;
}

std::optional<std::string> variable_of(int pid, const std::string& name)
{
    const auto text = file_text("/proc/" + std::to_string(pid) + "/environ", environment_bytes_max);
    for (std::string_view rest = text; !rest.empty();) {
        const auto entry = rest.substr(0, rest.find('\0'));
        if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=')
            return std::string(entry.substr(name.size() + 1));
        rest.remove_prefix(std::min(entry.size() + 1, rest.size()));
    }
    return std::nullopt;
}

bool reap_if_ended(int pid) noexcept { return ::waitpid(pid, nullptr, WNOHANG) == pid; }

void end_children(std::chrono::milliseconds within)
{
    const auto until = std::chrono::steady_clock::now() + within;
    for (auto left = children(); !left.empty() && std::chrono::steady_clock::now() < until; left = children()) {
        bool reaped = false;
        for (const int pid : left) {
            ::kill(pid, SIGKILL); // a child that is not reaped keeps its pid
            reaped |= reap_if_ended(pid);
        }
        if (!reaped)
            ::poll(nullptr, 0, round_wait_ms);
    }
}

void end_processes_with(const std::string& name, const std::set<std::string>& values) noexcept
{
    try {
        for (int round = 0; round < rounds_max && kill_all_with(name, values); ++round)
            ::poll(nullptr, 0, round_wait_ms);
    } catch (const std::exception&) { // out of descriptors: what is left is ended with the next replica's end, or not
    }
}

}
