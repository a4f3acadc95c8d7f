#pragma once
#include <chrono>
#include <string>
#include <vector>

// A server's address, and what a NATS server says of itself before anything else (INFO), which nats.c 3.4.1 keeps to itself. Internal
// to adapters/nats.
namespace sluice::nats {

struct server_address {
    std::string host, port; // as written; 4222 where there is no port
};

// Of "nats://user:password@host:port" or "host:port".
server_address address_of(std::string url);

struct server_greeting {
    std::string version;                 // empty: could not be had
    std::vector<std::string> neighbours; // servers of its cluster (connect_urls), "host:port", the first few
};

// What the server at this URL ("nats://host:port") announces, over a connection of its own; empty when it cannot be had. Blocks, at most for the
// deadline and a name's resolution.
server_greeting greeting_of(const std::string& url, std::chrono::milliseconds deadline);

}
