#pragma once
#include "adapters/asio/loop.hpp"
#include "adapters/log/log.hpp"
#include "adapters/nats/connection.hpp"

#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace sluice::nats {

// Whether what a role keeps things in is there: the connection, and each of its streams, which somebody may delete while it is used. Asks
// about one stream at each interval, in turn. What was deleted is not made again by itself: an empty bucket would say that everything in it was
// removed. Loop thread only; the connection and the logger outlive it.
class store_health {
public:
    store_health(loop& on, connection& store, std::vector<std::string> streams, logger& log,
                 std::chrono::milliseconds interval = std::chrono::seconds(1));

    // For status pages; empty: all is there, as far as is known.
    std::string illness() const;

private:
    void ask_next();
    void heard(const std::string& stream, bool missing);

    connection& store_;
    std::vector<std::string> streams_;
    logger& log_;
    std::chrono::milliseconds interval_;
    timer next_;
    std::size_t asked_ = 0;
    std::set<std::string> missing_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}
