#pragma once
#include "sluice/message_log.hpp"

// Port: one bucket of keys with revisions (JetStream KV). Implementations: adapters/nats, adapters/memory. Loop thread only.
// Values at most some 100 KiB. Errors are log_errc; a create or update that lost the race answers wrong_sequence.
namespace sluice {

struct kv_entry {
    std::string key;
    std::string value;
    std::uint64_t revision = 0;
    bool erased = false; // the key was removed; value is empty
};

class key_value {
public:
    template <class T> using result = boost::system::result<T>;

    class watcher {
    public:
        virtual ~watcher() = default;
    };

    virtual ~key_value() = default;
    virtual void get(std::string key, std::function<void(result<kv_entry>)> done) = 0;
    virtual void put(std::string key, std::string value, std::function<void(result<std::uint64_t>)> done) = 0;
    // Only if the key does not exist (or was erased).
    virtual void create(std::string key, std::string value, std::function<void(result<std::uint64_t>)> done) = 0;
    // Only if the key's last revision is this one.
    virtual void update(std::string key, std::string value, std::uint64_t revision, std::function<void(result<std::uint64_t>)> done) = 0;
    virtual void erase(std::string key, std::function<void(result<void>)> done) = 0;
    // First the last entry of each key, then on_current once, then the changes in order; of a key that changes in quick succession the
    // newest at least (a bucket keeps one entry a key). After a reconnect the missed changes come likewise, and perhaps known ones again;
    // on_current is not repeated. Destroying the watcher ends it.
    virtual std::unique_ptr<watcher> watch(std::function<void(kv_entry)> on_entry, std::function<void()> on_current) = 0;
};

}
