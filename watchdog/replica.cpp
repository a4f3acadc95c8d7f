#include "watchdog/replica.hpp"

#include "core/listen_address.hpp"
#include "watchdog/classic_executor.hpp"
#include "watchdog/http_executor.hpp"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <unistd.h>

namespace sluice::watchdog {

namespace {

constexpr std::chrono::milliseconds header_deadline_max{10'000};
constexpr std::chrono::milliseconds idle_deadline{120'000}; // longer than a client keeps an idle connection: it closes first
constexpr std::chrono::milliseconds reply_deadline_max{5'000};
constexpr std::chrono::milliseconds reply_check{10};

http::server_options front_of(const options& given, const core::watchdog_config& config)
{
    http::server_options on;
    if (given.listen_fd != 0)
        on.inherited_fd = static_cast<int>(given.listen_fd);
    else if (given.listen.empty()) {
        on.host = "0.0.0.0";
        on.port = config.port;
    } else {
        auto address = core::parse_listen_address("listen", given.listen);
        on.host = std::move(address.host);
        on.port = address.port;
    }
    on.connections_max = given.connections_max;
    on.body_bytes_budget = std::max(given.body_bytes_budget, given.body_bytes_max); // else the largest allowed body could never come
    on.header_deadline = std::min(config.read_timeout, header_deadline_max);
    on.body_deadline = config.read_timeout;
    on.write_deadline = config.write_timeout;
    on.idle_deadline = idle_deadline;
    return on;
}

}

replica::replica(loop& on, const options& given, core::watchdog_config config, core::replica_setup setup, logger& events)
    : loop_(on),
      events_(events),
      config_(std::move(config)),
      // Whoever hands us a socket also tells callers before it stops us; else a load balancer finds out by /_/ready.
      linger_(given.listen_fd != 0 ? std::chrono::milliseconds(0) : config_.healthcheck_interval),
      drain_deadline_(given.drain_deadline.count() > 0 ? given.drain_deadline : config_.write_timeout),
      output_(STDERR_FILENO, given.log_bytes_max, config_.prefix_logs),
      executor_(make_executor(given, std::move(setup.environment))),
      service_(on, *executor_, {std::move(setup.token), config_.max_inflight, given.body_bytes_max},
               given.metrics_listen.empty() ? nullptr : &meters_),
      pages_(
          on, [this] { return meters_.text(); }, [] { return std::string(); }),
      timer_(on)
{
    server_ = std::make_unique<http::server>(on, front_of(given, config_), service_);
    pages_.listen(given.metrics_listen);
    events_.info("listening port={} exec_timeout={} max_inflight={}", server_->port(), config::format_duration(config_.exec_timeout),
                 config_.max_inflight);
}

replica::~replica() = default;

std::unique_ptr<executor> replica::make_executor(const options& given, string_map environment)
{
    std::error_code gone; // a folder that was removed under us has no name
    const function_rights rights{given.function_uid, given.function_gid, given.hidden_folder, std::filesystem::current_path(gone).string()};
    switch (config_.mode) {
    case core::watchdog_config::run_mode::classic: break;
    case core::watchdog_config::run_mode::http:
        return std::make_unique<http_executor>(loop_,
                                               http_executor::settings{.config = config_,
                                                                       .environment = std::move(environment),
                                                                       .rights = rights,
                                                                       .answer_bytes_max = given.answer_bytes_max,
                                                                       .connections_max = given.connections_max,
                                                                       .end_deadline = given.end_deadline},
                                               output_, events_, [this](std::string why) { function_ended(std::move(why)); });
    }
    return std::make_unique<classic_executor>(
        loop_, classic_executor::settings{config_, std::move(environment), rights, given.answer_bytes_max}, output_);
}

void replica::stop(const char* why)
{
    events_.info("stopping reason={} running={}", why, service_.running());
    service_.announce_end();
    switch (phase_) {
    case phase::running:
        phase_ = phase::lingering;
        if (linger_.count() == 0)
            return refuse_new_calls();
        timer_.after(linger_, [this] { refuse_new_calls(); });
        break;
    case phase::lingering: refuse_new_calls(); break;
    case phase::draining: end_function(); break;
    case phase::ending:
    case phase::closing: break;
    }
}

void replica::refuse_new_calls()
{
    phase_ = phase::draining;
    server_->stop_accepting();
    timer_.after(drain_deadline_, [this] {
        events_.warn("drain deadline passed running={}", service_.running());
        end_function();
    });
    service_.when_idle([this] {
        if (phase_ == phase::draining)
            end_function();
    });
}

void replica::end_function()
{
    phase_ = phase::ending;
    timer_.cancel();
    service_.cancel_all();
    executor_->stop([this] { close_when_answered(); });
}

// An http function whose process is gone cannot answer any more: a new process is the provider's business.
void replica::function_ended(std::string why)
{
    if (phase_ >= phase::ending)
        return;
    exit_code_ = 1;
    end_reason_ = std::move(why);
    service_.announce_end();
    server_->stop_accepting();
    end_function();
}

void replica::close_when_answered()
{
    const auto now = std::chrono::steady_clock::now();
    if (phase_ != phase::closing) {
        phase_ = phase::closing;
        server_->stop_accepting();
        close_by_ = now + std::min(config_.write_timeout, reply_deadline_max);
    }
    if ((service_.running() > 0 || server_->connections() > 0) && now < close_by_)
        return timer_.after(reply_check, [this] { close_when_answered(); });
    server_->close();
    pages_.close();
    if (closed_)
        closed_();
}

}
