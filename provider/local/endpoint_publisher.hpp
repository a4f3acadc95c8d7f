#pragma once
#include "adapters/asio/loop.hpp"
#include "adapters/log/log.hpp"
#include "sluice/key_value.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace sluice::provider {

// Brings the endpoints bucket to what was last said, key by key: one write of a key at a time, the newest value wins, and what the
// store refuses is tried again until it takes it. Loop thread only.
class endpoint_publisher {
public:
    endpoint_publisher(loop& on, key_value& bucket, logger& events);
    ~endpoint_publisher();

    // What the bucket holds already, as found at start.
    void found(const std::string& key, std::string value);
    void set(const std::string& key, std::string value);
    void erase(const std::string& key);
    std::vector<std::string> keys() const; // that the bucket holds, as far as we know
    bool idle() const noexcept;
    void close();

private:
    struct slot {
        std::optional<std::string> stored, wanted; // nothing: no such key
        bool stored_known = false;
        bool writing = false;
        bool resting = false; // after a refusal
    };
    void write(const std::string& key);
    void written(const std::string& key, std::optional<std::string> value, boost::system::error_code error);
    void retry();

    key_value& bucket_;
    logger& events_;
    std::map<std::string, slot> slots_;
    timer retry_timer_;
    bool closed_ = false;
    std::shared_ptr<bool> here_ = std::make_shared<bool>(true);
};

}
