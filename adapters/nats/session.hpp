#pragma once
#include "adapters/nats/endpoint.hpp"
#include "adapters/nats/link.hpp"
#include "sluice/http.hpp"

#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <span>
#include <string>
#include <vector>

// What a connection and the ports on it share: the link of the moment, the endpoints that receive over it, one coarse timer for all
// deadlines. Loop thread only. Internal to adapters/nats.
namespace sluice::nats {

template <class T> class request_inbox;

enum class send_result { sent, not_connected, too_large };

class session : public std::enable_shared_from_this<session> {
public:
    session(loop& on, connection_options options);
    ~session();

    void open(); // the first link; blocks, throws std::runtime_error
    void close();
    bool closed() const noexcept { return closed_; }
    bool up() const noexcept { return link_ != nullptr; }
    std::uint64_t payload_bytes_max() const noexcept { return payload_bytes_max_; }
    std::string server_version() const;
    std::uint64_t reconnects() const noexcept { return reconnects_; }
    void on_change(std::function<void(bool)> changed);

    void add(std::shared_ptr<endpoint> what);
    void remove(endpoint& what);

    // Fields are written as they are: names and values are not empty and have no line ends (see valid_fields()).
    send_result send(const char* subject, const char* reply, std::span<const header> fields, std::string_view payload);
    // JetStream API calls: JSON in, JSON out.
    request_inbox<std::string>& api() noexcept { return *api_; }

    void post(std::function<void()> work); // not run after close()
    void tick_by(endpoint::time_point when);
    static std::string fresh_inbox();

private:
    void adopt(std::unique_ptr<link> made);
    void lost();
    void subscribe(endpoint& what);
    void tell(bool up);
    template <class Action> void for_each(Action action);
    void drain();
    void drain(endpoint& from);
    void bury(message_handle message);
    void tick();
    void forget_removed();

    boost::asio::io_context& io_;
    connection_options options_;
    std::unique_ptr<link> link_;
    std::shared_ptr<connector> connector_;
    std::vector<std::shared_ptr<endpoint>> endpoints_;
    std::shared_ptr<request_inbox<std::string>> api_;
    std::vector<std::function<void(bool)>> changed_;
    std::vector<std::string> discovered_;
    boost::asio::steady_timer timer_;
    endpoint::time_point next_tick_ = endpoint::never;
    std::vector<message_handle> dead_; // the library frees messages on a thread of its own and wakes it for each: so many at once
    std::size_t dead_bytes_ = 0;
    std::uint64_t payload_bytes_max_ = 0;
    std::uint64_t reconnects_ = 0;
    int iterating_ = 0;
    bool closed_ = false;
};

// Fields that survive nats.c's header parser as they are.
bool valid_fields(std::span<const header> fields);

}
