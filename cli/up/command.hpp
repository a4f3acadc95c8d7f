#pragma once
#include "adapters/asio/loop.hpp"
#include "adapters/process/process.hpp"

#include <functional>
#include <map>
#include <memory>
#include <string>

// The shell command of `sluice up --run`, in a session of its own, on our terminal's output. Loop thread only.
namespace sluice::up {

class command {
public:
    // on_end gets its exit code, or 128 + signal as a shell would say. Throws std::system_error when there is no shell.
    command(loop& on, const std::string& line, std::map<std::string, std::string> environment, std::function<void(int code)> on_end);

    bool running() const noexcept { return running_; }
    bool owns(int pid) const noexcept { return running_ && process_.pid == pid; }
    void stop(); // SIGTERM to all of it, SIGKILL some seconds later
    void kill();

private:
    void ended(process::exit_status status);

    std::function<void(int)> on_end_;
    process::identity process_;
    bool running_ = true;
    timer deadline_;
    std::unique_ptr<process::watch> watch_;
};

}
