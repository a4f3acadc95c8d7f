#pragma once
#include "adapters/log/log.hpp"
#include "core/accept_http.hpp"
#include "core/log_bound.hpp"
#include "gateway/call.hpp"
#include "gateway/intake.hpp"
#include "gateway/random.hpp"

#include <memory>

namespace sluice::gateway {

// POST /async-function/NAME: accept, append to the partition's log, 202 once the log has it. Where the log's answer does not come in time,
// stored or not is unknown: the very same message is appended to the same log again until the publish deadline, then answered 503. Never a
// 202 for what may not be stored. Loop thread only; everything given to the constructor outlives it.
class async_handler {
public:
    async_handler(const core::directory& known, const core::accept_policy& policy, intake& into, function_meters& counted, logger& log)
        : known_(known), policy_(policy), into_(into), counted_(counted), log_(log)
    {}
    // What would be answered whatever the body says.
    std::optional<http_response> refusal_of(const http_request& head) const;
    void handle(call from);

private:
    struct publishing;
    using publishing_ptr = std::shared_ptr<publishing>;
    void append(const publishing_ptr& what);
    void finished(const publishing_ptr& what, const message_log::result<stored_at>& stored);
    void accepted(const publishing_ptr& what);
    void refuse(const publishing_ptr& what, const core::refusal& why);

    const core::directory& known_;
    const core::accept_policy& policy_;
    intake& into_;
    function_meters& counted_;
    logger& log_;
    core::log_bound refusals_logged_;
    random_source random_;
};

}
