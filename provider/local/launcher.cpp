#include "provider/local/launcher.hpp"

#include "adapters/process/descendants.hpp"
#include "adapters/process/process.hpp"
#include "adapters/process/random.hpp"
#include "core/invocation.hpp"
#include "core/replica_setup.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <netinet/in.h>
#include <set>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace sluice::provider {

namespace fs = std::filesystem;

namespace {

constexpr int backlog = 1024;
constexpr const char* replica_variable = "Sluice_Replica"; // finds a function's processes when their watchdog is gone
constexpr int listen_number = 3, setup_number = 4;         // in the watchdog
constexpr int pipe_bytes_default = 64 * 1024;

[[noreturn]] void fail(const std::string& what) { throw std::system_error(errno, std::system_category(), what); }

process::owned_fd listen_on_loopback(std::uint16_t& port)
{
    process::owned_fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* name = reinterpret_cast<sockaddr*>(&address);
    if (!socket || ::bind(socket.number(), name, size) != 0 || ::listen(socket.number(), backlog) != 0
        || ::getsockname(socket.number(), name, &size) != 0)
        fail("listen on 127.0.0.1");
    port = ntohs(address.sin_port);
    return socket;
}

// Our own folder below a place where anyone may write: what is there already must be ours.
void make_own_folder(const std::string& path)
{
    struct stat facts;
    if (::mkdir(path.c_str(), 0711) != 0 && errno != EEXIST)
        fail("work_folder " + path);
    if (::lstat(path.c_str(), &facts) != 0 || !S_ISDIR(facts.st_mode) || facts.st_uid != ::geteuid())
        throw std::runtime_error("work_folder: " + path + " is not a folder of ours");
    if (::chmod(path.c_str(), 0711) != 0)
        fail("work_folder " + path);
}

std::string base_name(const core::replica_record& record) { return record.function.key() + '-' + record.replica; }

}

launcher::launcher(loop& on, const options& given, const state_file& state)
    : options_(given), state_(state), work_folder_(given.work_folder), removals_(on)
{
    if (work_folder_.empty())
        work_folder_ = fs::temp_directory_path().string() + "/sluice-work-" + std::to_string(::geteuid()) + '-'
            + std::to_string(core::hash_id(fs::weakly_canonical(state.folder()).string()));
    make_own_folder(work_folder_);
}

launcher::~launcher() { ::rmdir(work_folder_.c_str()); }

bool launcher::drops_rights() const noexcept { return ::geteuid() == 0 && options_.function_uid != 0; }

std::vector<std::string> launcher::arguments(const core::replica_record& record) const
{
    std::vector<std::string> list{"/proc/self/exe", "watchdog"};
    const auto add = [&](const char* flag, const std::string& value) {
        list.emplace_back(flag);
        list.push_back(value);
    };
    add("--listen-fd", std::to_string(listen_number));
    add("--setup-fd", std::to_string(setup_number));
    add("--end-file", fs::absolute(end_path(record)).string());
    add("--log-level", options_.log_level);
    add("--drain-deadline", config::format_duration(options_.drain_deadline));
    add("--body-bytes-max", std::to_string(options_.body_bytes_max));
    add("--body-bytes-budget", std::to_string(options_.body_bytes_budget));
    add("--answer-bytes-max", std::to_string(options_.answer_bytes_max));
    add("--log-bytes-max", std::to_string(options_.log_bytes_max));
    add("--connections-max", std::to_string(options_.connections_max));
    if (drops_rights()) {
        add("--function-uid", std::to_string(options_.function_uid));
        add("--function-gid", std::to_string(options_.function_gid));
    } else if (::geteuid() != 0) {
        add("--hidden-folder", options_.hidden_folder.empty() ? fs::absolute(state_.folder()).string() : options_.hidden_folder);
    }
    return list;
}

std::string launcher::make_folder(const core::replica_record& record) const
{
    auto path = work_folder_ + '/' + base_name(record);
    if (::mkdir(path.c_str(), 0700) != 0)
        fail("folder " + path);
    if (drops_rights()) {
        const auto gid = options_.function_gid != 0 ? options_.function_gid : options_.function_uid;
        if (::chown(path.c_str(), options_.function_uid, gid) != 0)
            fail("folder " + path);
    }
    return path;
}

std::string launcher::log_path(const core::replica_record& record) const { return state_.log_folder() + '/' + base_name(record) + ".log"; }

std::string launcher::end_path(const core::replica_record& record) const { return state_.log_folder() + '/' + base_name(record) + ".end"; }

std::string launcher::end_reason(const core::replica_record& record) const
{
    const process::owned_fd file(::open(end_path(record).c_str(), O_RDONLY | O_CLOEXEC));
    char text[512];
    const auto length = file ? ::read(file.number(), text, sizeof text) : 0;
    return {text, static_cast<std::size_t>(length > 0 ? length : 0)};
}

launched_replica launcher::launch(const function_name& function, const core::replica_plan& plan)
{
    launched_replica made;
    auto& record = made.record;
    record.function = function;
    record.replica = process::random_hex(6);
    record.token = process::random_hex(32);
    record.spec_hash = plan.spec_hash;
    record.max_inflight = plan.max_inflight;
    try {
        const auto socket = listen_on_loopback(record.port);
        if (plan.folder.empty())
            record.folder = make_folder(record);
        core::replica_setup setup{record.token, plan.environment};
        setup.environment.try_emplace("HOME", plan.folder.empty() ? record.folder : plan.folder);
        setup.environment[replica_variable] = record.replica;
        made.document = core::encode(setup);
        auto pipe = process::make_pipe();
        // Whole in one write, whenever the watchdog reads it: we wait for nobody.
        if (made.document.size() > pipe_bytes_default
            && ::fcntl(pipe.write.number(), F_SETPIPE_SZ, static_cast<int>(made.document.size())) < 0)
            fail("setup of a replica");
        // Appending, and readable, so that the watchdog can bound it in place.
        const process::owned_fd log(::open(log_path(record).c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
        if (!log)
            fail(log_path(record));
        process::launch_options launch;
        launch.argv = arguments(record);
        launch.env = {{"PATH", "/usr/bin:/bin"}};
        launch.working_folder = plan.folder.empty() ? record.folder : plan.folder;
        launch.stdout_fd = launch.stderr_fd = log.number();
        launch.keep_fds = {{socket.number(), listen_number}, {pipe.read.number(), setup_number}};
        launch.new_session = true;
        const auto process = process::launch(launch);
        record.pid = process.pid;
        record.start_ticks = process.start_ticks;
        made.setup = std::move(pipe.write);
    } catch (...) {
        clean_up({{record, true}}); // without its setup it started nothing
        throw;
    }
    return made;
}

void launcher::release(launched_replica& replica) const
{
    process::set_nonblocking(replica.setup);
    const auto written = ::write(replica.setup.number(), replica.document.data(), replica.document.size());
    if (written != static_cast<ssize_t>(replica.document.size())) {
        replica.setup.reset(); // half a document: the watchdog ends
        fail("setup of a replica");
    }
    replica.setup.reset();
}

void launcher::clean_up(const std::vector<ended_replica>& of) noexcept
{
    std::set<std::string> left;
    for (const auto& [record, in_order] : of)
        if (!in_order)
            left.insert(record.replica);
    if (!left.empty())
        process::end_processes_with(replica_variable, left);
    std::error_code ignored;
    for (const auto& [record, in_order] : of) {
        if (!record.folder.empty())
            removals_.remove(record.folder);
        fs::remove(end_path(record), ignored);
        fs::rename(log_path(record), state_.log_folder() + '/' + record.function.key() + ".previous.log", ignored);
    }
}

void launcher::remove_folders_but(const std::vector<core::replica_record>& of) noexcept
{
    std::set<std::string> kept;
    for (const auto& record : of)
        kept.insert(record.folder);
    std::vector<std::string> left;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(work_folder_, ignored))
        if (!kept.contains(entry.path().string()))
            left.push_back(entry.path());
    for (const auto& path : left) // renaming changes what is iterated over
        removals_.remove(path);
}

}
