#pragma once
#include <cstdint>
#include <memory>
#include <string>

// A real nats-server with JetStream on loopback, for tests: its store is a temporary folder, its port is reserved for as long as
// this object
// lives, so that a server that was killed comes back on the same port with the same store. The process ends with the test, whatever
// happens to it. Every function blocks until what it says is true; failures throw std::runtime_error with the end of the server's log.
namespace sluice::test {

struct nats_server_options {
    std::string binary = "nats-server"; // a path, or found on PATH
    std::string user;                   // empty: no authentication
    std::string password;
    std::string certificate_file; // non-empty: TLS only
    std::string key_file;
    bool jetstream = true;
    std::uint64_t payload_bytes_max = 8 * 1024 * 1024;
    std::string more; // further lines of its configuration file
};

class nats_server {
public:
    explicit nats_server(nats_server_options with = {}); // starts it and waits until it is ready
    ~nats_server();                                      // kills it, removes its folder
    nats_server(const nats_server&) = delete;
    nats_server& operator=(const nats_server&) = delete;

    std::string url() const; // nats://127.0.0.1:PORT, tls:// with a certificate
    std::uint16_t port() const;
    std::string folder() const; // a scratch folder that ends with the server; its store is in store/
    std::string log_text() const;
    int pid() const; // 0 while it is down

    void kill();      // SIGKILL; returns when the process is gone
    void terminate(); // SIGTERM
    void start();     // again after kill() or terminate(), with the same port and store
    void restart();   // kill() and start()
    void freeze();    // SIGSTOP: connections stay, nothing answers
    void thaw();

private:
    struct state;
    std::unique_ptr<state> state_;
};

}
