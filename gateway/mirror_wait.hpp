#pragma once
#include "adapters/asio/loop.hpp"
#include "sluice/time.hpp"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace sluice::gateway {

// Lets a change that went to a bucket be answered only once our own mirror of the bucket has heard of it, so that who deployed a function
// can call it at once. Another change of the same key may be heard first: then the answer comes early, no worse than without. A mirror
// that lags beyond the deadline does not hold the answer up. Loop thread only.
class mirror_wait {
public:
    mirror_wait(loop& on, milliseconds deadline) : loop_(on), deadline_(deadline) {}

    struct ticket;
    using ticket_ptr = std::shared_ptr<ticket>;
    // Before the change is sent. A ticket that is dropped is forgotten.
    ticket_ptr expect(const std::string& key);
    // Calls back when the mirror has heard of the key since expect(), which may be inside this call; or at the deadline.
    void when_heard(const ticket_ptr& of, std::function<void()> then);
    void heard(const std::string& key);
    // Calls back whoever waits, so that the loop can run dry.
    void close();

private:
    loop& loop_;
    milliseconds deadline_;
    std::map<std::string, std::vector<std::weak_ptr<ticket>>> waiting_;
};

}
