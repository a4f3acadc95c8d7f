#pragma once
#include <optional>
#include <string>

// The folder in which one `sluice up` keeps everything: secrets/ (generated once), nats/ (the store), run/ (identities of what runs, ready
// files, the lock), provider/ and log/. 0700, and locked: a second `up` on it is refused as long as the first lives (flock, so a killed
// one leaves no stale lock).
namespace sluice::up {

class state_folder {
public:
    // Makes what is missing. Throws config::error naming the field when it is in use, is not ours, or cannot be made.
    explicit state_folder(const std::string& path);
    ~state_folder();
    state_folder(const state_folder&) = delete;
    state_folder& operator=(const state_folder&) = delete;

    const std::string& path() const noexcept { return path_; } // absolute
    std::string secret_file(const std::string& name) const { return path_ + "/secrets/" + name; }
    std::string nats_folder() const { return path_ + "/nats"; }
    std::string provider_folder() const { return path_ + "/provider"; }
    std::string run_folder() const { return path_ + "/run"; }
    std::string identity_file(const std::string& process) const { return run_folder() + '/' + process + ".pid"; }
    std::string ready_file(const std::string& process) const { return run_folder() + '/' + process + ".ready"; }
    std::string log_file(const std::string& process) const { return path_ + "/log/" + process + ".log"; }

    struct secret {
        std::string value;
        bool fresh; // made by this call
    };
    // Reads the secret, or makes it: `first` if given, else 32 random bytes in hex.
    secret keep_secret(const std::string& name, const std::string& first = {}) const;

private:
    std::string path_;
    int lock_ = -1;
};

}
