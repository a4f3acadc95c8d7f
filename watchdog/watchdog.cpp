#include "watchdog/watchdog.hpp"

#include "adapters/process/descendants.hpp"
#include "adapters/process/files.hpp"
#include "adapters/process/owned_fd.hpp"
#include "adapters/process/process.hpp"
#include "core/listen_address.hpp"
#include "core/option_checks.hpp"
#include "watchdog/orphans.hpp"
#include "watchdog/replica.hpp"

#include <cerrno>
#include <csignal>
#include <poll.h>
#include <sys/prctl.h>
#include <system_error>
#include <unistd.h>

namespace sluice::watchdog {

namespace {

using std::chrono::milliseconds;
constexpr int setup_deadline_ms = 10'000;

// A pipe that ends without a whole document means that the provider died before it had noted us down: then nobody knows of
// us, and we must not stay.
core::replica_setup read_setup(int fd)
{
    const process::owned_fd from(fd);
    std::string text;
    char chunk[16 * 1024];
    for (;;) {
        pollfd ready{fd, POLLIN, 0};
        if (::poll(&ready, 1, setup_deadline_ms) <= 0)
            throw config::error("setup_fd: nothing came through it in time");
        const auto got = ::read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            throw std::system_error(errno, std::system_category(), "setup_fd");
        if (got == 0)
            break;
        text.append(chunk, static_cast<std::size_t>(got));
        if (text.size() > core::replica_setup_bytes_max)
            throw config::error("setup_fd: the document is too large");
    }
    auto setup = core::decode_replica_setup(text);
    if (!setup)
        throw config::error("setup_fd: no document of this version came through it");
    return *std::move(setup);
}

void complete(string_map& environment)
{
    environment.try_emplace("PATH", core::function_path);
    environment.try_emplace("HOME", "/");
}

}

void add_to(config::table& table, options& into)
{
    table.text("listen", "host:port to take calls on; empty: 0.0.0.0 and the function's variable port", into.listen,
               core::check_listen_address);
    table.number("listen_fd", "an inherited listening socket instead; 0: none", into.listen_fd, 0, 65535);
    table.number("setup_fd", "an inherited descriptor that the token and the function's environment come through; 0: our own environment",
                 into.setup_fd, 0, 65535);
    table.text("metrics_listen", "host:port of /metrics and /healthz; port 0: any; empty: none", into.metrics_listen,
               core::check_listen_address);
    table.text("ready_file", "written with host:port once calls are taken", into.ready_file);
    table.text("end_file", "written with the reason of an end that nobody asked for; empty: none", into.end_file);
    table.choice("log_level", "what is logged", into.log_level, {"debug", "info", "warn", "error"});
    table.bytes("body_bytes_max", "largest body of a call", into.body_bytes_max, 0, std::uint64_t{4} << 30);
    table.bytes("body_bytes_budget", "bodies of all calls together that are held; above it 503; at least body_bytes_max",
                into.body_bytes_budget, 0, std::uint64_t{1} << 40);
    table.bytes("answer_bytes_max", "largest answer of the function; above it the rest is counted and dropped", into.answer_bytes_max, 1,
                std::uint64_t{4} << 30);
    table.bytes("log_bytes_max", "if stderr is a file: its older half is dropped at this size; 0: never", into.log_bytes_max, 0,
                std::uint64_t{1} << 30);
    table.number("connections_max", "connections at once; above it 503", into.connections_max, 1, 1'000'000);
    table.duration("drain_deadline", "how long running calls may take once we are told to stop; 0: the function's write_timeout",
                   into.drain_deadline, milliseconds(0), std::chrono::hours(24));
    table.duration("end_deadline", "from the function's SIGTERM to its SIGKILL", into.end_deadline, milliseconds(1), std::chrono::hours(1));
    table.number("function_uid", "user of the function's processes; 0: ours", into.function_uid, 0, 0xfffffffeU);
    table.number("function_gid", "group of the function's processes; 0: the number of function_uid", into.function_gid, 0, 0xfffffffeU);
    table.text("hidden_folder", "a folder that the function's processes see empty; empty: none", into.hidden_folder);
}

namespace {

void require_program(const core::watchdog_config& config, const string_map& environment)
{
    const auto& name = config.command.front();
    if (!process::find_program(name, environment))
        throw config::error("fprocess: '" + name + "' is " + (name.find('/') == name.npos ? "not on the function's PATH" : "no program"));
}

int serve(const options& given, const string_map& environment, std::string& end_reason)
{
    // The token is in our memory: a function that runs as the same user can neither trace us nor read it in /proc.
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    auto setup = given.setup_fd != 0 ? read_setup(static_cast<int>(given.setup_fd)) : core::replica_setup{{}, environment};
    complete(setup.environment);
    auto config = core::read_watchdog_config(setup.environment);
    require_program(config, setup.environment);
    const auto events = make_logger("watchdog", given.log_level);
    loop on;
    process::adopt_orphans();
    replica runs(on, given, std::move(config), std::move(setup), *events);
    orphans left(on, runs.runner());
    signal_watch signals(on, {SIGTERM, SIGINT}, [&](int number) { runs.stop(number == SIGTERM ? "SIGTERM" : "SIGINT"); });
    runs.on_closed([&] {
        left.close();
        signals.cancel();
    });
    const auto host = given.listen.empty() ? std::string("127.0.0.1") : core::parse_listen_address("listen", given.listen).host;
    process::write_ready_file(given.ready_file, host, runs.port());
    on.run();
    orphans::end_all();
    events->info("stopped code={}", runs.exit_code());
    end_reason = runs.end_reason();
    return runs.exit_code();
}

// The end goes on whatever comes of the note: its own reason is what counts.
void note_end(const options& given, const std::string& reason) noexcept
{
    if (given.end_file.empty() || reason.empty())
        return;
    try {
        process::write_file_atomically(given.end_file, reason);
    } catch (const std::exception& error) {
        make_logger("watchdog", given.log_level)->error("end not noted error=\"{}\"", error.what());
    }
}

}

int run(const options& given, const string_map& environment)
{
    std::string reason;
    try {
        const int code = serve(given, environment, reason);
        note_end(given, reason);
        return code;
    } catch (const std::exception& error) {
        note_end(given, error.what());
        throw;
    }
}

}
