#pragma once
#include "adapters/http/server.hpp"

#include <functional>
#include <string>

namespace sluice::queue_worker {

// GET /metrics and /healthz for operators: 200 while the role does its job, else 503 with the reason. Loop thread only.
class status_service final : public http::service {
public:
    using text = std::function<std::string()>;
    // `ill` answers the empty string while all is well.
    status_service(text metrics, text ill) : metrics_(std::move(metrics)), ill_(std::move(ill)) {}

    body_bound bound_of(const http_request&) override { return {0, "no body is taken here"}; }
    void handle(http::exchange_ptr call) override;

private:
    text metrics_;
    text ill_;
};

}
