#pragma once
#include "adapters/nats/handles.hpp"

#include <chrono>
#include <string>

// Something that receives on a subject: one subscription, made again on each new link. Owned by whoever uses it and by the session until
// removed from it. Loop thread only. Internal to adapters/nats.
namespace sluice::nats {

class endpoint {
public:
    using time_point = std::chrono::steady_clock::time_point;
    static constexpr time_point never = time_point::max();

    explicit endpoint(std::string subject) : subject_(std::move(subject)) {}
    virtual ~endpoint() = default;
    endpoint(const endpoint&) = delete;
    endpoint& operator=(const endpoint&) = delete;

    virtual void link_up() {}
    virtual void link_down() {}
    virtual void take(natsMsg& message) = 0;
    // Something that was sent with a reply subject of ours had nobody to receive it; the library does not say which.
    virtual void no_responders() {}
    // Deals with what is due, and says when it wants to be asked again.
    virtual time_point tick(time_point) { return never; }

    const std::string& subject() const noexcept { return subject_; }

private:
    friend class session;
    std::string subject_;
    subscription_handle subscription_;
    bool removed_ = false;
};

}
