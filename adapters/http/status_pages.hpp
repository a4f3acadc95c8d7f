#pragma once
#include "adapters/http/server.hpp"
#include "adapters/http/text_service.hpp"

#include <functional>
#include <optional>
#include <string>

namespace sluice::http {

// A role's own listener: /metrics (Prometheus's text format), and /healthz, which is 503 with the reason while the role is ill. Loop thread
// only.
class status_pages {
public:
    // `illness` answers why the role is ill; empty: it is well.
    status_pages(loop& on, std::function<std::string()> metrics, std::function<std::string()> illness);

    // At the value of the key metrics_listen, "host:port"; empty: nowhere. Throws config::error, or std::system_error naming the address.
    void listen(const std::string& at);
    const std::string& host() const noexcept { return host_; }
    std::uint16_t port() const noexcept { return server_ ? server_->port() : std::uint16_t(0); } // 0: nowhere
    void close();

private:
    http_response page(const http_request& asked) const;

    loop& loop_;
    std::function<std::string()> metrics_, illness_;
    text_service pages_;
    std::string host_;
    std::optional<server> server_;
};

}
