#include "watchdog/classic_executor.hpp"

#include "adapters/asio/writable_watch.hpp"
#include "core/cgi_environment.hpp"

#include "sluice/wire.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <optional>
#include <system_error>
#include <unistd.h>

namespace sluice::watchdog {

namespace {

constexpr std::size_t read_bytes = 64 * 1024;
constexpr int reads_per_turn = 4; // a flood leaves the loop to the other calls in between
constexpr int reads_at_end = 64;  // what a pipe can hold, several times

bool method_allowed(std::string_view method)
{
    for (std::string_view allowed : {"POST", "PUT", "PATCH", "DELETE", "GET"})
        if (method == allowed)
            return true;
    return false;
}

bool is_shortage(int error) { return error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE; }

}

// Owned by the executor until its process has been reaped.
class classic_executor::forked_call {
public:
    forked_call(classic_executor& owner, call_id id, std::function<void(http_response)> done)
        : owner_(owner), id_(id), done_(std::move(done)), exec_timer_(owner.loop_)
    {}

    // Throws std::system_error when the process cannot be started.
    void launch(const http::exchange_ptr& call)
    {
        const auto& config = owner_.settings_.config;
        auto options = function_launch(config, owner_.settings_.rights);
        options.env = owner_.settings_.environment;
        if (config.cgi_headers)
            core::add_cgi_environment(options.env, call->request());
        options.env[call_variable] = std::to_string(id_);
        content_type_ = config.content_type.empty() ? std::string(call->request().field("content-type")) : config.content_type;
        body_ = call->take_body();
        auto input = process::make_pipe();
        auto output = process::make_pipe();
        process::pipe_ends errors;
        if (!config.combine_output)
            errors = process::make_pipe();
        options.stdin_fd = input.read.number();
        options.stdout_fd = output.write.number();
        options.stderr_fd = config.combine_output ? output.write.number() : errors.write.number();
        started_ = std::chrono::steady_clock::now();
        process_ = process::launch(options);
        owner_.pids_.insert(process_.pid);
        watch_exit_.emplace(owner_.loop_, process_, [this](process::exit_status status) { exited(status); });
        if (config.exec_timeout.count() > 0)
            exec_timer_.after(config.exec_timeout, [this] { time_out(); });
        input_ = std::move(input.write);
        output_ = std::move(output.read);
        process::set_nonblocking(input_);
        process::set_nonblocking(output_);
        if (errors.read)
            errors_.emplace(owner_.loop_, std::move(errors.read), "stderr", config.log_line_bytes_max, owner_.log_);
        watch_output_ = std::make_unique<readable_watch>(owner_.loop_, output_.number(), [this] { read_output(reads_per_turn); });
        write_input();
    }

    void kill()
    {
        if (watch_exit_)
            watch_exit_->signal_group(SIGKILL);
        else if (started())
            process::signal_group(process_, SIGKILL);
    }

    void abandon()
    {
        kill();
        owner_.pids_.erase(process_.pid);
    }

    bool started() const { return process_.pid > 0; }

private:
    void time_out()
    {
        timed_out_ = true;
        kill();
    }

    void write_input()
    {
        while (written_ < body_.size()) {
            const auto wrote = ::write(input_.number(), body_.data() + written_, body_.size() - written_);
            if (wrote > 0) {
                written_ += static_cast<std::size_t>(wrote);
            } else if (errno == EAGAIN) {
                if (!watch_input_)
                    watch_input_ = std::make_unique<writable_watch>(owner_.loop_, input_.number(), [this] { write_input(); });
                return;
            } else if (errno != EINTR) {
                break; // it closed its stdin: it has what it wanted
            }
        }
        watch_input_.reset();
        input_.reset();
        body_ = {};
        written_ = 0;
    }

    void read_output(int reads_max)
    {
        char chunk[read_bytes];
        for (int i = 0; i < reads_max && output_; ++i) {
            const auto got = ::read(output_.number(), chunk, sizeof chunk);
            if (got > 0) {
                answer_bytes_ += static_cast<std::uint64_t>(got);
                const auto room = owner_.settings_.answer_bytes_max - answer_.size();
                answer_.append(chunk, std::min<std::size_t>(static_cast<std::size_t>(got), room));
            } else if (got < 0 && errno == EINTR) {
                continue;
            } else {
                if (got == 0 || errno != EAGAIN) {
                    watch_output_.reset();
                    output_.reset();
                }
                return;
            }
        }
    }

    void exited(process::exit_status status)
    {
        kill(); // what it left behind in its group
        exec_timer_.cancel();
        read_output(reads_at_end);
        if (errors_)
            errors_->finish();
        auto response = verdict(status);
        auto done = std::move(done_);
        owner_.log_.line("watchdog", summary());
        auto& owner = owner_;
        owner.ended(id_, process_.pid); // destroys this
        done(std::move(response));
    }

    http_response verdict(const process::exit_status& status)
    {
        http_response response;
        if (!timed_out_ && answer_bytes_ > owner_.settings_.answer_bytes_max)
            response.fields.push_back({std::string(wire::cut_answer_header), std::to_string(answer_bytes_)});
        if (timed_out_) {
            response.status = 408;
            response.body = "Killed process.\n";
        } else if (status.code != 0) {
            response.status = 500;
            response.body = process::how_it_ended(status) + '\n' + answer_;
        } else {
            response.body = std::move(answer_);
            if (!content_type_.empty())
                response.fields.push_back({"Content-Type", content_type_});
            return response;
        }
        response.fields.push_back({"Content-Type", "text/plain; charset=utf-8"});
        return response;
    }

    std::string summary() const
    {
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started_;
        char text[96];
        std::snprintf(text, sizeof text, "Wrote %llu Bytes - Duration: %.6fs", static_cast<unsigned long long>(answer_bytes_),
                      took.count());
        return text;
    }

    classic_executor& owner_;
    call_id id_;
    std::function<void(http_response)> done_;
    process::identity process_;
    std::chrono::steady_clock::time_point started_;
    std::string content_type_;
    std::string body_;
    std::size_t written_ = 0;
    std::string answer_;
    std::uint64_t answer_bytes_ = 0;
    bool timed_out_ = false;
    process::owned_fd input_, output_;
    std::unique_ptr<writable_watch> watch_input_;
    std::unique_ptr<readable_watch> watch_output_;
    std::optional<line_reader> errors_;
    std::optional<process::watch> watch_exit_;
    timer exec_timer_;
};

classic_executor::classic_executor(loop& on, settings given, output_log& log) : loop_(on), settings_(std::move(given)), log_(log)
{
    process::rehearse(function_launch(settings_.config, settings_.rights)); // else every call would find it out
}

classic_executor::~classic_executor() = default;

void classic_executor::start(call_id id, const http::exchange_ptr& call, std::function<void(http_response)> done)
{
    if (!method_allowed(call->request().method))
        return done({405, {{"Allow", "POST, PUT, PATCH, DELETE, GET"}}, {}});
    log_.line("watchdog", "Forking fprocess.");
    auto forked = std::make_unique<forked_call>(*this, id, done);
    try {
        forked->launch(call);
    } catch (const std::system_error& error) {
        forked->abandon(); // if it was started, and could not be watched
        const auto text = std::string(error.what()) + '\n';
        if (!is_shortage(error.code().value())) // a command that does not exist: that is the answer
            return done({500, {{"Content-Type", "text/plain; charset=utf-8"}}, text});
        // A shortage of ours. Where nothing was executed the call goes back to the queue, else this was an attempt.
        return done(own_answer(forked->started() ? 500 : 429, "sluice-watchdog", text));
    }
    calls_.emplace(id, std::move(forked));
}

void classic_executor::cancel(call_id id)
{
    if (const auto at = calls_.find(id); at != calls_.end())
        at->second->kill();
}

void classic_executor::probe(std::function<void(unsigned status, std::string why)> done) { done(200, {}); }

void classic_executor::stop(std::function<void()> stopped)
{
    stopped_ = std::move(stopped);
    for (auto& [id, call] : calls_)
        call->kill();
    if (calls_.empty())
        std::exchange(stopped_, nullptr)();
}

void classic_executor::ended(call_id id, int pid)
{
    pids_.erase(pid);
    calls_.erase(id);
    if (stopped_ && calls_.empty())
        loop_.post(std::exchange(stopped_, nullptr));
}

}
