#pragma once
#include "adapters/asio/loop.hpp"
#include "sluice/key_value.hpp"
#include "sluice/message_log.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

// One NATS connection driven by our loop, without delivery threads (nats.c behind it), and the JetStream ports on top of it. Loop thread
// only. Reconnects for ever by itself.
namespace sluice::nats {

struct connection_options {
    std::string url = "nats://127.0.0.1:4222"; // comma list for a cluster
    std::string user;
    std::string password;
    std::string credentials_file; // JWT and seed (.creds)
    std::string ca_file;          // non-empty, or tls:// in the url: TLS (the loop then waits for the rest of a record that came in part)
    std::string cert_file;
    std::string key_file;
    std::string name = "sluice";
    std::chrono::milliseconds connect_deadline{5'000};
    std::chrono::milliseconds reconnect_wait{100};
    std::chrono::milliseconds ping_interval{5'000};
};

struct stream_options {
    std::uint64_t bytes_max = 0; // 0: unbounded
    int replicas = 1;
    std::chrono::milliseconds duplicate_window{20'000};
};

class connection {
public:
    // Connects; throws std::runtime_error naming url and reason when that fails within connect_deadline.
    connection(loop& on, connection_options options);
    ~connection();

    bool connected() const noexcept;
    std::uint64_t payload_bytes_max() const noexcept;
    std::string server_version() const;
    std::uint64_t reconnects() const noexcept;
    // On the loop: once with the state of now, then at each change.
    void on_change(std::function<void(bool up)> changed);

    // A JetStream API call: JSON in, JSON out.
    void request(std::string subject, std::string payload, std::chrono::milliseconds deadline,
                 std::function<void(boost::system::result<std::string>)> done);

    // Makes the stream of one subject if it is missing (limits retention, discard new, file store, no max_age, allow_direct) and hands out
    // the port on it. An existing stream is used as it is, if its subject is the same (else errc::file_exists).
    void open_log(std::string stream, std::string subject, stream_options options,
                  std::function<void(boost::system::result<std::unique_ptr<message_log>>)> done);
    void open_bucket(std::string bucket, stream_options options,
                     std::function<void(boost::system::result<std::unique_ptr<key_value>>)> done);

    // Closes in order; nothing calls back afterwards and the loop runs dry. What was published is sent as far as the socket takes it.
    void close();

private:
    struct state;
    std::shared_ptr<state> state_;
};

}
