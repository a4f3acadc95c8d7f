#include "tests/support/nats_server.hpp"

#include "adapters/process/process.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <netinet/in.h>
#include <poll.h>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace sluice::test {

namespace {

constexpr std::chrono::seconds ready_deadline{30};

[[noreturn]] void fail(const std::string& what) { throw std::system_error(errno, std::system_category(), what); }

class owned_fd {
public:
    explicit owned_fd(int fd) : fd_(fd) {}
    owned_fd(owned_fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    ~owned_fd()
    {
        if (fd_ >= 0)
            ::close(fd_);
    }
    int operator*() const noexcept { return fd_; }

private:
    int fd_;
};

// A bound socket that never listens keeps the port from everybody who asks for any port, but not from a server that binds this very
// one with SO_REUSEADDR, as nats-server does.
std::pair<owned_fd, std::uint16_t> reserve_port()
{
    owned_fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (*fd < 0 || ::setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0
        || ::bind(*fd, reinterpret_cast<sockaddr*>(&address), size) != 0
        || ::getsockname(*fd, reinterpret_cast<sockaddr*>(&address), &size) != 0)
        fail("reserving a port");
    return {std::move(fd), ntohs(address.sin_port)};
}

std::string make_folder()
{
    std::string pattern = (std::filesystem::temp_directory_path() / "sluice-nats-XXXXXX").string();
    if (!::mkdtemp(pattern.data()))
        fail("mkdtemp " + pattern);
    return pattern;
}

void write_config(const std::string& folder, std::uint16_t port, const nats_server_options& with)
{
    std::ofstream out(folder + "/server.conf");
    out << "listen: \"127.0.0.1:" << port << "\"\n"
        << "max_payload: " << with.payload_bytes_max << "\n";
    if (with.jetstream)
        out << "jetstream { store_dir: \"" << folder << "/store\", max_file_store: 8GB, max_memory_store: 256MB }\n";
    if (!with.user.empty())
        out << "authorization { user: \"" << with.user << "\", password: \"" << with.password << "\" }\n";
    if (!with.certificate_file.empty())
        out << "tls { cert_file: \"" << with.certificate_file << "\", key_file: \"" << with.key_file << "\" }\n";
    out << with.more << "\n";
}

}

struct nats_server::state {
    nats_server_options options;
    std::pair<owned_fd, std::uint16_t> reservation = reserve_port();
    std::string folder = make_folder();
    std::string log_path = folder + "/server.log";
    pid_t pid = 0;

    explicit state(nats_server_options with) : options(std::move(with)) { write_config(folder, reservation.second, options); }
    ~state()
    {
        end(SIGKILL);
        std::error_code ignored;
        std::filesystem::remove_all(folder, ignored);
    }

    void launch();
    void wait_until_ready(std::uintmax_t log_from);
    void end(int signal_number);
    std::string log_text(std::uintmax_t from = 0) const;
};

void nats_server::state::launch()
{
    const owned_fd log(::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    process::launch_options launching;
    launching.argv = {options.binary, "-c", folder + "/server.conf"};
    for (char** entry = environ; *entry; ++entry)
        if (const std::string_view text(*entry); text.find('=') != text.npos)
            launching.env.emplace(text.substr(0, text.find('=')), text.substr(text.find('=') + 1));
    launching.stdout_fd = launching.stderr_fd = *log;
    launching.die_with_parent = true;
    pid = process::launch(launching).pid;
}

// The server says in its log when it is ready; the log's changes are waited for, not polled.
void nats_server::state::wait_until_ready(std::uintmax_t log_from)
{
    const owned_fd changes(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (*changes < 0 || ::inotify_add_watch(*changes, log_path.c_str(), IN_MODIFY) < 0)
        fail("watching " + log_path);
    const auto until = std::chrono::steady_clock::now() + ready_deadline;
    while (log_text(log_from).find("Server is ready") == std::string::npos) {
        int status = 0;
        const bool ended = ::waitpid(pid, &status, WNOHANG) == pid;
        if (ended)
            pid = 0;
        if (ended || std::chrono::steady_clock::now() >= until)
            throw std::runtime_error(options.binary + (ended ? " ended at its start" : " was not ready in time") + ": "
                                     + log_text(log_from));
        pollfd wanted{*changes, POLLIN, 0};
        ::poll(&wanted, 1, 200); // the end of the process does not change the log
        char ignored[4096];
        while (::read(*changes, ignored, sizeof ignored) > 0) {
        }
    }
}

void nats_server::state::end(int signal_number)
{
    if (pid == 0)
        return;
    ::kill(pid, signal_number);
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    pid = 0;
}

std::string nats_server::state::log_text(std::uintmax_t from) const
{
    std::ifstream in(log_path);
    in.seekg(static_cast<std::streamoff>(from));
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

nats_server::nats_server(nats_server_options with) : state_(std::make_unique<state>(std::move(with))) { start(); }
nats_server::~nats_server() = default;

std::string nats_server::url() const
{
    return (state_->options.certificate_file.empty() ? "nats://127.0.0.1:" : "tls://127.0.0.1:") + std::to_string(port());
}
std::uint16_t nats_server::port() const { return state_->reservation.second; }
std::string nats_server::folder() const { return state_->folder; }
std::string nats_server::log_text() const { return state_->log_text(); }
int nats_server::pid() const { return state_->pid; }
void nats_server::kill() { state_->end(SIGKILL); }
void nats_server::terminate() { state_->end(SIGTERM); }

void nats_server::start()
{
    if (state_->pid != 0)
        throw std::runtime_error("nats-server is running already");
    std::error_code missing;
    auto log_from = std::filesystem::file_size(state_->log_path, missing);
    if (missing)
        log_from = 0;
    state_->launch();
    state_->wait_until_ready(log_from);
}

void nats_server::restart()
{
    kill();
    start();
}

void nats_server::freeze()
{
    ::kill(state_->pid, SIGSTOP);
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(state_->pid), &info, WSTOPPED) < 0 && errno == EINTR) {
    }
}

void nats_server::thaw() { ::kill(state_->pid, SIGCONT); }

}
