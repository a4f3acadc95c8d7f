#pragma once
#include "adapters/memory/memory_log.hpp"

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

// What the store keeps, and who reads it. Loop thread only. Internal to adapters/memory.
namespace sluice::memory {

struct stream;

// One reader's position. Messages are handed over in turns of the loop, some at a time.
struct reading : std::enable_shared_from_this<reading> {
    std::shared_ptr<stream> from;
    std::uint64_t next = 1;
    std::function<void(log_message)> on_message;
    bool paused = false, closed = false, scheduled = false;

    void schedule();
    void deliver();
};

struct stream {
    loop* on = nullptr;
    const bool* down = nullptr;
    std::uint64_t bytes_max = 0;
    std::uint64_t bytes = 0;
    std::uint64_t last_sequence = 0;
    std::deque<log_message> messages;
    std::unordered_map<std::string, std::uint64_t> sequences_by_id;
    std::deque<std::pair<std::chrono::steady_clock::time_point, std::string>> ids; // oldest first
    std::vector<std::weak_ptr<reading>> readers;

    message_log::result<stored_at> append(const append_request& request);
    message_log::result<log_message> get(std::uint64_t sequence) const;
    log_info info() const;
    void purge_below(std::uint64_t sequence);
    void wake_readers();

private:
    void forget_old_ids();
};

struct watching : std::enable_shared_from_this<watching> {
    loop* on = nullptr;
    std::deque<kv_entry> queue;
    std::size_t until_current = 0; // entries of the queue that come before on_current
    bool told_current = false;
    std::function<void(kv_entry)> on_entry;
    std::function<void()> on_current;
    bool closed = false, scheduled = false;

    void schedule();
    void deliver();
};

struct bucket {
    loop* on = nullptr;
    const bool* down = nullptr;
    std::uint64_t last_revision = 0;
    std::map<std::string, kv_entry> entries;
    std::vector<std::weak_ptr<watching>> watchers;

    // `expected`: the revision that the key must have, 0: none.
    key_value::result<std::uint64_t> store(kv_entry entry, std::optional<std::uint64_t> expected);
};

std::unique_ptr<message_log> make_log(std::shared_ptr<stream> on);
std::unique_ptr<key_value> make_bucket(std::shared_ptr<bucket> on);

}
