#pragma once
#include "adapters/http/server.hpp"

#include <functional>
#include <utility>

namespace sluice::http {

// A service that answers at once, without bodies: /metrics, /healthz. Loop thread only.
class text_service final : public service {
public:
    explicit text_service(std::function<http_response(const http_request&)> answer) : answer_(std::move(answer)) {}

    body_bound bound_of(const http_request&) override { return {0, "none: this address takes no bodies"}; }
    void handle(exchange_ptr call) override { call->reply(answer_(call->request())); }

private:
    std::function<http_response(const http_request&)> answer_;
};

}
