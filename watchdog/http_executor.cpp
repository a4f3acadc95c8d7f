#include "watchdog/http_executor.hpp"

#include "sluice/wire.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <sys/socket.h>
#include <system_error>

namespace sluice::watchdog {

namespace {

constexpr std::chrono::milliseconds probe_wait_max{200};
constexpr std::chrono::milliseconds probe_deadline{5'000};
constexpr std::chrono::milliseconds no_timeout = std::chrono::hours(24); // exec_timeout 0: the caller's own deadline ends the call
constexpr const char* component = "of-watchdog";

process::socket_address address_of(const core::watchdog_config& config)
{
    if (const auto address = process::socket_address_of(config.upstream_host, config.upstream_port))
        return *address;
    throw config::error("upstream_url: '" + config.upstream_host + "' is no numeric address");
}

bool stays_here(std::string_view name)
{
    return is_hop_by_hop(name) || same_name(name, "host") || same_name(name, "content-length") || same_name(name, "expect")
        || same_name(name, wire::replica_token_header);
}

bool is_ours_to_set(std::string_view name)
{
    // A function that reported errors in a core component's name could have its calls repeated at will.
    return is_hop_by_hop(name) || same_name(name, "content-length") || same_name(name, "date") || same_name(name, wire::internal_header)
        || same_name(name, wire::cut_answer_header);
}

}

http_executor::http_executor(loop& on, settings given, output_log& log, logger& events, std::function<void(std::string why)> on_end)
    : loop_(on),
      settings_(std::move(given)),
      log_(log),
      events_(events),
      on_end_(std::move(on_end)),
      client_(on, {.connections_per_address_max = settings_.connections_max, .idle_per_address_max = settings_.connections_max}),
      probe_timer_(on),
      end_timer_(on)
{
    if (!settings_.config.upstream_given) {
        port_.emplace();
        settings_.config.upstream_port = port_->port();
        settings_.environment["PORT"] = std::to_string(port_->port());
    }
    upstream_ = address_of(settings_.config);
    launch();
    try_connect();
}

http_executor::~http_executor() = default;

void http_executor::launch()
{
    auto options = function_launch(settings_.config, settings_.rights);
    options.env = settings_.environment;
    auto output = process::make_pipe();
    auto errors = process::make_pipe();
    options.stdout_fd = output.write.number();
    options.stderr_fd = errors.write.number();
    process_ = process::launch(options);
    runs_ = true;
    watch_exit_.emplace(loop_, process_, [this](process::exit_status status) { ended(status); });
    const auto line_max = settings_.config.log_line_bytes_max;
    output_.emplace(loop_, std::move(output.read), "stdout", line_max, log_);
    errors_.emplace(loop_, std::move(errors.read), "stderr", line_max, log_);
    events_.info("function started pid={} port={}", process_.pid, settings_.config.upstream_port);
}

// Until the function accepts a connection for the first time. From then on its process stands for it.
void http_executor::try_connect()
{
    probe_socket_ = process::owned_fd(::socket(upstream_.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!probe_socket_)
        return connecting_ended(errno);
    if (::connect(probe_socket_.number(), upstream_.raw(), upstream_.length) == 0)
        return connecting_ended(0);
    if (errno != EINPROGRESS)
        return connecting_ended(errno);
    try {
        watch_probe_ = std::make_unique<writable_watch>(loop_, probe_socket_.number(), [this] {
            int error = 0;
            socklen_t size = sizeof error;
            ::getsockopt(probe_socket_.number(), SOL_SOCKET, SO_ERROR, &error, &size);
            connecting_ended(error);
        });
    } catch (const std::system_error& shortage) { // of descriptors: asked again like any other refusal
        return connecting_ended(shortage.code().value());
    }
    probe_timer_.after(probe_deadline, [this] { connecting_ended(ETIMEDOUT); });
}

void http_executor::connecting_ended(int error)
{
    watch_probe_.reset();
    probe_socket_.reset();
    probe_timer_.cancel();
    listens_ = error == 0;
    if (listens_) {
        events_.info("function listens port={}", settings_.config.upstream_port);
        return;
    }
    probe_timer_.after(probe_wait_, [this] { try_connect(); });
    probe_wait_ = std::min(probe_wait_ * 2, probe_wait_max);
}

http::client_request http_executor::forwarded(const http::exchange_ptr& call) const
{
    const auto& request = call->request();
    const auto& config = settings_.config;
    http::client_request forward;
    forward.host = config.upstream_host;
    forward.port = config.upstream_port;
    forward.method = request.method;
    forward.target.reserve(config.upstream_prefix.size() + request.target.size());
    forward.target.assign(config.upstream_prefix).append(request.target);
    forward.host_field = request.field("host");
    const auto connection = request.field("connection");
    forward.head.reserve(512);
    for (const auto& field : request.fields)
        if (!stays_here(field.name) && (connection.empty() || !list_has(connection, field.name)))
            append_field(forward.head, field.name, field.value);
    forward.deadline = config.exec_timeout.count() > 0 ? config.exec_timeout : no_timeout;
    if (const auto shorter = request.field("x-timeout"); !shorter.empty() && config.exec_timeout.count() > 0) {
        try {
            const auto asked = config::parse_duration(shorter);
            if (asked.count() > 0 && asked < forward.deadline)
                forward.deadline = asked;
        } catch (const std::invalid_argument&) { // as of-watchdog: not a duration, not a wish
        }
    }
    forward.answer_bytes_max = settings_.answer_bytes_max;
    if (!request.body.empty())
        forward.body = std::make_shared<const std::string>(call->take_body());
    return forward;
}

http_response http_executor::translate(outcome result) const
{
    switch (result.kind) {
    case outcome_kind::delivered: break;
    case outcome_kind::timed_out: return own_answer(504, component);
    case outcome_kind::refused:
    case outcome_kind::unreachable: return own_answer(500, component);
    case outcome_kind::overloaded: return own_answer(429, component, result.reason + '\n'); // nothing was executed: back to the queue
    }
    auto& reply = result.reply;
    http_response response{reply.status, {}, std::move(reply.body)};
    response.fields.reserve(reply.fields.size() + 1);
    for (auto& field : reply.fields)
        if (!is_ours_to_set(field.name))
            response.fields.push_back(std::move(field));
    if (reply.truncated)
        response.fields.push_back({std::string(wire::cut_answer_header), std::to_string(reply.body_bytes)});
    return response;
}

void http_executor::start(call_id id, const http::exchange_ptr& call, std::function<void(http_response)> done)
{
    if (!runs_)
        return done(own_answer(500, component));
    calls_[id] = client_.call(forwarded(call), [this, id, done = std::move(done)](outcome result) {
        calls_.erase(id);
        done(translate(std::move(result)));
    });
}

void http_executor::cancel(call_id id)
{
    if (const auto at = calls_.find(id); at != calls_.end())
        client_.cancel(at->second);
}

void http_executor::probe(std::function<void(unsigned status, std::string why)> done)
{
    if (!runs_)
        return done(503, "its process ended");
    const auto& config = settings_.config;
    if (!listens_)
        return done(503,
                    "not listening on " + (config.upstream_given ? "upstream_url, port " : std::string("PORT "))
                        + std::to_string(config.upstream_port));
    if (config.ready_path.empty())
        return done(200, {});
    http::client_request ask;
    ask.host = config.upstream_host;
    ask.port = config.upstream_port;
    ask.method = "GET";
    ask.target = config.upstream_prefix + config.ready_path;
    ask.deadline = probe_deadline;
    ask.answer_bytes_max = 4096;
    client_.call(std::move(ask), [done = std::move(done), path = config.ready_path](const outcome& result) {
        if (result.kind != outcome_kind::delivered)
            return done(503, "no answer at its ready_path " + path + ": " + result.reason);
        done(result.reply.status, "its ready_path " + path + " answers " + std::to_string(result.reply.status));
    });
}

void http_executor::ended(process::exit_status status)
{
    runs_ = false;
    watch_exit_->signal_group(SIGKILL); // what it left behind
    end_timer_.cancel();
    watch_probe_.reset();
    probe_timer_.cancel();
    output_->finish();
    errors_->finish();
    if (stopped_)
        events_.info("function stopped pid={}", process_.pid);
    else
        events_.warn("function ended pid={} code={} signal={}", process_.pid, status.code, status.signal);
    if (stopped_) {
        client_.close();
        loop_.post(std::exchange(stopped_, nullptr));
    } else if (on_end_) {
        auto why = "the function's process ended: " + process::how_it_ended(status);
        if (const auto& said = errors_->last_line().empty() ? output_->last_line() : errors_->last_line(); !said.empty())
            why.append(": ").append(said);
        loop_.post([told = on_end_, why = std::move(why)] { told(why); });
    }
}

void http_executor::stop(std::function<void()> stopped)
{
    watch_probe_.reset();
    probe_timer_.cancel();
    if (!runs_) {
        client_.close();
        return loop_.post(std::move(stopped));
    }
    stopped_ = std::move(stopped);
    watch_exit_->signal_group(SIGTERM);
    end_timer_.after(settings_.end_deadline, [this] { watch_exit_->signal_group(SIGKILL); });
}

}
