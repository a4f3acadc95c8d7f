#pragma once
#include "adapters/http/client.hpp"
#include "adapters/http/server.hpp"
#include "adapters/log/log.hpp"
#include "adapters/nats/stores.hpp"
#include "core/directory.hpp"
#include "core/url_guard.hpp"
#include "gateway/async_handler.hpp"
#include "gateway/basic_auth.hpp"
#include "gateway/function_proxy.hpp"
#include "gateway/functions_api.hpp"
#include "gateway/gateway.hpp"
#include "gateway/namespaces_api.hpp"

#include <functional>

namespace sluice::gateway {

// Everything between the HTTP server and the stores: routes requests to their handlers, checks who may, and answers what needs no handler.
// Loop thread only.
class application final : public http::service {
public:
    // Throws config::error for an authentication file, std::invalid_argument for an entry of the callback allowlist.
    application(loop& on, nats::stores opened, const options& with, std::function<std::string()> store_illness, logger& log);

    body_bound bound_of(const http_request& head) override;
    std::optional<http_response> early_answer(const http_request& head) override;
    void handle(http::exchange_ptr exchange) override;

    // The server's max_payload, at each connect: lowers the body's bound, with a warning.
    void set_message_bytes_max(std::uint64_t bytes);
    void count_reconnects(std::uint64_t total);
    // Connected, the mirror current, and the store answers: calls are accepted and known functions found.
    bool ready() const { return not_ready_because().empty(); }
    std::string not_ready_because() const; // empty: it is ready
    // Called once, when it has heard what is deployed and how full the logs are.
    void on_ready(std::function<void()> ready);
    bool idle() const noexcept { return intake_.under_way() == 0 && proxy_.under_way() == 0; }
    // What is held of answers of synchronous calls: while they are read, and until their clients have taken them.
    const std::shared_ptr<http::byte_budget>& answers() const noexcept { return answers_; }
    // Lets go of everything: calls under way end unanswered.
    void close();

private:
    std::optional<http_response> refusal_of(const http_request& head, const routed& to) const;
    void dispatch(const call& from, const routed& to);
    void dispatch_functions(const call& from);
    void dispatch_namespace(const call& from);
    void watch_functions();

    options options_;
    logger& log_;
    std::function<std::string()> store_illness_;
    metrics::registry registry_;
    http_meters http_meters_;
    function_meters function_meters_;
    metrics::counter reconnects_;
    std::uint64_t reconnects_seen_ = 0;
    basic_auth auth_;
    url_guard guard_;
    nats::stores stores_;
    core::directory known_;
    core::accept_policy policy_;
    intake intake_;
    std::shared_ptr<http::byte_budget> answers_;
    http::client replicas_;
    async_handler async_;
    function_proxy proxy_;
    functions_api functions_;
    namespaces_api namespaces_;
};

}
