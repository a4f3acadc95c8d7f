#include "tests/support/sluice_up.hpp"

#include "tests/support/loop_until.hpp"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <unistd.h>

namespace sluice::test {

namespace {

constexpr std::chrono::seconds start_deadline{90};
constexpr std::size_t log_tail_bytes = 2'000;

std::string content(const std::string& path)
{
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

std::string one_line(const std::string& path)
{
    auto text = content(path);
    return text.substr(0, text.find('\n'));
}

std::string base64(const std::string& text)
{
    static constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    unsigned bits = 0, held = 0;
    for (const unsigned char byte : text) {
        bits = bits << 8 | byte;
        for (held += 8; held >= 6; held -= 6)
            out += digits[bits >> (held - 6) & 63];
    }
    if (held)
        out += digits[bits << (6 - held) & 63];
    while (out.size() % 4)
        out += '=';
    return out;
}

int parent_of(int pid)
{
    const auto stat = content("/proc/" + std::to_string(pid) + "/stat");
    char state = 0;
    int parent = 0;
    std::istringstream(stat.substr(std::min(stat.size(), stat.rfind(')') + 1))) >> state >> parent;
    return state == 'Z' ? 0 : parent;
}

std::map<int, int> parents()
{
    std::map<int, int> all;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const auto name = entry.path().filename().string();
        int pid = 0;
        if (std::from_chars(name.data(), name.data() + name.size(), pid).ec == std::errc{})
            all.emplace(pid, parent_of(pid));
    }
    return all;
}

}

sluice_up::sluice_up(loop& on, std::vector<std::string> flags, std::string state)
    : loop_(on),
      state_(state.empty() ? folder_ / "state" : std::move(state)),
      flags_(std::move(flags)),
      client_(std::make_unique<http::client>(on, http::client_options{}))
{
    start();
}

sluice_up::~sluice_up()
{
    client_->close();
    try {
        if (running_)
            stop();
    } catch (const std::exception&) {
        kill();
    }
}

std::vector<std::string> sluice_up::command(const std::vector<std::string>& flags) const
{
    std::vector<std::string> words{std::string(SLUICE_BINARY_DIR) + "/sluice", "up", "--state", state_, "--listen", "127.0.0.1:0"};
    words.insert(words.end(), flags.begin(), flags.end());
    return words;
}

process::identity sluice_up::launch(std::vector<std::string> argv, const std::string& output)
{
    process::launch_options options;
    options.argv = std::move(argv);
    // Not our temporary folder, which the functions' user cannot enter.
    for (char** each = environ; *each; ++each)
        if (const char* equals = std::strchr(*each, '='); equals && std::strncmp(*each, "SLUICE_", 7) != 0)
            options.env.emplace(std::string(const_cast<const char*>(*each), equals), equals + 1);
    options.env.erase("TMPDIR");
    const int fd = ::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    options.stdout_fd = options.stderr_fd = fd;
    options.new_session = true;
    options.die_with_parent = true;
    const auto started = process::launch(options);
    ::close(fd);
    return started;
}

process::identity sluice_up::start_beside(const std::string& role, const std::string& name, const std::vector<std::string>& flags)
{
    std::istringstream words(content("/proc/" + std::to_string(this->role(role).pid) + "/cmdline"));
    std::vector<std::string> argv;
    const auto flag_of = [](const std::string& word) { return word.substr(0, word.find('=')); };
    for (std::string word; std::getline(words, word, '\0');)
        if (std::none_of(flags.begin(), flags.end(), [&](const auto& flag) { return flag_of(flag) == flag_of(word); }))
            argv.push_back(word);
    argv.insert(argv.end(), flags.begin(), flags.end());
    return launch(std::move(argv), state_ + "/log/" + name + ".log");
}

template <class Condition> void sluice_up::wait(Condition holds, const std::string& what)
{
    timer again(loop_);
    const bool held = loop_until(
        loop_,
        [&] {
            if (!again.armed())
                again.after(std::chrono::milliseconds(5), [] {}); // files and processes wake no loop
            return holds();
        },
        start_deadline);
    if (!held)
        throw std::runtime_error(what + " not within the deadline" + logs());
}

void sluice_up::start()
{
    ended_.reset();
    std::filesystem::remove(state_ + "/run/gateway.ready"); // of one that was killed
    running_ = launch(command(flags_), folder_ / "up.log");
    watch_ = std::make_unique<process::watch>(loop_, *running_, [this](process::exit_status status) { ended_ = status; });
    wait([&] { return ended_ || std::filesystem::exists(state_ + "/run/gateway.ready"); }, "gateway ready");
    if (ended_)
        throw std::runtime_error("sluice up ended by itself" + logs());
    port_ = port();
}

int sluice_up::stop()
{
    terminate();
    return wait_end();
}

void sluice_up::terminate() { process::signal(*running_, SIGTERM); }

int sluice_up::wait_end()
{
    wait([&] { return ended_.has_value(); }, "stopped");
    running_.reset();
    return ended_->code;
}

void sluice_up::kill()
{
    process::signal(*running_, SIGKILL);
    wait([&] { return ended_.has_value(); }, "killed");
    running_.reset();
}

int sluice_up::run_to_end(const std::vector<std::string>& flags)
{
    std::optional<process::exit_status> status;
    const process::watch watch(loop_, launch(command(flags), folder_ / "once.log"), [&](process::exit_status ended) { status = ended; });
    wait([&] { return status.has_value(); }, "ended by itself");
    return status->code;
}

std::uint16_t sluice_up::port() const
{
    const auto address = one_line(state_ + "/run/gateway.ready");
    return static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
}

process::identity sluice_up::role(const std::string& name) const
{
    process::identity found;
    std::istringstream(content(state_ + "/run/" + name + ".pid")) >> found.pid >> found.start_ticks;
    return found;
}

bool sluice_up::role_runs_anew(const std::string& name, process::identity before) const
{
    const auto now = role(name);
    const auto ready = name == "nats-server" || std::filesystem::exists(state_ + "/run/" + name + ".ready");
    return now.pid != 0 && !(now == before) && process::alive(now) && ready;
}

std::string sluice_up::said() const { return content(folder_ / "up.log"); }

std::vector<int> sluice_up::processes() const
{
    std::vector<int> found;
    if (!running_)
        return found;
    const auto all = parents();
    for (const auto& [pid, parent] : all) {
        int above = pid;
        while (above > 1 && above != running_->pid)
            above = all.count(above) ? all.at(above) : 0;
        if (above == running_->pid)
            found.push_back(pid);
    }
    return found;
}

void sluice_up::send(const std::string& target, call_options with, std::function<void(outcome)> done)
{
    http::client_request request;
    request.host = "127.0.0.1";
    request.port = port_;
    request.method = with.method;
    request.target = target;
    for (const auto& field : with.fields)
        append_field(request.head, field.name, field.value);
    if (with.authorized) {
        const auto user = one_line(state_ + "/secrets/basic-auth-user"), password = one_line(state_ + "/secrets/basic-auth-password");
        append_field(request.head, "Authorization", "Basic " + base64(user + ':' + password));
    }
    request.body = std::make_shared<const std::string>(std::move(with.body));
    client_->call(std::move(request), std::move(done));
}

outcome sluice_up::call(const std::string& target, call_options with)
{
    const auto answer = wait_for<outcome>(
        loop_, [&](auto done) { send(target, std::move(with), std::move(done)); }, std::chrono::seconds(90));
    if (!answer)
        throw std::runtime_error("no answer to " + target + logs());
    return *answer;
}

void sluice_up::deploy(const std::string& deployment_json, const std::string& name)
{
    const auto made = call("/system/functions", {"POST", {{"Content-Type", "application/json"}}, deployment_json, true});
    if (made.reply.status != 202)
        throw std::runtime_error("deploying " + name + ": " + std::to_string(made.reply.status) + ' ' + made.reply.body + logs());
    const auto until = std::chrono::steady_clock::now() + start_deadline;
    while (std::chrono::steady_clock::now() < until) {
        const auto found = call("/system/function/" + name, {"GET", {}, "", true});
        if (found.reply.body.find("\"availableReplicas\":") != std::string::npos)
            return;
        loop_for(loop_, std::chrono::milliseconds(10));
    }
    throw std::runtime_error("no ready replica of " + name + logs());
}

std::string sluice_up::logs() const
{
    std::string text;
    std::vector<std::filesystem::path> files{folder_ / "up.log", folder_ / "once.log"};
    std::error_code missing;
    for (const auto& file : std::filesystem::directory_iterator(state_ + "/log", missing))
        files.push_back(file.path());
    for (const auto& file : files) {
        const auto all = content(file);
        text += "\n--- " + file.filename().string() + '\n' + all.substr(all.size() - std::min(all.size(), log_tail_bytes));
    }
    return text;
}

}
