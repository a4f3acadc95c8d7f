#include "adapters/process/child.hpp"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace sluice::process {

namespace {

// Each step answers true, or false with errno set.

// Sources and targets may share numbers in any way: first all sources move above all targets.
bool copy_above(const child_plan& plan, int& report_fd)
{
    for (std::size_t i = 0; i < plan.files.size(); ++i) {
        const auto& file = plan.files[i];
        int copy = file.ours < 0 ? -1 : ::fcntl(file.ours, F_DUPFD_CLOEXEC, plan.copies_from);
        const bool optional = file.number <= STDERR_FILENO; // a daemon may run with these closed
        if (copy < 0 && optional && (file.ours < 0 || errno == EBADF)) {
            const int null = ::open("/dev/null", file.null_mode | O_CLOEXEC);
            copy = null < 0 ? -1 : ::fcntl(null, F_DUPFD_CLOEXEC, plan.copies_from);
        }
        if (copy < 0)
            return false;
        plan.copies[i] = copy;
    }
    const int report = ::fcntl(report_fd, F_DUPFD_CLOEXEC, plan.copies_from);
    if (report < 0)
        return false;
    report_fd = report;
    return true;
}

bool arrange_descriptors(const child_plan& plan, int& report_fd)
{
    if (!copy_above(plan, report_fd))
        return false;
    // Whatever anyone in this process forgot to mark closes at exec; the assigned numbers are unmarked by dup2 after this.
    if (::syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) != 0) // Linux 5.11
        for (unsigned number = STDERR_FILENO + 1; number < plan.descriptors_end; ++number)
            ::fcntl(static_cast<int>(number), F_SETFD, FD_CLOEXEC);
    for (std::size_t i = 0; i < plan.files.size(); ++i)
        if (::dup2(plan.copies[i], plan.files[i].number) < 0)
            return false;
    return true;
}

bool write_file(const char* path, std::string_view text)
{
    const int file = ::open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    const bool written = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    const int error = errno;
    ::close(file);
    errno = error;
    return written;
}

// user_namespaces(7): the process keeps its ids, and has the right to mount in a namespace that only it and its children see.
bool enter_user_namespace(const child_plan& plan)
{
    // An undumpable parent's child could not open its own files in /proc; exec decides anew.
    return ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0
        && write_file("/proc/self/setgroups", "deny") && write_file("/proc/self/uid_map", plan.uid_map)
        && write_file("/proc/self/gid_map", plan.gid_map);
}

// An empty file system over the folder. The program cannot take it away again: at exec a user other than root loses the rights
// of the namespace, and mounts inherited by a further namespace are locked.
bool hide_folder(const child_plan& plan)
{
    if (!(plan.own_user_namespace ? enter_user_namespace(plan) : ::unshare(CLONE_NEWNS) == 0))
        return false;
    return ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0
        && ::mount("tmpfs", plan.hidden_folder, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,mode=0555") == 0;
}

// By system calls, since the C library's wrappers would speak to threads that exist in the parent only.
bool drop_privileges(const child_plan& plan)
{
    return ::syscall(SYS_setgroups, 0, nullptr) == 0 && ::syscall(SYS_setresgid, *plan.gid, *plan.gid, *plan.gid) == 0
        && ::syscall(SYS_setresuid, *plan.uid, *plan.uid, *plan.uid) == 0;
}

// After the last change of credentials, which would clear it. If the parent died before the call, no signal comes.
bool follow_parent(const child_plan& plan)
{
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        return false;
    if (::getppid() != plan.parent_if_dying_with_it)
        ::_exit(127);
    return true;
}

bool enter_folder(const child_plan& plan)
{
    // Entered by name even if it is ours: the former reference would lead below the mount that hides it.
    return ::chdir(plan.working_folder) == 0 || (plan.folder_is_ours && ::chdir("/") == 0);
}

void reset_signals()
{
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; ++number)
        ::sigaction(number, &standard, nullptr); // refused for SIGKILL and SIGSTOP, and the C library's own
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// As execvp: a name that is not there or not executable lets the next one try. Returns only when none could be executed.
void try_exec(const child_plan& plan)
{
    int error = ENOENT;
    for (const char* const path : plan.paths) {
        if (!path)
            break;
        ::execve(path, const_cast<char* const*>(plan.argv), const_cast<char* const*>(plan.env));
        if (errno == ENOENT || errno == ENOTDIR) // keeps an EACCES of an earlier one
            continue;
        error = errno;
        if (error != EACCES)
            break;
    }
    errno = error;
}

[[noreturn]] void fail(int report_fd, child_step step)
{
    const child_failure failure{step, errno};
    // Smaller than PIPE_BUF, so whole or not at all; where it fails nobody listens any more.
    [[maybe_unused]] const auto written = ::write(report_fd, &failure, sizeof failure);
    ::_exit(127);
}

}

const char* describe(child_step step) noexcept
{
    switch (step) {
    case child_step::arrange_descriptors: return "pass its descriptors";
    case child_step::new_session: return "make its session";
    case child_step::hide_folder: return "hide a folder from it";
    case child_step::drop_privileges: return "change its user";
    case child_step::follow_parent: return "bind it to its parent";
    case child_step::enter_folder: return "enter its working folder";
    case child_step::exec: return "execute";
    }
    return "unknown step";
}

void become(const child_plan& plan, int report_fd) noexcept
{
    // Signals stay blocked until our handlers are gone.
    reset_signals();
    if (!arrange_descriptors(plan, report_fd))
        fail(report_fd, child_step::arrange_descriptors);
    if (plan.new_session && ::setsid() < 0)
        fail(report_fd, child_step::new_session);
    if (plan.hidden_folder && !hide_folder(plan))
        fail(report_fd, child_step::hide_folder);
    if (plan.uid && !drop_privileges(plan))
        fail(report_fd, child_step::drop_privileges);
    if (plan.no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        fail(report_fd, child_step::drop_privileges);
    if (plan.parent_if_dying_with_it != 0 && !follow_parent(plan))
        fail(report_fd, child_step::follow_parent);
    if (!enter_folder(plan))
        fail(report_fd, child_step::enter_folder);
    try_exec(plan);
    fail(report_fd, child_step::exec);
}

}
