#include "cli/up/command.hpp"

#include <csignal>
#include <utility>

namespace sluice::up {

namespace {

constexpr std::chrono::seconds stop_deadline{5};

process::identity launch(const std::string& line, std::map<std::string, std::string> environment)
{
    process::launch_options options;
    options.argv = {"/bin/sh", "-c", line};
    options.env = std::move(environment);
    options.new_session = true;
    options.die_with_parent = true;
    return process::launch(options);
}

}

command::command(loop& on, const std::string& line, std::map<std::string, std::string> environment, std::function<void(int)> on_end)
    : on_end_(std::move(on_end)),
      process_(launch(line, std::move(environment))),
      deadline_(on),
      watch_(std::make_unique<process::watch>(on, process_, [this](process::exit_status status) { ended(status); }))
{}

void command::stop()
{
    process::signal_group(process_, SIGTERM);
    deadline_.after(stop_deadline, [this] { kill(); });
}

void command::kill()
{
    if (running_)
        process::signal_group(process_, SIGKILL);
}

void command::ended(process::exit_status status)
{
    deadline_.cancel();
    running_ = false;
    on_end_(status.signal ? 128 + status.signal : status.code);
}

}
