#include "tests/support/backend.hpp"

#include "adapters/memory/memory_log.hpp"
#include "adapters/nats/connection.hpp"
#include "tests/support/loop_until.hpp"
#include "tests/support/nats_server.hpp"

#include <stdexcept>

namespace sluice::test {

namespace {

class in_memory final : public backend {
public:
    std::unique_ptr<message_log> open_log(const std::string& name, std::uint64_t bytes_max) override
    {
        return store_.open_log(name, bytes_max);
    }
    std::unique_ptr<key_value> open_bucket(const std::string& name) override { return store_.open_bucket(name); }
    std::size_t payload_bytes_max() const override { return 8 * 1024 * 1024; }

private:
    memory::store store_{on};
};

template <class Port> std::unique_ptr<Port> take(std::optional<boost::system::result<std::unique_ptr<Port>>> answer)
{
    if (!answer)
        throw std::runtime_error("no answer in time");
    if (!*answer)
        throw std::runtime_error(answer->error().message());
    return std::move(**answer);
}

class on_nats final : public backend {
public:
    explicit on_nats(nats::connection_options options) : connection_(on, std::move(options)) {}

    std::unique_ptr<message_log> open_log(const std::string& name, std::uint64_t bytes_max) override
    {
        nats::stream_options options;
        options.bytes_max = bytes_max;
        return take(wait_for<boost::system::result<std::unique_ptr<message_log>>>(
            on, [&](auto done) { connection_.open_log(name, "test." + name, options, done); }));
    }
    std::unique_ptr<key_value> open_bucket(const std::string& name) override
    {
        return take(
            wait_for<boost::system::result<std::unique_ptr<key_value>>>(on, [&](auto done) { connection_.open_bucket(name, {}, done); }));
    }
    std::size_t payload_bytes_max() const override { return connection_.payload_bytes_max(); }

private:
    nats::connection connection_;
};

}

std::unique_ptr<backend> memory_backend() { return std::make_unique<in_memory>(); }

std::unique_ptr<backend> nats_backend()
{
    static nats_server server;
    nats::connection_options options;
    options.url = server.url();
    return std::make_unique<on_nats>(std::move(options));
}

}
