#include "cli/up/up.hpp"

#include "adapters/nats/connection.hpp"
#include "adapters/process/ends_at_once.hpp"
#include "adapters/process/files.hpp"
#include "cli/up/command.hpp"
#include "cli/up/files.hpp"
#include "cli/up/leftovers.hpp"
#include "cli/up/listen_check.hpp"
#include "cli/up/plan.hpp"
#include "cli/up/supervisor.hpp"
#include "core/option_checks.hpp"
#include "sluice/version.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <stdexcept>

namespace sluice::up {

namespace {

constexpr std::chrono::milliseconds leftover_deadline{10'000};

// "127.0.0.1:8080" of a listener at any address too: where we reach it ourselves.
std::string gateway_url(const state_folder& state)
{
    auto address = process::read_file_if_any(state.ready_file("gateway"));
    while (!address.empty() && address.back() == '\n')
        address.pop_back();
    for (const std::string any : {"0.0.0.0:", "[::]:"})
        if (address.rfind(any, 0) == 0)
            address.replace(0, any.size(), "127.0.0.1:");
    return "http://" + address;
}

bool is_loopback(const std::string& listen)
{
    return listen.rfind("127.", 0) == 0 || listen.rfind("localhost:", 0) == 0 || listen.rfind("[::1]:", 0) == 0;
}

std::map<std::string, std::string> without_ours(std::map<std::string, std::string> environment)
{
    std::erase_if(environment, [](const auto& variable) { return variable.first.rfind("SLUICE_", 0) == 0; });
    return environment;
}

// As --print-config: for the command of `run`, and for whoever wonders later.
std::string printed(options with)
{
    config::table table;
    add_to(table, with, [](const std::string&) {});
    return table.print();
}

// Why JetStream cannot be used, as its API's answer says; empty: it can.
std::string jetstream_fault(const boost::system::result<std::string>& answer)
{
    if (!answer)
        return "JetStream does not answer; is it enabled there? (" + answer.error().message() + ')';
    boost::system::error_code wrong;
    const auto value = boost::json::parse(*answer, wrong);
    if (wrong || !value.is_object())
        return "JetStream cannot be used: its answer is no JSON object";
    const auto* const error = value.as_object().if_contains("error");
    if (error == nullptr)
        return {};
    const auto* const text = error->is_object() ? error->as_object().if_contains("description") : nullptr;
    return "JetStream cannot be used: " + (text && text->is_string() ? std::string(text->as_string()) : boost::json::serialize(*error));
}

// What helps a process whose address is taken; empty: that is not what it says.
std::string advice_for(const std::string& failure, const options& with)
{
    if (failure.find(": listen on ") == failure.npos)
        return {};
    const auto role = failure.substr(0, failure.find(':'));
    const auto overridden = [&](const std::string& entry) { return entry.starts_with("gateway.listen="); };
    if (role == "gateway" && std::none_of(with.role_option.begin(), with.role_option.end(), overridden))
        return "; --listen HOST:PORT chooses another address";
    const auto key = role == "gateway" ? ".listen" : ".metrics_listen";
    return "; --role-option " + role + key + "=HOST:PORT chooses another address";
}

class machine {
public:
    machine(const options& with, const std::map<std::string, std::string>& environment)
        : with_(with),
          environment_(without_ours(environment)),
          log_(make_logger("up", with.log_level)),
          state_(with.state),
          children_(loop_, *log_, {.log_bytes_max = with.log_bytes_max, .drain_deadline = with.drain_deadline}),
          stop_signals_(loop_, {SIGINT, SIGTERM, SIGHUP}, [this](int) { asked_to_stop(); }),
          child_signals_(loop_, {SIGCHLD}, [this](int) { reap(); }),
          ask_again_(loop_)
    {}

    int run()
    {
        adopt_orphans();
        user_ = state_.keep_secret("basic-auth-user", "admin");
        password_ = state_.keep_secret("basic-auth-password");
        end_leftovers(loop_, *log_, state_.run_folder(), leftover_deadline, [this] { start(); });
        loop_.run();
        end_orphans();
        if (!failure_.empty())
            throw std::runtime_error(failure_);
        return code_;
    }

private:
    void start()
    {
        if (stopping_)
            return finish();
        if (const auto fault = listen_fault(with_); !fault.empty()) // not earlier: what was left of a killed `up` had the same
            return give_up(fault);
        if (with_.nats.url.empty())
            return start_children();
        try {
            const process::ends_at_once while_connecting({SIGINT, SIGTERM, SIGHUP}); // no role runs yet
            nats_ = std::make_unique<nats::connection>(loop_, nats::to_options(with_.nats, "sluice-up"));
        } catch (const std::exception& error) {
            return refuse(std::string("nats: ") + error.what());
        }
        // One that cannot be used is told apart here, rather than by each role's log.
        nats_->request("$JS.API.INFO", {}, with_.nats_answer_deadline, [this](const boost::system::result<std::string>& answer) {
            const auto fault = jetstream_fault(answer);
            loop_.post([this, fault] { // the connection may not end in its own callback
                if (stopping_)
                    return;
                nats_.reset();
                fault.empty() ? start_children() : refuse("nats: " + core::without_userinfo(with_.nats.url) + ": " + fault);
            });
        });
    }

    void refuse(std::string why)
    {
        failure_ = std::move(why);
        stop();
    }

    void start_children()
    {
        try {
            const surroundings around{std::filesystem::read_symlink("/proc/self/exe"), environment_};
            auto access = with_.nats;
            if (with_.nats.url.empty()) {
                children_.add(nats_server_child(with_, state_, around, access));
                nats_url_ = access.url;
            }
            for (auto& spec : role_children(with_, state_, around, access))
                children_.add(std::move(spec));
        } catch (const std::exception& error) {
            return refuse(error.what());
        }
        started_ = true;
        children_.start([this](const std::string& failure) { failure.empty() ? ready() : give_up(failure); });
    }

    void ready()
    {
        try {
            const auto url = gateway_url(state_);
            say(url);
            nats_answered_ = std::chrono::steady_clock::now();
            watch_nats();
            process::write_file_atomically(state_.run_folder() + "/up.conf", printed(with_));
            if (with_.run.empty())
                return;
            auto environment = environment_;
            environment["OPENFAAS_URL"] = url;
            environment["SLUICE_STATE"] = state_.path();
            command_.emplace(loop_, with_.run, std::move(environment), [this](int code) { command_ended(code); });
        } catch (const std::exception& error) {
            failure_ = error.what();
            stop();
        }
    }

    void watch_nats()
    {
        if (nats_url_.empty())
            return;
        nats::connection_options to;
        to.url = nats_url_;
        to.user = "sluice";
        to.password = state_.keep_secret("nats-password").value;
        to.connect_deadline = with_.nats_answer_deadline / 8;
        try {
            nats_ = std::make_unique<nats::connection>(loop_, std::move(to));
        } catch (const std::runtime_error&) { // it died just now, or blocked itself
            judge_nats(false);
            return ask_again_.after(with_.nats_answer_deadline / 8, [this] { watch_nats(); });
        }
        nats_answered_ = std::chrono::steady_clock::now();
        ask_nats();
    }

    void ask_nats()
    {
        nats_->request("$JS.API.INFO", {}, with_.nats_answer_deadline / 4, [this](const boost::system::result<std::string>& answer) {
            judge_nats(answer.has_value());
            ask_again_.after(with_.nats_answer_deadline / 8, [this] { ask_nats(); });
        });
    }

    // nats-server 2.9 can block itself for ever, with the process alive: a write that fails because the disk is full does it. What it
    // has stored is not touched by a kill.
    void judge_nats(bool answered)
    {
        const auto* const server = children_.find("nats-server");
        const auto now = std::chrono::steady_clock::now();
        if (answered || !server->ready())
            nats_answered_ = now;
        if (now - nats_answered_ < with_.nats_answer_deadline)
            return;
        log_->error("killed: does not answer role=nats-server deadline_ms={}", with_.nats_answer_deadline.count());
        process::signal(*server->running(), SIGKILL);
        nats_answered_ = now;
    }

    void say(const std::string& url)
    {
        log_->info("up release={} gateway={} state={}", release, url, state_.path());
        if (!is_loopback(with_.listen))
            log_->warn("the gateway is reachable from other machines, without TLS listen={}", with_.listen);
        log_->info("callbacks may go to public addresses and to callback_allow={}", fmt::join(with_.callback_allow, ";"));
        // Not through the logger, which never sees a secret.
        if (password_.fresh)
            fmt::print("made for /system/*: user {}, password {}\n", user_.value, password_.value);
        fmt::print("password of user {}: in {}\n", user_.value, state_.secret_file("basic-auth-password"));
        std::fflush(stdout);
    }

    void give_up(const std::string& failure)
    {
        failure_ = "cannot start " + failure + advice_for(failure, with_);
        stop();
    }

    void command_ended(int code)
    {
        if (stopping_)
            return stop_children();
        if (with_.run_then_stop) {
            code_ = code;
            return stop();
        }
        if (code != 0)
            log_->warn("the command of `run` failed code={}", code);
    }

    void asked_to_stop()
    {
        if (!stopping_) {
            // Not through the logger: whoever pressed Ctrl-C waits for it, whatever is logged.
            std::fprintf(stderr, "stopping: running calls have up to %s to finish; once more: at once\n",
                         config::format_duration(with_.drain_deadline).c_str());
            if (with_.run_then_stop)
                code_ = 130; // what was to be run did not finish
            return stop();
        }
        log_->warn("killing");
        children_.kill();
        if (command_)
            command_->kill();
    }

    void stop()
    {
        if (stopping_)
            return;
        stopping_ = true;
        ask_again_.cancel();
        if (nats_)
            nats_->close();
        if (command_ && command_->running())
            return command_->stop(); // command_ended() goes on
        stop_children();
    }

    void stop_children()
    {
        if (!started_)
            return finish();
        children_.stop([this] {
            log_->info("stopped");
            finish();
        });
    }

    void finish()
    {
        stop_signals_.cancel();
        child_signals_.cancel();
    }

    void reap()
    {
        reap_orphans([this](int pid) { return children_.owns(pid) || (command_ && command_->owns(pid)); });
    }

    const options& with_;
    const std::map<std::string, std::string> environment_; // ours, without our own variables: those are for `up` alone
    std::shared_ptr<logger> log_;
    state_folder state_;
    state_folder::secret user_{}, password_{};
    loop loop_;
    supervisor children_;
    std::optional<command> command_;
    signal_watch stop_signals_, child_signals_;
    timer ask_again_;
    std::string nats_url_; // of our own nats-server
    std::unique_ptr<nats::connection> nats_;
    std::chrono::steady_clock::time_point nats_answered_{};
    std::string failure_;
    int code_ = 0;
    bool started_ = false, stopping_ = false;
};

}

int run(const options& with, const std::map<std::string, std::string>& environment)
{
    machine all(with, environment);
    return all.run();
}

}
