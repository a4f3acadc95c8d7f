#pragma once
#include "adapters/http/server.hpp"
#include "core/accept.hpp"
#include "gateway/meters.hpp"
#include "gateway/routes.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace sluice::gateway {

http_response text_answer(unsigned status, std::string_view text);
http_response json_answer(unsigned status, std::string json);
http_response empty_answer(unsigned status);
http_response answer_of(const core::refusal& why);
// 503 with Retry-After.
http_response unavailable(std::string_view text, std::uint32_t retry_after_s);

// What every answer to a function's call carries (OpenFaaS).
extern const std::string served_by;

// One request on its way through the gateway: answered once, and counted then. Cheap to copy. Loop thread only.
class call {
public:
    call(http::exchange_ptr exchange, const routed& to, http_meters& counted, mono_time started)
        : exchange_(std::move(exchange)), name_(to.name), route_(to.to), counted_(&counted), started_(started)
    {}

    const http_request& request() const noexcept { return exchange_->request(); }
    std::string_view name() const noexcept { return name_; } // of the route, valid as long as the request
    mono_time started() const noexcept { return started_; }
    std::string take_body() { return exchange_->take_body(); }
    bool abandoned() const noexcept { return exchange_->abandoned(); }
    void on_abandoned(std::function<void()> gone) const { exchange_->on_abandoned(std::move(gone)); }
    void reply(http_response response) const;

private:
    http::exchange_ptr exchange_;
    std::string_view name_;
    const route* route_;
    http_meters* counted_;
    mono_time started_;
};

}
