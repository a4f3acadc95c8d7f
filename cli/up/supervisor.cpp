#include "cli/up/supervisor.hpp"

#include "cli/up/files.hpp"

#include <utility>

namespace sluice::up {

supervisor::supervisor(loop& on, logger& log, supervisor_options options)
    : loop_(on), log_(log), options_(options), check_(on), hurry_(on), late_(on)
{}

void supervisor::add(child_spec spec)
{
    const auto index = children_.size();
    log_files_.push_back(spec.log_file);
    children_.emplace_back(
        loop_, log_, std::move(spec), [this, index] { ready(index); }, [this, index](const std::string& reason) { failed(index, reason); });
}

void supervisor::start(std::function<void(std::string)> done)
{
    started_ = std::move(done);
    check_logs();
    up_ = 1;
    children_.front().start();
}

void supervisor::ready(std::size_t index)
{
    if (stopping_ || !started_ || index + 1 != up_)
        return; // a restart, not the first start
    if (up_ < children_.size())
        return children_[up_++].start();
    std::exchange(started_, nullptr)({});
}

void supervisor::failed(std::size_t index, const std::string& reason)
{
    if (started_)
        std::exchange(started_, nullptr)(children_[index].name() + ": " + reason);
}

void supervisor::stop(std::function<void()> done)
{
    stopping_ = true;
    stopped_ = std::move(done);
    check_.cancel();
    hurry_.after(options_.drain_deadline, [this] { drained(); });
    late_.after(options_.drain_deadline + options_.end_deadline, [this] {
        log_.warn("killed: not stopped in time deadline_ms={}", (options_.drain_deadline + options_.end_deadline).count());
        kill();
    });
    stop_next();
}

void supervisor::drained()
{
    hurrying_ = true;
    if (up_ < children_.size())
        children_[up_].hurry();
}

void supervisor::stop_next()
{
    if (up_ == 0) {
        hurry_.cancel();
        late_.cancel();
        return std::exchange(stopped_, nullptr)();
    }
    child& last = children_[--up_];
    last.stop([this] { stop_next(); });
    if (hurrying_)
        hurry_.after(options_.hurry_wait, [this] { drained(); });
    if (killing_)
        last.kill();
}

void supervisor::kill()
{
    killing_ = true;
    for (auto& each : children_)
        each.kill();
}

const child* supervisor::find(const std::string& name) const noexcept
{
    for (const auto& each : children_)
        if (each.name() == name)
            return &each;
    return nullptr;
}

bool supervisor::owns(int pid) const noexcept
{
    for (const auto& each : children_)
        if (each.running() && each.running()->pid == pid)
            return true;
    return false;
}

void supervisor::check_logs()
{
    for (const auto& path : log_files_)
        bound_log(path, options_.log_bytes_max);
    check_.after(options_.log_check_interval, [this] { check_logs(); });
}

}
