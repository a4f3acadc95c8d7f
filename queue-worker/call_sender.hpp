#pragma once
#include "adapters/http/client.hpp"
#include "core/actions.hpp"

namespace sluice::queue_worker {

// Sends a call to a replica, as it was accepted: method, target, field lines and body unchanged, plus the replica's token. Loop thread only.
class call_sender {
public:
    struct bounds {
        milliseconds deadline{60'000};
        std::uint64_t answer_bytes_max = 1024 * 1024;
    };
    call_sender(loop& on, bounds with);

    // `may_send` is asked just before the first byte is sent; no: overloaded.
    void send(const core::act::dispatch& what, std::function<bool()> may_send, std::function<void(outcome)> done);
    void close() { client_.close(); }

private:
    http::client client_;
    bounds bounds_;
};

}
