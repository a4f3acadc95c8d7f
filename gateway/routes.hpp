#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

// The gateway's paths (OpenFaaS's route table): a known path with a method that it does not have is 405, everything else 404. Pure.
namespace sluice::gateway {

enum class route_id : std::uint8_t {
    async_function,
    function,
    functions,
    function_status,
    namespaces,
    one_namespace,
    info,
    healthz,
    readyz,
    metrics,
    root,
    ui,
};

struct route {
    std::string_view path;    // ending in '/': followed by a name, and more where the route is deep
    std::string_view methods; // words with single spaces; empty: any
    route_id id;
    bool restricted = false; // basic auth
    bool counted = false;    // in http_requests_total, under `path`
    bool deep = false;       // the name may be followed by /rest
};

inline constexpr std::array routes{
    route{"/async-function/", "POST", route_id::async_function, false, true, true},
    route{"/function/", "", route_id::function, false, false, true},
    route{"/system/functions", "GET POST PUT DELETE", route_id::functions, true, true},
    route{"/system/function/", "GET", route_id::function_status, true, true},
    route{"/system/namespaces", "GET POST", route_id::namespaces, true, true},
    route{"/system/namespaces/", "GET POST PUT DELETE", route_id::one_namespace, true, true},
    route{"/system/namespace", "POST", route_id::namespaces, true, true},
    route{"/system/namespace/", "GET POST PUT DELETE", route_id::one_namespace, true, true},
    route{"/system/info", "GET", route_id::info, true, true},
    route{"/healthz", "GET HEAD", route_id::healthz},
    route{"/readyz", "GET HEAD", route_id::readyz},
    route{"/metrics", "GET HEAD", route_id::metrics},
    route{"/", "GET HEAD", route_id::root},
    route{"/ui", "GET HEAD", route_id::root},
    route{"/ui/", "GET HEAD", route_id::ui},
};

struct routed {
    const route* to = nullptr;   // nullptr: 404
    bool method_allowed = false; // false with a route: 405
    std::string_view name;       // after a path that ends in '/', up to the next '/'; may be empty for namespaces only
};

routed find_route(std::string_view method, std::string_view path) noexcept;

// "GET, POST" for Allow.
std::string allow_of(const route& of);

}
