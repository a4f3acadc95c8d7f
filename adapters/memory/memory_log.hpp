#pragma once
#include "adapters/asio/loop.hpp"
#include "sluice/key_value.hpp"
#include "sluice/message_log.hpp"

// The ports in memory, for tests: same conformance suites as adapters/nats. Loop thread only.
namespace sluice::memory {

// Outlives the ports handed out, as a server does.
class store {
public:
    explicit store(loop& on);
    ~store();
    std::unique_ptr<message_log> open_log(const std::string& stream, std::uint64_t bytes_max = 0);
    std::unique_ptr<key_value> open_bucket(const std::string& bucket);
    // While down, appends answer unavailable and readers see nothing.
    void set_down(bool down);

private:
    struct state;
    std::shared_ptr<state> state_;
};

}
