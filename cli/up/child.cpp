#include "cli/up/child.hpp"

#include "adapters/process/files.hpp"
#include "cli/up/files.hpp"
#include "core/retry.hpp"

#include <algorithm>
#include <fcntl.h>
#include <filesystem>
#include <system_error>
#include <unistd.h>

namespace sluice::up {

namespace {

// Closes the descriptor at the end of the scope.
struct open_log {
    explicit open_log(const std::string& path) : fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600))
    {
        if (fd < 0)
            throw std::system_error(errno, std::generic_category(), path);
    }
    ~open_log() { ::close(fd); }
    open_log(const open_log&) = delete;
    open_log& operator=(const open_log&) = delete;
    int fd;
};

}

child::child(loop& on, logger& log, child_spec spec, std::function<void()> on_ready, std::function<void(std::string)> on_failed)
    : loop_(on),
      log_(log),
      spec_(std::move(spec)),
      on_ready_(std::move(on_ready)),
      on_failed_(std::move(on_failed)),
      poll_(on),
      deadline_(on),
      again_(on)
{}

child::~child() = default;

void child::start()
{
    stopping_ = false;
    launch();
}

// A full or read-only disk must not end what is running.
template <class Work> void child::keep_going(const char* what, Work work)
{
    try {
        work();
    } catch (const std::system_error& error) {
        log_.error("cannot {} role={} reason=\"{}\"", what, spec_.name, error.what());
    }
}

void child::launch()
{
    process::launch_options options;
    options.argv = spec_.argv;
    options.env = spec_.env;
    options.new_session = true; // Ctrl-C in our terminal reaches us alone: we stop the rest in order
    options.die_with_parent = true;
    ready_ = missed_deadline_ = false;
    try {
        const open_log output(spec_.log_file);
        options.stdout_fd = options.stderr_fd = output.fd;
        remove_file(spec_.ready_file(0)); // one that a killed supervisor left says nothing
        running_ = process::launch(options);
    } catch (const std::system_error& error) {
        if (!was_ready_)
            return loop_.post([this, reason = std::string(error.what())] { on_failed_(reason); });
        return start_again(failures_ + 1, std::string("cannot be started: ") + error.what());
    }
    keep_going("note",
               [&] { process::write_file_atomically(spec_.identity_file, fmt::format("{} {}\n", running_->pid, running_->start_ticks)); });
    watch_ = std::make_unique<process::watch>(loop_, *running_, [this](process::exit_status status) { ended(status); });
    log_.debug("started role={} pid={}", spec_.name, running_->pid);
    deadline_.after(spec_.start_deadline, [this] {
        log_.error("not ready in time role={} deadline_ms={}", spec_.name, spec_.start_deadline.count());
        missed_deadline_ = true;
        process::signal(*running_, SIGKILL);
    });
    poll_.after(spec_.ready_poll_interval, [this] { look_for_ready(); });
}

void child::look_for_ready()
{
    if (!std::filesystem::exists(spec_.ready_file(running_->pid)))
        return poll_.after(spec_.ready_poll_interval, [this] { look_for_ready(); });
    deadline_.cancel();
    if (!was_ready_ && spec_.after_first_start)
        spec_.after_first_start(spec_.argv);
    ready_ = was_ready_ = true;
    ready_since_ = std::chrono::steady_clock::now();
    log_.info("ready role={} pid={}", spec_.name, running_->pid);
    on_ready_();
}

void child::ended(process::exit_status status)
{
    poll_.cancel();
    deadline_.cancel();
    keep_going("remove a file of", [&] {
        remove_file(spec_.ready_file(running_->pid));
        remove_file(spec_.identity_file);
    });
    running_.reset();
    const bool worked = ready_ && std::chrono::steady_clock::now() - ready_since_ >= last_wait_;
    ready_ = false;
    if (stopping_)
        return finish_stop();
    if (!was_ready_ && (missed_deadline_ || (status.known && status.signal == 0))) {
        const auto last = last_line(spec_.log_file);
        return on_failed_(missed_deadline_ ? "not ready in time" : last.empty() ? process::how_it_ended(status) : last);
    }
    start_again(worked ? 1 : failures_ + 1, "ended by itself: " + process::how_it_ended(status));
}

void child::start_again(unsigned failures, const std::string& why)
{
    failures_ = failures;
    last_wait_ = core::backoff(failures_, spec_.restart.first, spec_.restart.longest);
    log_.warn("starts again role={} reason=\"{}\" restart_in_ms={}", spec_.name, why, last_wait_.count());
    again_.after(last_wait_, [this] { launch(); });
}

void child::stop(std::function<void()> done)
{
    stopping_ = true;
    stopped_ = std::move(done);
    poll_.cancel();
    again_.cancel();
    if (!running_)
        return loop_.post([this] { finish_stop(); });
    deadline_.cancel(); // of its start
    process::signal(*running_, SIGTERM);
}

void child::hurry()
{
    if (running_)
        process::signal(*running_, SIGTERM);
}

void child::kill()
{
    stopping_ = true; // its end is no surprise any more
    poll_.cancel();
    again_.cancel();
    if (running_)
        process::signal(*running_, SIGKILL);
}

void child::finish_stop()
{
    deadline_.cancel();
    if (!stopped_)
        return;
    const auto done = std::exchange(stopped_, nullptr);
    log_.debug("stopped role={}", spec_.name);
    done();
}

}
