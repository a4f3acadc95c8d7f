#pragma once
#include "adapters/asio/loop.hpp"
#include "sluice/key_value.hpp"
#include "sluice/message_log.hpp"

#include <functional>
#include <memory>
#include <string>

// The two implementations of the log and key-value ports behind one face, so that one suite runs on both: in memory, and on a real
// nats-server (one for all tests of the process; names must differ between tests).
namespace sluice::test {

class backend {
public:
    virtual ~backend() = default;
    virtual std::unique_ptr<message_log> open_log(const std::string& name, std::uint64_t bytes_max = 0) = 0;
    virtual std::unique_ptr<key_value> open_bucket(const std::string& name) = 0;
    virtual std::size_t payload_bytes_max() const = 0;

    loop on;
};

std::unique_ptr<backend> memory_backend();
std::unique_ptr<backend> nats_backend();

struct backend_factory {
    std::string name;
    std::function<std::unique_ptr<backend>()> make;
};

}
