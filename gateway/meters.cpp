#include "gateway/meters.hpp"

#include <array>
#include <charconv>

namespace sluice::gateway {

namespace {

// A method of nobody's invention becomes "other".
constexpr std::array<std::string_view, 8> methods{"other", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

std::size_t method_index(std::string_view method)
{
    for (std::size_t i = 1; i < methods.size(); ++i)
        if (methods[i] == method)
            return i;
    return 0;
}

std::string path_label(const route& of) { return std::string(of.path.back() == '/' ? of.path.substr(0, of.path.size() - 1) : of.path); }

double number_label(const function_spec& spec, const char* key, double otherwise)
{
    const auto at = spec.labels.find(key);
    double value = 0;
    if (at == spec.labels.end() || std::from_chars(at->second.data(), at->second.data() + at->second.size(), value).ec != std::errc{})
        return otherwise;
    return value;
}

}

void http_meters::answered(const route& to, std::string_view method, unsigned status, double seconds)
{
    const auto method_at = method_index(method);
    const auto key = static_cast<std::uint64_t>(&to - routes.data()) << 32 | method_at << 16 | (status & 0xffff);
    auto at = known_.find(key);
    if (at == known_.end()) {
        const metrics::labels with{
            {"method", std::string(methods[method_at])}, {"path", path_label(to)}, {"status", std::to_string(status)}};
        at = known_
                 .emplace(key,
                          pair{registry_.make_counter("http_requests_total", "Answered requests to the API and to /async-function.", with),
                               registry_.make_histogram("http_request_duration_seconds",
                                                        "From the whole request to its answer, of the API and /async-function.", with)})
                 .first;
    }
    at->second.total.add();
    at->second.seconds.observe(seconds);
}

function_meters::one::one(metrics::registry& registry, const std::string& full_name) : registry_(registry), full_name_(full_name)
{
    const metrics::labels with{{"function_name", full_name}};
    started_ = registry.make_counter("gateway_function_invocation_started", "Synchronous calls that were started.", with);
    in_flight_ = registry.make_gauge("gateway_function_invocation_inflight", "Synchronous calls under way.", with);
    service_count_ = registry.make_gauge("gateway_service_count", "Replicas wanted.", with);
    ready_count_ = registry.make_gauge("gateway_service_ready_count", "Replicas that are ready.", with);
    service_min_ = registry.make_gauge("gateway_service_min", "Fewest replicas that the function asks for.", with);
}

void function_meters::one::started()
{
    if (removed_)
        return;
    started_.add();
    in_flight_.add(1);
}

void function_meters::one::finished(unsigned status, double seconds)
{
    if (removed_)
        return;
    in_flight_.add(-1);
    ++invocations_;
    for (auto& each : finished_)
        if (each.status == status) {
            each.total.add();
            return each.seconds.observe(seconds);
        }
    const metrics::labels with{{"function_name", full_name_}, {"code", std::to_string(status)}};
    finished_.push_back({status, registry_.make_counter("gateway_function_invocation_total", "Synchronous calls that ended.", with),
                         registry_.make_histogram("gateway_functions_seconds", "Duration of synchronous calls.", with)});
    finished_.back().total.add();
    finished_.back().seconds.observe(seconds);
}

void function_meters::one::set_replicas(const function_spec& spec, const function_endpoints* endpoints)
{
    double ready = 0;
    if (endpoints)
        for (const auto& replica : endpoints->replicas)
            ready += replica.ready;
    const auto min = number_label(spec, "com.openfaas.scale.min", 1);
    service_min_.set(min);
    service_count_.set(endpoints ? endpoints->desired : min);
    ready_count_.set(ready);
}

const function_meters::one_ptr& function_meters::of(const function_name& deployed)
{
    auto& known = known_[deployed];
    if (!known)
        known = std::make_shared<one>(registry_, deployed.full());
    return known;
}

void function_meters::remove(const function_name& function)
{
    const auto at = known_.find(function);
    if (at == known_.end())
        return;
    at->second->removed();
    known_.erase(at);
    registry_.remove("function_name", function.full());
}

double function_meters::invocations(const function_name& function) const
{
    const auto at = known_.find(function);
    return at == known_.end() ? 0 : at->second->invocations();
}

}
