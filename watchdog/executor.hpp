#pragma once
#include "adapters/http/server.hpp"
#include "sluice/http.hpp"

#include <cstdint>
#include <functional>
#include <string>

namespace sluice::watchdog {

// The variable that names a call in the environment of its processes, for watchdog/orphans.hpp.
inline constexpr const char* call_variable = "Sluice_Call";

// One way of running a function. Loop thread only.
class executor {
public:
    using call_id = std::uint64_t;

    virtual ~executor() = default;
    // `done` runs exactly once, maybe within the call.
    virtual void start(call_id id, const http::exchange_ptr& call, std::function<void(http_response)> done) = 0;
    // Nobody waits for the answer any more: what runs for this call ends; done still runs.
    virtual void cancel(call_id id) = 0;
    // The status of /_/ready as far as the function decides it: 200 when it takes calls, else `why` says what is amiss, for people.
    virtual void probe(std::function<void(unsigned status, std::string why)> done) = 0;
    // Whether this process is one that it started and still watches, and whether this call has not ended yet.
    virtual bool launched(int pid) const = 0;
    virtual bool runs(call_id id) const = 0;
    // Ends whatever still runs, in order but within a bound; then calls back, once.
    virtual void stop(std::function<void()> stopped) = 0;
};

// Answers of our own making, as of-watchdog marks them.
inline http_response own_answer(unsigned status, std::string component, std::string text = {})
{
    http_response response{status, {{"X-OpenFaaS-Internal", std::move(component)}}, std::move(text)};
    if (!response.body.empty())
        response.fields.push_back({"Content-Type", "text/plain; charset=utf-8"});
    return response;
}

}
