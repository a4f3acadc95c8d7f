#pragma once
#include "adapters/nats/connection.hpp"
#include "core/config.hpp"

#include <boost/system/result.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

// What the roles keep things in, opened in one place: whoever comes first makes it, so everybody must make the same. Names are those of
// sluice/wire.hpp. Loop thread only.
namespace sluice::nats {

struct stores {
    std::unique_ptr<key_value> functions, endpoints, namespaces, leases, cluster;
    std::vector<std::unique_ptr<message_log>> logs, journals; // one a partition
    std::vector<std::string> streams;                         // the names of all of them
};

struct stores_wanted {
    std::vector<std::string_view> buckets;
    bool logs = false, journals = false; // with these the cluster's bucket is opened too, and the number of partitions agreed on
    std::uint32_t replicas = 1;          // of what is made
    std::uint32_t partitions = 4;        // counts only for the first process of a new cluster
    std::uint64_t log_bytes_max = 0;     // of each partition's log, when it is made; 0: unbounded
    std::uint64_t journal_bytes_max = 0; // the same of its journal
};

// The key `replicas`, the same for every role.
void add_replicas_to(sluice::config::table& table, std::uint32_t& into);

// Opens what is wanted and makes what is missing. Answers once: the stores (null where not wanted), or what could not be opened and why.
// The connection outlives the answer, or is closed before: then there is none.
void open_stores(connection& on, stores_wanted wanted, std::function<void(boost::system::result<stores, std::string>)> done);

}
