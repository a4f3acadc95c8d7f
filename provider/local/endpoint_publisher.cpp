#include "provider/local/endpoint_publisher.hpp"

namespace sluice::provider {

namespace {

constexpr std::chrono::milliseconds retry_wait{500};

}

endpoint_publisher::endpoint_publisher(loop& on, key_value& bucket, logger& events) : bucket_(bucket), events_(events), retry_timer_(on) {}

endpoint_publisher::~endpoint_publisher() { *here_ = false; }

void endpoint_publisher::found(const std::string& key, std::string value)
{
    auto& state = slots_[key];
    state.stored = state.wanted = std::move(value);
    state.stored_known = true;
}

void endpoint_publisher::set(const std::string& key, std::string value)
{
    slots_[key].wanted = std::move(value);
    write(key);
}

void endpoint_publisher::erase(const std::string& key)
{
    slots_[key].wanted.reset();
    write(key);
}

std::vector<std::string> endpoint_publisher::keys() const
{
    std::vector<std::string> keys;
    for (const auto& [key, state] : slots_)
        if (state.wanted)
            keys.push_back(key);
    return keys;
}

bool endpoint_publisher::idle() const noexcept
{
    for (const auto& [key, state] : slots_)
        if (state.writing || state.resting)
            return false;
    return true;
}

void endpoint_publisher::close()
{
    closed_ = true;
    retry_timer_.cancel();
}

void endpoint_publisher::write(const std::string& key)
{
    auto& state = slots_[key];
    if (closed_ || state.writing || state.resting)
        return;
    if (state.stored_known && state.stored == state.wanted) {
        if (!state.stored)
            slots_.erase(key);
        return;
    }
    state.writing = true;
    if (state.wanted)
        bucket_.put(key, *state.wanted, [this, key, value = state.wanted, here = here_](key_value::result<std::uint64_t> result) {
            if (*here)
                written(key, value, result ? boost::system::error_code() : result.error());
        });
    else
        bucket_.erase(key, [this, key, here = here_](key_value::result<void> result) {
            if (*here)
                written(key, std::nullopt, result ? boost::system::error_code() : result.error());
        });
}

void endpoint_publisher::written(const std::string& key, std::optional<std::string> value, boost::system::error_code error)
{
    auto& state = slots_[key];
    state.writing = false;
    if (!error) {
        state.stored = std::move(value);
        state.stored_known = true;
        return write(key);
    }
    // Stored or not, nobody knows: whatever is wanted then is written again.
    state.stored_known = false;
    state.resting = true;
    events_.warn("endpoints not published key={} error=\"{}\"", key, error.message());
    if (!closed_ && !retry_timer_.armed())
        retry_timer_.after(retry_wait, [this] { retry(); });
}

void endpoint_publisher::retry()
{
    std::vector<std::string> rested;
    for (auto& [key, state] : slots_)
        if (std::exchange(state.resting, false))
            rested.push_back(key);
    for (const auto& key : rested)
        write(key);
}

}
