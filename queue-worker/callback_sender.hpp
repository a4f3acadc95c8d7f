#pragma once
#include "adapters/curl/client.hpp"
#include "adapters/http/client.hpp"
#include "core/journal_records.hpp"
#include "core/url_guard.hpp"

namespace sluice::queue_worker {

// Delivers callbacks: to a numeric http address with our own client, to everything else with libcurl. Either way the guard decides about
// the very address that is connected to. Loop thread only.
class callback_sender {
public:
    struct bounds {
        milliseconds deadline{30'000};
        std::string ca_file;
    };
    // Throws std::invalid_argument naming the entry of the allowlist that is none.
    callback_sender(loop& on, const std::vector<std::string>& allowlist, bounds with);

    // `may_send` is asked just before the request is sent; no: overloaded.
    void send(std::shared_ptr<const core::journal::answered> what, std::function<bool()> may_send, std::function<void(outcome)> done);
    void close();

private:
    void send_plain(const url_guard::target& to, std::shared_ptr<const core::journal::answered> what, std::function<bool()> may_send,
                    std::function<void(outcome)> done);
    void refuse(std::string reason, std::function<void(outcome)> done);

    loop& loop_;
    url_guard guard_;
    bounds bounds_;
    http::client plain_;
    curl::client curl_;
};

}
