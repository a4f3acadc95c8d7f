#pragma once
#include "core/accept_http.hpp"
#include "gateway/call.hpp"
#include "gateway/intake.hpp"
#include "gateway/random.hpp"

namespace sluice::gateway {

// POST /async-function/NAME: accept, append to the partition's log, 202 once the log has it. Where the log's answer does not come in time,
// stored or not is unknown: the same call, with the same id, is appended again until the publish deadline, then answered 503. Never a
// 202 for what may not be stored. Loop thread only; everything given to the constructor outlives it.
class async_handler {
public:
    async_handler(const core::directory& known, const core::accept_policy& policy, intake& into, function_meters& counted)
        : known_(known), policy_(policy), into_(into), counted_(counted)
    {}
    void handle(call from);

private:
    void append(call from, core::accept_moment when);
    void finished(const call& from, core::accept_moment when, std::uint32_t partition, const message_log::result<stored_at>& stored);
    void accepted(const call& from, core::accept_moment when, std::uint32_t partition);

    const core::directory& known_;
    const core::accept_policy& policy_;
    intake& into_;
    function_meters& counted_;
    random_source random_;
};

}
