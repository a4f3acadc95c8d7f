#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

// Ends what natsConnection_Connect() waits for without end. nats.c 3.4.1 has a deadline for the connection and for the greeting (INFO), but
// none for TLS' handshake and for the answer to CONNECT: a server that hangs between the two holds the caller for ever (in conn.c,
// _readProto() goes on after NATS_TIMEOUT). The library gives its socket to nobody before it has connected, so it is found among this
// process's descriptors: opened since by this process, and connected to a port of the servers. Those that a server
// names beside itself (connect_urls) must not be tried in the same call, as they are not known here. Internal to adapters/nats.
namespace sluice::nats {

class connect_guard {
public:
    // From now until its destruction, on a thread of its own: a connection to the port of one of these servers ("nats://host:port" or "host:port")
    // that this process opened after this, and that has been open for the deadline (at most one and a half), is shut down. Another
    // one to the same port that was made meanwhile is lost too, which its owner takes like any lost connection.
    connect_guard(const std::vector<std::string>& servers, std::chrono::milliseconds deadline);
    ~connect_guard();
    connect_guard(const connect_guard&) = delete;
    connect_guard& operator=(const connect_guard&) = delete;

private:
    void run(std::chrono::milliseconds step);
    void sweep();

    std::set<std::uint16_t> ports_;
    std::set<std::uint64_t> before_;           // sockets that were there, by inode
    std::map<std::uint64_t, unsigned> sweeps_; // sockets found since: how many times
    std::mutex mutex_;
    std::condition_variable changed_;
    bool done_ = false;
    std::thread thread_;
};

}
