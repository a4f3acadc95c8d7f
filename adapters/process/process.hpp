#pragma once
#include "adapters/asio/loop.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

// Child processes on Linux: started, watched by pidfd, identified across our own restarts by pid and start time. Loop thread only.
namespace sluice::process {

struct identity {
    int pid = 0;
    std::uint64_t start_ticks = 0; // field 22 of /proc/PID/stat: tells a reused pid from the process that was meant

    friend bool operator==(const identity&, const identity&) = default;
};

// Nothing when no process has this pid, or it is a zombie.
std::optional<identity> identify(int pid);
bool alive(const identity& process);

struct launch_options {
    std::vector<std::string> argv;                     // argv[0] is a path, or found on PATH of env
    std::map<std::string, std::string> env;            // the whole environment
    std::string working_folder;                        // empty: ours
    int stdin_fd = -1, stdout_fd = -1, stderr_fd = -1; // -1: /dev/null for stdin, inherited for the others
    std::vector<std::pair<int, int>> keep_fds;         // {ours, number in the child}; all other descriptors are closed in the child
    bool new_session = false;                          // setsid: a process group of its own, signals of our terminal do not reach it
    bool die_with_parent = false;                      // PR_SET_PDEATHSIG SIGKILL, when the thread that launched it ends
    std::optional<std::uint32_t> uid, gid; // set in the child, supplementary groups dropped; needs root. No gid: the uid's number
    std::string hidden_folder;             // without root: masked from the child by a mount namespace of its own
    bool no_new_privileges = false;
};

// Waits for the exec. Throws std::system_error naming argv[0] when it cannot be started (also when exec fails), std::invalid_argument
// for options that cannot be met by any child. The child begins with default signal handling and nothing blocked.
identity launch(const launch_options& options);

// Goes all of that way but the exec, which tells whether later launches will get so far: the program may be missing. Throws as launch().
void rehearse(const launch_options& options);

struct exit_status {
    bool known = false; // not our child (adopted): only that it ended is known
    int code = -1;      // exit code, or -1 when killed
    int signal = 0;
};

// As Go words it ("exit status 1", "signal: killed"), which is what callers of OpenFaaS functions know.
std::string how_it_ended(const exit_status& status);

// The file that launch() would execute, searched on PATH of env as it does; nothing when there is none that could be. A relative path is
// looked up in our working folder.
std::optional<std::string> find_program(const std::string& name, const std::map<std::string, std::string>& env);

// Calls back once when the process ends, ours or adopted (at once if it is gone), and reaps it after that when it is ours: within the
// callback signal_group still reaches what the process left behind. Destroying it only stops watching.
class watch {
public:
    watch(loop& on, identity process, std::function<void(exit_status)> on_exit);
    ~watch();

    // As the function below, and needs no descriptor of its own: what is watched can be ended when none is left.
    bool signal_group(int number);

private:
    struct state;
    std::shared_ptr<state> state_;
};

// Sends the signal to exactly this process (pidfd), or to its whole process group if it leads one. False when it is gone; a leader
// that has ended and is not reaped yet still stands for its group. Throws std::system_error when out of descriptors.
bool signal(const identity& process, int number);
bool signal_group(const identity& process, int number);

}
