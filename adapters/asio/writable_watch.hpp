#pragma once
#include "adapters/asio/loop.hpp"

#include <functional>
#include <memory>

namespace sluice {

// Calls back each time a descriptor is writable or its other end has gone (a pipe, a socket that connects), until destroyed. Does not own
// the descriptor; holds a copy of it, so the peer sees its end only once this is destroyed too. Loop thread only.
class writable_watch {
public:
    writable_watch(loop& on, int fd, std::function<void()> on_writable);
    ~writable_watch();

private:
    struct state;
    std::shared_ptr<state> state_;
};

}
