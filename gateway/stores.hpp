#pragma once
#include "adapters/nats/connection.hpp"
#include "gateway/gateway.hpp"
#include "sluice/key_value.hpp"
#include "sluice/message_log.hpp"

#include <boost/system/result.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace sluice::gateway {

// What the gateway keeps things in: the buckets of what is deployed, and one log a partition.
struct stores {
    std::unique_ptr<key_value> functions, endpoints, namespaces, cluster;
    std::vector<std::unique_ptr<message_log>> logs;
};

// Opens them on a NATS server, makes what is missing, and agrees on the number of partitions. Answers once: the stores, or what could not
// be opened and why. Loop thread only; the connection outlives the answer.
void open_stores(nats::connection& on, const options& with, std::function<void(boost::system::result<stores, std::string>)> done);

}
