#include "cli/up/leftovers.hpp"

#include "adapters/process/files.hpp"
#include "adapters/process/process.hpp"
#include "cli/up/files.hpp"

#include <charconv>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace sluice::up {

namespace {

struct leftover {
    process::identity process;
    std::string name;
    std::unique_ptr<process::watch> watch;
};

// Kept alive by its own callbacks until the last process has gone.
struct ending : std::enable_shared_from_this<ending> {
    ending(loop& home, std::function<void()> then) : on(home), deadline(home), done(std::move(then)) {}
    loop& on;
    timer deadline;
    std::vector<leftover> left;
    std::size_t running = 0;
    std::function<void()> done;

    void one_gone()
    {
        if (--running > 0)
            return;
        deadline.cancel();
        on.post([self = shared_from_this()] {
            self->left.clear(); // the watches hold us
            self->done();
        });
    }
};

std::vector<leftover> find_leftovers(const std::string& run_folder)
{
    std::vector<leftover> found;
    for (const auto& file : std::filesystem::directory_iterator(run_folder)) {
        if (file.path().extension() != ".pid")
            continue;
        process::identity left;
        std::istringstream(process::read_file_if_any(file.path())) >> left.pid >> left.start_ticks;
        if (left.pid > 0 && process::alive(left))
            found.push_back({left, file.path().stem(), nullptr});
        else
            remove_file(file.path());
    }
    return found;
}

int parent_of(const std::string& pid)
{
    // "pid (name) state ppid ...", where the name may hold anything, brackets too.
    std::string stat;
    std::getline(std::ifstream("/proc/" + pid + "/stat"), stat, '\0'); // stays empty when it has just ended
    const auto name_end = stat.rfind(')');
    if (name_end == std::string::npos)
        return 0;
    char state = 0;
    int parent = 0;
    std::istringstream(stat.substr(name_end + 1)) >> state >> parent;
    return parent;
}

std::vector<int> children()
{
    std::vector<int> found;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
        const std::string name = entry.path().filename();
        int pid = 0;
        const auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), pid);
        if (bad == std::errc{} && end == name.data() + name.size() && parent_of(name) == ::getpid())
            found.push_back(pid);
    }
    return found;
}

}

void end_leftovers(loop& on, logger& log, const std::string& run_folder, std::chrono::milliseconds deadline, std::function<void()> done)
{
    auto work = std::make_shared<ending>(on, std::move(done));
    work->left = find_leftovers(run_folder);
    work->running = work->left.size();
    if (work->left.empty())
        return on.post([work] { work->done(); });
    for (auto& each : work->left) {
        log.warn("ending what an earlier run left role={} pid={}", each.name, each.process.pid);
        each.watch = std::make_unique<process::watch>(on, each.process, [work](process::exit_status) { work->one_gone(); });
        process::signal(each.process, SIGTERM);
    }
    work->deadline.after(deadline, [work] {
        for (const auto& each : work->left)
            process::signal(each.process, SIGKILL);
    });
}

void adopt_orphans() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }

void reap_orphans(const std::function<bool(int)>& ours)
{
    for (const int pid : children())
        if (!ours(pid))
            ::waitpid(pid, nullptr, WNOHANG);
}

void end_orphans()
{
    // Each round ends one generation; a process that forks faster than it is killed is given up after some.
    constexpr int rounds_max = 100;
    for (int round = 0; round < rounds_max; ++round) {
        const auto left = children();
        if (left.empty())
            return;
        for (const int pid : left)
            ::kill(pid, SIGKILL);
        for (const int pid : left)
            ::waitpid(pid, nullptr, 0);
    }
}

}
