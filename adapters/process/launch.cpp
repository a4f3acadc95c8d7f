#include "adapters/process/child.hpp"
#include "adapters/process/pidfd.hpp"
#include "adapters/process/process.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <fcntl.h>
#include <set>
#include <stdexcept>
#include <string_view>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

// Everything that allocates happens here, before the fork; child.cpp has what happens after it.
namespace sluice::process {

namespace {

void check(bool holds, const std::string& complaint)
{
    if (!holds)
        throw std::invalid_argument("launch: " + complaint);
}

bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

void validate(const launch_options& options)
{
    check(!options.argv.empty() && !options.argv.front().empty(), "argv is empty");
    const auto& name = options.argv.front();
    for (const auto& argument : options.argv)
        check(!has_nul(argument), "an argument of " + name + " holds a NUL byte");
    for (const auto& [key, value] : options.env)
        check(!key.empty() && key.find('=') == std::string::npos && !has_nul(key) && !has_nul(value),
              "environment of " + name + ": \"" + key + "\" cannot be passed");
    std::set<int> numbers;
    for (const auto& [ours, number] : options.keep_fds)
        check(ours >= 0 && number > STDERR_FILENO && numbers.insert(number).second,
              "descriptor " + std::to_string(number) + " of " + name + " is given twice, or is one of the standard three");
    check(!options.gid || options.uid, "gid without uid");
}

std::vector<std::string> env_strings(const std::map<std::string, std::string>& env)
{
    std::vector<std::string> strings;
    strings.reserve(env.size());
    for (const auto& [key, value] : env) {
        auto& entry = strings.emplace_back(key);
        entry += '=';
        entry += value;
    }
    return strings;
}

// As execvp, with the PATH of the child. Empty elements, which would mean the working folder, are passed over.
std::vector<std::string> candidates(const std::string& name, const std::map<std::string, std::string>& env)
{
    if (name.find('/') != std::string::npos)
        return {name};
    const auto path = env.find("PATH");
    std::string_view rest = path == env.end() ? "/usr/local/bin:/usr/bin:/bin" : std::string_view(path->second);
    std::vector<std::string> found;
    while (!rest.empty()) {
        const auto folder = rest.substr(0, rest.find(':'));
        rest.remove_prefix(std::min(folder.size() + 1, rest.size()));
        if (!folder.empty())
            found.push_back(std::string(folder) + "/" + name);
    }
    return found;
}

std::vector<const char*> pointers(const std::vector<std::string>& strings)
{
    std::vector<const char*> list;
    list.reserve(strings.size() + 1);
    for (const auto& string : strings)
        list.push_back(string.c_str());
    list.push_back(nullptr);
    return list;
}

std::string current_folder()
{
    std::array<char, PATH_MAX> buffer{};
    return ::getcwd(buffer.data(), buffer.size()) ? buffer.data() : "/";
}

std::vector<child_plan::assignment> assignments(const launch_options& options)
{
    std::vector<child_plan::assignment> list{
        {options.stdin_fd, STDIN_FILENO, O_RDONLY},
        {options.stdout_fd >= 0 ? options.stdout_fd : STDOUT_FILENO, STDOUT_FILENO, O_WRONLY},
        {options.stderr_fd >= 0 ? options.stderr_fd : STDERR_FILENO, STDERR_FILENO, O_WRONLY},
    };
    for (const auto& [ours, number] : options.keep_fds)
        list.push_back({ours, number, 0});
    return list;
}

// No signal handler of ours may run in the child: Asio's would write into a pipe that it shares with us.
class signals_blocked {
public:
    signals_blocked()
    {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~signals_blocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    signals_blocked(const signals_blocked&) = delete;
    signals_blocked& operator=(const signals_blocked&) = delete;

private:
    sigset_t before_{};
};

pid_t fork_into(const child_plan& plan, int report_fd)
{
    const signals_blocked quiet;
    const pid_t pid = ::fork();
    if (pid == 0)
        become(plan, report_fd);
    return pid;
}

// Nothing: exec closed the pipe.
std::optional<child_failure> await_exec(const owned_fd& report)
{
    child_failure failure;
    ssize_t length = 0;
    do
        length = ::read(report.number(), &failure, sizeof failure);
    while (length < 0 && errno == EINTR);
    if (length == 0)
        return std::nullopt;
    return length == sizeof failure ? failure : child_failure{child_step::arrange_descriptors, EIO};
}

void reap(pid_t pid)
{
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
}

std::string words_for(const child_failure& failure, const launch_options& options, const std::string& folder)
{
    auto text = "start " + options.argv.front() + ": " + describe(failure.step);
    if (failure.step == child_step::enter_folder) {
        text.append(" ").append(folder);
        if (options.uid)
            text.append(" as user ").append(std::to_string(*options.uid));
    }
    return text;
}

int highest_number(const launch_options& options)
{
    int highest = STDERR_FILENO;
    for (const auto& [ours, number] : options.keep_fds)
        highest = std::max(highest, number);
    return highest;
}

// What has become of it, once it has executed one of the paths, the first that can be, or failed.
struct started_child {
    pid_t pid = -1;
    std::optional<child_failure> failure; // it is reaped then
    std::string folder;
};

started_child start_child(const launch_options& options, const std::vector<std::string>& paths)
{
    const auto env = env_strings(options.env);
    const auto path_list = pointers(paths), argument_list = pointers(options.argv), env_list = pointers(env);
    const auto files = assignments(options);
    const std::string folder = options.working_folder.empty() ? current_folder() : options.working_folder;
    const std::string uid_map = std::to_string(::geteuid()) + " " + std::to_string(::geteuid()) + " 1";
    const std::string gid_map = std::to_string(::getegid()) + " " + std::to_string(::getegid()) + " 1";
    rlimit files_limit{};
    ::getrlimit(RLIMIT_NOFILE, &files_limit);
    std::vector<int> copies(files.size(), -1);

    const child_plan plan{
        .paths = path_list,
        .argv = argument_list.data(),
        .env = env_list.data(),
        .files = files,
        .copies = copies,
        .copies_from = highest_number(options) + 1,
        .descriptors_end = static_cast<unsigned>(std::min<rlim_t>(files_limit.rlim_cur, INT_MAX)),
        .working_folder = folder.c_str(),
        .folder_is_ours = options.working_folder.empty(),
        .hidden_folder = options.hidden_folder.empty() ? nullptr : options.hidden_folder.c_str(),
        .own_user_namespace = ::geteuid() != 0,
        .uid_map = uid_map,
        .gid_map = gid_map,
        .uid = options.uid,
        .gid = options.gid ? options.gid : options.uid,
        .new_session = options.new_session,
        .parent_if_dying_with_it = options.die_with_parent ? ::getpid() : 0,
        .no_new_privileges = options.no_new_privileges,
    };

    pipe_ends report = make_pipe();
    const pid_t pid = fork_into(plan, report.write.number());
    if (pid < 0)
        throw std::system_error(errno, std::system_category(), "start " + options.argv.front() + ": fork");
    report.write.reset();
    const auto failure = await_exec(report.read);
    if (failure)
        reap(pid);
    return {pid, failure, folder};
}

[[noreturn]] void complain(const started_child& of, const launch_options& options)
{
    throw std::system_error(of.failure->error, std::system_category(), words_for(*of.failure, options, of.folder));
}

}

std::optional<std::string> find_program(const std::string& name, const std::map<std::string, std::string>& env)
{
    struct stat facts;
    for (const auto& path : candidates(name, env))
        if (::stat(path.c_str(), &facts) == 0 && S_ISREG(facts.st_mode) && ::access(path.c_str(), X_OK) == 0)
            return path;
    return std::nullopt;
}

identity launch(const launch_options& options)
{
    validate(options);
    const auto child = start_child(options, candidates(options.argv.front(), options.env));
    if (child.failure)
        complain(child, options);
    // Ours and not reaped yet, so the pid still is this process even if it has already ended.
    const auto seen = look_up(child.pid);
    return {.pid = child.pid, .start_ticks = seen ? seen->start_ticks : 0};
}

void rehearse(const launch_options& options)
{
    validate(options);
    const auto child = start_child(options, {}); // nothing to execute: the exec fails
    if (child.failure && child.failure->step != child_step::exec)
        complain(child, options);
}

}
