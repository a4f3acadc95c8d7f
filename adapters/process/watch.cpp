#include "adapters/process/pidfd.hpp"
#include "adapters/process/process.hpp"

#include <cctype>
#include <cerrno>
#include <cstring>
#include <sys/wait.h>
#include <utility>

namespace sluice::process {

namespace {

// glibc calls the id type P_PIDFD; older headers lack it.
constexpr auto by_pidfd = static_cast<idtype_t>(3);

exit_status translate(const siginfo_t& info)
{
    if (info.si_code == CLD_EXITED)
        return {.known = true, .code = info.si_status, .signal = 0};
    return {.known = true, .code = -1, .signal = info.si_status};
}

}

std::string how_it_ended(const exit_status& status)
{
    if (!status.known)
        return "it has ended";
    if (status.signal == 0)
        return "exit status " + std::to_string(status.code);
    std::string name = ::strsignal(status.signal);
    for (char& c : name)
        c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return "signal: " + name;
}

struct watch::state {
    // The caller holds it: the callback may destroy the watch.
    static void ended(const std::shared_ptr<state>& self)
    {
        siginfo_t info{};
        const auto pidfd = static_cast<id_t>(self->pidfd.number());
        const bool ours = ::waitid(by_pidfd, pidfd, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
        if (ours && info.si_pid == 0)
            return; // readable for another reason: it has not ended
        self->readable.reset();
        // Reaped only after the callback: until then its pid, and with it the name of its process group, is not given away.
        struct reap {
            ~reap()
            {
                siginfo_t ignored{};
                ::waitid(by_pidfd, pidfd, &ignored, WEXITED | WNOHANG);
            }
            id_t pidfd;
        } reap{pidfd};
        if (const auto on_exit = std::exchange(self->on_exit, nullptr))
            on_exit(ours ? translate(info) : exit_status{});
    }

    int pid = 0;
    owned_fd pidfd;
    std::unique_ptr<readable_watch> readable;
    std::function<void(exit_status)> on_exit;
};

watch::watch(loop& on, identity process, std::function<void(exit_status)> on_exit) : state_(std::make_shared<state>())
{
    state_->pid = process.pid;
    state_->pidfd = open_pidfd(process);
    state_->on_exit = std::move(on_exit);
    const std::weak_ptr weak = state_;
    const auto ended = [weak] {
        if (const auto held = weak.lock())
            state::ended(held);
    };
    if (state_->pidfd)
        state_->readable = std::make_unique<readable_watch>(on, state_->pidfd.number(), ended);
    else
        on.post([weak] {
            const auto held = weak.lock();
            if (const auto gone = held ? std::exchange(held->on_exit, nullptr) : nullptr)
                gone(exit_status{});
        });
}

bool watch::signal_group(int number) { return state_->pidfd && signal_group_of(state_->pidfd, state_->pid, number); }

watch::~watch()
{
    state_->readable.reset();
    state_->on_exit = nullptr;
}

}
