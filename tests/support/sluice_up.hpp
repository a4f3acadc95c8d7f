#pragma once
#include "adapters/http/client.hpp"
#include "adapters/process/process.hpp"
#include "tests/support/temp_folder.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

// The real `sluice up` for a test: on a state folder and a gateway port of its own, driven through its files and over HTTP. All functions
// run the loop until what they say is true; a deadline missed throws std::runtime_error with the ends of the logs.
namespace sluice::test {

class sluice_up {
public:
    // Started at once, and ready when this returns. The binary is the one of this build.
    // `state`: a folder of the test's choice; empty: one that goes with this object.
    explicit sluice_up(loop& on, std::vector<std::string> flags = {}, std::string state = {});
    ~sluice_up(); // stops it in order, or kills it
    sluice_up(const sluice_up&) = delete;
    sluice_up& operator=(const sluice_up&) = delete;

    void start();     // again, on the same state
    int stop();       // SIGTERM, and its exit code
    void terminate(); // SIGTERM, without waiting
    int wait_end();   // its exit code, once it has ended
    void kill();      // SIGKILL to `up` alone; returns when it has gone
    // Runs `up` once more on the same state, expecting that it ends by itself; its exit code.
    int run_to_end(const std::vector<std::string>& flags);

    const std::string& state() const noexcept { return state_; }
    std::uint16_t port() const; // the gateway's, as it says itself now
    process::identity role(const std::string& name) const;
    // Another process of the role beside the one that runs, with the same flags but for those given ("--name=value", which take the place of the same
    // flag); it ends with the test. What it says goes to NAME.log in the state folder's logs.
    process::identity start_beside(const std::string& role, const std::string& name, const std::vector<std::string>& flags);
    bool role_runs_anew(const std::string& name, process::identity before) const;
    std::string said() const; // what `up` itself printed so far
    // Everything that runs below `up`, itself included; empty when it does not run.
    std::vector<int> processes() const;

    struct call_options {
        std::string method = "POST";
        headers fields;
        std::string body;
        bool authorized = false;
    };
    outcome call(const std::string& target, call_options with);
    // Without waiting; the answers come through `done`.
    void send(const std::string& target, call_options with, std::function<void(outcome)> done);
    // POST /system/functions, and a ready replica.
    void deploy(const std::string& deployment_json, const std::string& name);
    std::string logs() const; // the ends of all log files

private:
    std::vector<std::string> command(const std::vector<std::string>& flags) const;
    process::identity launch(std::vector<std::string> argv, const std::string& output);
    template <class Condition> void wait(Condition holds, const std::string& what);

    loop& loop_;
    temp_folder folder_;
    std::string state_;
    std::vector<std::string> flags_;
    std::uint16_t port_ = 0; // the gateway's, which it keeps when it is started again
    std::optional<process::identity> running_;
    std::unique_ptr<process::watch> watch_;
    std::optional<process::exit_status> ended_;
    std::unique_ptr<http::client> client_;
};

}
