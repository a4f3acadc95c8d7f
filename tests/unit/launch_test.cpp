#include "tests/unit/child_process.hpp"

#include <gmock/gmock.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <pthread.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <system_error>
#include <thread>

using namespace sluice::process;
using namespace sluice::process::test;
using testing::HasSubstr;

namespace {

std::string failure_of(const launch_options& options)
{
    try {
        launch(options);
    } catch (const std::system_error& error) {
        return error.what();
    }
    return "started";
}

TEST(launch, passes_arguments_and_exactly_the_environment_given)
{
    auto options = shell("printf '%s|' \"$0\" \"$@\"; /usr/bin/env | sort");
    options.argv.insert(options.argv.end(), {"zero", "with space", "", "$HOME;'\""});
    options.env = {{"A", "1=2"}, {"EMPTY", ""}, {"PATH", "/nowhere::/bin"}};
    const auto ended = run(options);
    EXPECT_EQ(ended.output.substr(0, 29), "zero|with space||$HOME;'\"|A=1");
    EXPECT_THAT(ended.output, HasSubstr("A=1=2\nEMPTY=\nPATH=/nowhere::/bin\n"));
    EXPECT_THAT(ended.output, testing::Not(HasSubstr("HOME=")));
    EXPECT_TRUE(ended.status.known);
    EXPECT_EQ(ended.status.code, 0);
}

TEST(launch, tells_how_it_ended)
{
    const auto failed = run(shell("exit 7")).status;
    EXPECT_TRUE(failed.known);
    EXPECT_EQ(failed.code, 7);
    EXPECT_EQ(failed.signal, 0);
    const auto killed = run(shell("kill -KILL $$")).status;
    EXPECT_TRUE(killed.known);
    EXPECT_EQ(killed.code, -1);
    EXPECT_EQ(killed.signal, SIGKILL);
}

TEST(launch, that_fails_names_the_program_and_the_step_and_leaves_no_child)
{
    launch_options options;
    options.argv = {"/no/such/program"};
    EXPECT_EQ(failure_of(options), "start /no/such/program: execute: No such file or directory");
    options.argv = {"no-such-program"};
    EXPECT_EQ(failure_of(options), "start no-such-program: execute: No such file or directory");
    options.env = {{"PATH", ""}};
    EXPECT_EQ(failure_of(options), "start no-such-program: execute: No such file or directory");
    options.argv = {"/etc/passwd"};
    EXPECT_EQ(failure_of(options), "start /etc/passwd: execute: Permission denied");
    options.argv = {"/bin/true"};
    options.working_folder = "/no/such/folder";
    EXPECT_EQ(failure_of(options), "start /bin/true: enter its working folder /no/such/folder: No such file or directory");
    options.working_folder.clear();
    options.keep_fds = {{9999, 5}};
    EXPECT_EQ(failure_of(options), "start /bin/true: pass its descriptors: Bad file descriptor");
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
    EXPECT_EQ(errno, ECHILD);
}

TEST(launch, refuses_what_no_child_could_be_given)
{
    EXPECT_THROW(launch({}), std::invalid_argument);
    auto options = shell("exit 0");
    options.argv.back() += '\0';
    EXPECT_THROW(launch(options), std::invalid_argument);
    options = shell("exit 0");
    options.env["A=B"] = "c";
    EXPECT_THROW(launch(options), std::invalid_argument);
    options = shell("exit 0");
    options.keep_fds = {{0, 5}, {1, 5}};
    EXPECT_THROW(launch(options), std::invalid_argument);
    options.keep_fds = {{0, 2}};
    EXPECT_THROW(launch(options), std::invalid_argument);
}

TEST(launch, connects_the_standard_three)
{
    pipe_pair input, errors;
    ASSERT_EQ(::write(input.writer(), "in", 2), 2);
    input.close_writer();
    auto options = shell("cat; printf err >&2");
    options.stdin_fd = input.reader();
    options.stderr_fd = errors.writer();
    EXPECT_EQ(run(options).output, "in");
    EXPECT_EQ(errors.read_all(), "err");
    EXPECT_EQ(run(shell("wc -c")).output, "0\n"); // /dev/null
}

TEST(launch, passes_the_descriptors_asked_for_and_no_other)
{
    pipe_pair leak; // marked close-on-exec, and these two are not
    const int unmarked = ::dup(leak.writer());
    const int high = ::fcntl(leak.writer(), F_DUPFD, 700);
    pipe_pair kept;
    auto options = shell("ls /proc/$$/fd; exit 0");
    options.keep_fds = {{kept.reader(), 7}};
    EXPECT_EQ(run(options).output, "0\n1\n2\n7\n");
    ::close(unmarked);
    ::close(high);
}

TEST(launch, remaps_descriptors_whose_numbers_collide_in_every_way)
{
    // Two descriptors that swap numbers, one that becomes the number of a third, and standard output given from among them.
    std::array<pipe_pair, 4> pipes;
    std::array<int, 4> readers{};
    for (std::size_t i = 0; i < pipes.size(); ++i) {
        const char name = static_cast<char>('a' + i);
        ASSERT_EQ(::write(pipes[i].writer(), &name, 1), 1);
        pipes[i].close_writer();
        readers[i] = pipes[i].reader();
    }
    launch_options options = shell("for n in " + std::to_string(readers[0]) + " " + std::to_string(readers[1]) + " "
                                   + std::to_string(readers[2]) + "; do cat /proc/self/fd/$n; done; cat");
    options.stdin_fd = readers[3];
    options.keep_fds = {{readers[0], readers[1]}, {readers[1], readers[0]}, {readers[2], readers[2]}};
    EXPECT_EQ(run(options).output, "bacd");
}

TEST(launch, works_with_our_standard_three_closed)
{
    pipe_pair output;
    const int saved = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
    ::close(STDIN_FILENO);
    const int low = ::dup(output.writer()); // takes number 0, which the child's input must replace
    auto options = shell("wc -c; printf done");
    options.stdout_fd = low;
    const auto started = launch(options);
    ::dup2(saved, STDIN_FILENO);
    ::close(saved);
    EXPECT_EQ(output.read_all(), "0\ndone");
    EXPECT_EQ(wait_for(started).code, 0);
}

TEST(launch, gives_the_child_default_signals_and_none_blocked)
{
    sluice::loop loop;
    sluice::signal_watch handled(loop, {SIGUSR1}, [](int) {});
    const auto before = std::signal(SIGPIPE, SIG_IGN);
    sigset_t blocked, mask;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGUSR2);
    ::pthread_sigmask(SIG_BLOCK, &blocked, &mask);
    launch_options options;
    options.argv = {"/bin/cat", "/proc/self/status"};
    const auto status = run(options).output;
    EXPECT_THAT(status, HasSubstr("SigBlk:\t0000000000000000\n"));
    EXPECT_THAT(status, HasSubstr("SigCgt:\t0000000000000000\n"));
    EXPECT_THAT(status,
                testing::ContainsRegex("SigIgn:\t0000000[0-9]80000000\n|SigIgn:\t0000000000000000\n")); // 32 and 33 are the C library's
    sigset_t now;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
    EXPECT_EQ(::sigismember(&now, SIGUSR2), 1); // ours is as it was
    EXPECT_EQ(::sigismember(&now, SIGTERM), 0);
    ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
    std::signal(SIGPIPE, before);
}

TEST(launch, makes_a_session_only_when_asked)
{
    launch_options options;
    options.argv = {"/bin/sh", "-c", "read -r line < /proc/self/stat; set -- $line; printf '%s %s' $1 $6"};
    const auto words = run(options).output;
    EXPECT_EQ(words.substr(words.find(' ') + 1), std::to_string(::getsid(0)));
    options.new_session = true;
    const auto own = run(options).output;
    EXPECT_EQ(own.substr(own.find(' ') + 1), own.substr(0, own.find(' ')));
}

TEST(launch, starts_in_the_folder_asked_for_or_ours)
{
    temporary_folder folder;
    auto options = shell("pwd -P");
    EXPECT_EQ(run(options).output, std::filesystem::current_path().string() + "\n");
    options.working_folder = folder.path();
    EXPECT_EQ(run(options).output, std::filesystem::canonical(folder.path()).string() + "\n");
    std::ofstream(folder.path() / "tool") << "#!/bin/sh\nprintf tool\n";
    std::filesystem::permissions(folder.path() / "tool", std::filesystem::perms(0755));
    options.argv = {"./tool"};
    EXPECT_EQ(run(options).output, "tool");
}

TEST(launch, from_many_threads_at_once)
{
    std::array<std::string, 4> outputs;
    std::array<std::thread, 4> threads;
    for (std::size_t i = 0; i < threads.size(); ++i)
        threads[i] = std::thread([&outputs, i] {
            for (int n = 0; n < 10; ++n)
                outputs[i] += run(shell("printf " + std::to_string(i))).output;
        });
    for (auto& thread : threads)
        thread.join();
    for (std::size_t i = 0; i < outputs.size(); ++i)
        EXPECT_EQ(outputs[i], std::string(10, static_cast<char>('0' + i)));
}

TEST(launch, ends_the_child_with_its_parent)
{
    // The shell in the middle is the parent that dies; it launches through a copy of this process.
    pipe_pair alive, ready;
    const pid_t middle = ::fork();
    ASSERT_GE(middle, 0);
    if (middle == 0) {
        auto options = shell("printf x; exec cat");
        pipe_pair never_written;
        options.stdin_fd = never_written.reader();
        options.stdout_fd = ready.writer();
        options.keep_fds = {{alive.writer(), 5}};
        launch(options);
        ::pause();
    }
    char byte = 0;
    ASSERT_EQ(::read(ready.reader(), &byte, 1), 1);
    ::kill(middle, SIGKILL);
    ::waitpid(middle, nullptr, 0);
    EXPECT_EQ(alive.read_all(), ""); // returns only when the grandchild, too, has closed it
}

class as_root : public testing::Test {
protected:
    void SetUp() override
    {
        if (::geteuid() != 0)
            GTEST_SKIP() << "needs root";
    }
};

TEST_F(as_root, launch_drops_user_group_and_all_other_groups)
{
    auto options = shell("id -u; id -g; id -G; cat /proc/self/status");
    options.uid = 65534;
    options.no_new_privileges = true;
    auto output = run(options).output;
    EXPECT_THAT(output, testing::StartsWith("65534\n65534\n65534\n"));
    EXPECT_THAT(output, HasSubstr("CapPrm:\t0000000000000000\n"));
    EXPECT_THAT(output, HasSubstr("NoNewPrivs:\t1\n"));
    options.gid = 100;
    EXPECT_THAT(run(options).output, testing::StartsWith("65534\n100\n100\n"));
    options.uid.reset();
    EXPECT_THROW(launch(options), std::invalid_argument);
}

TEST_F(as_root, launch_in_a_folder_the_user_may_not_enter_fails)
{
    temporary_folder folder;
    std::filesystem::permissions(folder.path(), std::filesystem::perms(0700));
    auto options = shell("pwd");
    options.uid = 65534;
    options.working_folder = folder.path();
    EXPECT_EQ(failure_of(options), "start sh: enter its working folder " + folder.path().string() + " as user 65534: Permission denied");
    EXPECT_THROW(rehearse(options), std::system_error);
}

TEST(launch, is_rehearsed_but_for_the_program)
{
    launch_options options;
    options.argv = {"/no/such/program"};
    rehearse(options);
    options.working_folder = "/no/such/folder";
    EXPECT_THROW(rehearse(options), std::system_error);
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
    EXPECT_EQ(errno, ECHILD);
}

// What a program sees of a folder that was hidden from it, tried by every path that leads there, and after trying to unmount it.
void expect_hidden(launch_options options, const std::filesystem::path& folder)
{
    std::ofstream(folder / "secret") << "token";
    std::filesystem::permissions(folder / "secret", std::filesystem::perms(0644));
    options.hidden_folder = folder;
    const auto quoted = "'" + folder.string() + "'";
    options.argv = {"sh", "-c",
                    "umount " + quoted + " 2>/dev/null; unshare -Urm umount " + quoted + " 2>/dev/null; ls -A " + quoted + "; cat " + quoted
                        + "/secret /proc/$PPID/root" + quoted + "/secret secret 2>/dev/null; touch " + quoted
                        + "/new 2>/dev/null && printf written; printf end"};
    const auto ended = run(options);
    EXPECT_EQ(ended.output, "end");
    EXPECT_TRUE(std::filesystem::exists(folder / "secret")); // for us nothing changed
}

// Field 5 of a line of mountinfo is the mount point, as this process sees it (proc(5)).
bool root_is_a_mount_point()
{
    std::ifstream mounts("/proc/self/mountinfo");
    for (std::string line; std::getline(mounts, line);) {
        std::istringstream fields(line);
        std::string skipped, point;
        fields >> skipped >> skipped >> skipped >> skipped >> point;
        if (point == "/")
            return true;
    }
    return false;
}

TEST_F(as_root, launch_hides_a_folder_from_an_unprivileged_child)
{
    temporary_folder folder;
    auto options = shell("");
    options.uid = 65534;
    if (!root_is_a_mount_point())
        GTEST_SKIP() << "the root folder is no mount point here (a chroot): a mount namespace cannot be made private";
    expect_hidden(options, folder.path());
}

void try_to_hide_without_root()
{
    temporary_folder folder;
    auto options = shell("exit 0");
    options.hidden_folder = folder.path();
    try {
        EXPECT_EQ(run(options).status.code, 0);
    } catch (const std::system_error& error) {
        GTEST_SKIP() << "no user namespaces here: " << error.what();
    }
    expect_hidden(shell(""), folder.path());
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); // as the watchdog is
    const auto before = std::filesystem::current_path();
    expect_hidden(shell(""), folder.path());
    std::filesystem::current_path(folder.path()); // inherited, it must not lead below
    expect_hidden(shell(""), folder.path());
    std::filesystem::current_path(before);
    ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); // a leak checker needs it at exit
    options.hidden_folder = "/no/such/folder";
    EXPECT_EQ(failure_of(options), "start sh: hide a folder from it: No such file or directory");
}

// Root runs this once more, as an ordinary user.
TEST(launch, hides_a_folder_without_root)
{
    if (::geteuid() != 0) {
        try_to_hide_without_root();
        return;
    }
    const int self = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    ASSERT_GE(self, 0);
    launch_options options;
    // By descriptor, because the user may not be allowed to walk to where this was built.
    options.argv = {"/proc/self/fd/7", "--gtest_filter=launch.hides_a_folder_without_root"};
    options.env = {{"PATH", "/usr/bin:/bin"}, {"TMPDIR", "/tmp"}};
    options.working_folder = "/";
    options.keep_fds = {{self, 7}};
    options.uid = 65534;
    options.die_with_parent = true;
    const auto ended = run(options);
    ::close(self);
    if (ended.output.find("no user namespaces here") != std::string::npos)
        GTEST_SKIP() << ended.output;
    EXPECT_EQ(ended.status.code, 0) << ended.output;
    EXPECT_THAT(ended.output, HasSubstr("[  PASSED  ] 1 test."));
}

}
