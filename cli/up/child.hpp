#pragma once
#include "adapters/asio/loop.hpp"
#include "adapters/log/log.hpp"
#include "adapters/process/process.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

// One supervised process: started, waited for until it is ready, started again with backoff when it ends by itself, and asked to stop (how
// long that may take, its owner decides). Its identity (pid and start time) is kept in a file as long as it runs, so that a supervisor that
// was killed leaves a trace of what it had started. Loop thread only.
namespace sluice::up {

struct restart_policy {
    std::chrono::milliseconds first{100};      // before the first restart; doubles with each one, until a life was ready for as long
    std::chrono::milliseconds longest{10'000}; // at most this
};

struct child_spec {
    std::string name;
    std::vector<std::string> argv;
    std::map<std::string, std::string> env;
    std::string identity_file;                                             // "pid start_ticks" while it runs
    std::string log_file;                                                  // takes stdout and stderr, appended
    std::function<std::string(int pid)> ready_file;                        // exists once the process is ready; removed before and after
    std::function<void(std::vector<std::string>& argv)> after_first_start; // may be empty; what later starts are to do otherwise
    std::chrono::milliseconds start_deadline{30'000};                      // not ready by then: killed
    std::chrono::milliseconds ready_poll_interval{10};                     // how often the ready file is looked for
    restart_policy restart;
};

class child {
public:
    // on_ready runs each time the process is ready. on_failed runs instead of a restart when the process ends by itself (with an exit
    // code) or misses its deadline before it was ready for the first time: such an end is a misconfiguration, not a crash.
    child(loop& on, logger& log, child_spec spec, std::function<void()> on_ready, std::function<void(std::string reason)> on_failed);
    ~child();
    child(const child&) = delete;
    child& operator=(const child&) = delete;

    void start();
    // Ends it for good; done runs once it has gone, at once when it is not running.
    void stop(std::function<void()> done);
    // A second SIGTERM to a process that is stopping: a role then gives up what still runs.
    void hurry();
    // SIGKILL, now and for good; the done of a stop() runs when it has gone.
    void kill();

    const std::string& name() const noexcept { return spec_.name; }
    bool ready() const noexcept { return ready_; }
    std::optional<process::identity> running() const noexcept { return running_; }

private:
    void launch();
    template <class Work> void keep_going(const char* what, Work work);
    void look_for_ready();
    void ended(process::exit_status status);
    void start_again(unsigned failures, const std::string& why);
    void finish_stop();

    loop& loop_;
    logger& log_;
    child_spec spec_;
    std::function<void()> on_ready_;
    std::function<void(std::string)> on_failed_;
    std::function<void()> stopped_;
    std::optional<process::identity> running_;
    std::unique_ptr<process::watch> watch_;
    timer poll_, deadline_, again_;
    std::chrono::steady_clock::time_point ready_since_{};
    std::chrono::milliseconds last_wait_{0}; // before the last restart
    unsigned failures_ = 0;
    bool ready_ = false, was_ready_ = false, missed_deadline_ = false, stopping_ = false;
};

}
