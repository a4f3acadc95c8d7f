#pragma once
#include "adapters/http/client.hpp"
#include "core/directory.hpp"
#include "gateway/balancer.hpp"
#include "gateway/call.hpp"
#include "gateway/random.hpp"

#include <cstdint>

namespace sluice::gateway {

// /function/NAME[.NS][/rest][?query]: a plain proxy to a ready replica. Method, path, query, fields and body arrive as sent; redirects are
// the caller's. Where a replica refuses the connection, nothing was executed and another one is tried. Bodies are buffered whole, both
// ways, within bounds. A client that leaves takes its call with it: the request to the replica is cancelled. Loop thread only; everything
// given to the constructor outlives it.
class function_proxy {
public:
    struct bounds {
        milliseconds upstream_timeout{60'000};
        std::uint64_t answer_bytes_max = 32 * 1024 * 1024;
        std::uint32_t calls_max = 4096;
    };
    function_proxy(const core::directory& known, http::client& replicas, function_meters& counted, bounds with)
        : known_(known), replicas_(replicas), counted_(counted), bounds_(with)
    {}
    // What would be answered whatever the body says.
    std::optional<http_response> refusal_of(const http_request& head) const;
    void handle(call from);
    std::size_t under_way() const noexcept { return under_way_; }

private:
    struct attempt;
    using attempt_ptr = std::shared_ptr<attempt>;
    void send(const attempt_ptr& what);
    void answered(const attempt_ptr& what, const std::string& replica, outcome result);
    void abandoned(const attempt_ptr& what);
    void finish(const attempt_ptr& what, http_response response);

    const core::directory& known_;
    http::client& replicas_;
    function_meters& counted_;
    bounds bounds_;
    balancer balancer_;
    random_source random_;
    std::size_t under_way_ = 0;
};

}
