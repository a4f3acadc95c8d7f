#pragma once
#include "adapters/metrics/metrics.hpp"
#include "gateway/routes.hpp"
#include "sluice/function.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

// The gateway's metrics, in OpenFaaS's names where it has one. Label values come from the route table, three-digit statuses and deployed
// functions only; a function's are removed with it. Loop thread only.
namespace sluice::gateway {

// http_requests_total and http_request_duration_seconds {method, path, status}: the API and the acceptance of asynchronous calls.
class http_meters {
public:
    explicit http_meters(metrics::registry& registry) : registry_(registry) {}
    void answered(const route& to, std::string_view method, unsigned status, double seconds);

private:
    struct pair {
        metrics::counter total;
        metrics::histogram seconds;
    };
    metrics::registry& registry_;
    std::unordered_map<std::uint64_t, pair> known_;
};

class function_meters {
public:
    // One function's, its children resolved; outlives the function in calls that are still under way.
    class one {
    public:
        one(metrics::registry& registry, const std::string& full_name);
        void started();
        void finished(unsigned status, double seconds);
        void accepted() { ++invocations_; }
        double invocations() const noexcept { return invocations_; }
        void set_replicas(const function_spec& spec, const function_endpoints* endpoints);
        void removed() noexcept { removed_ = true; }

    private:
        struct by_status {
            unsigned status;
            metrics::counter total;
            metrics::histogram seconds;
        };
        metrics::registry& registry_;
        std::string full_name_;
        metrics::counter started_;
        metrics::gauge in_flight_, service_count_, ready_count_, service_min_;
        std::vector<by_status> finished_;
        double invocations_ = 0;
        bool removed_ = false;
    };
    using one_ptr = std::shared_ptr<one>;

    explicit function_meters(metrics::registry& registry) : registry_(registry) {}
    // Of a deployed function only.
    const one_ptr& of(const function_name& deployed);
    void remove(const function_name& function);
    double invocations(const function_name& function) const;

private:
    metrics::registry& registry_;
    std::map<function_name, one_ptr> known_;
};

}
