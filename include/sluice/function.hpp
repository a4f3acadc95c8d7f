#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

inline constexpr std::string_view default_namespace = "openfaas-fn";

// A function's name in its namespace. Both are DNS labels (RFC 1123: a-z 0-9 '-', no dash at an end, at most 63).
struct function_name {
    std::string name;
    std::string space;

    // "name.space", the form of metrics, annotations and URLs.
    std::string full() const { return name + '.' + space; }
    // "space.name", the key in the KV buckets.
    std::string key() const { return space + '.' + name; }

    friend auto operator<=>(const function_name&, const function_name&) = default;
};

bool is_dns_label(std::string_view text) noexcept;

// Splits "NAME[.NS]" at the last dot (OpenFaaS); nothing when either part is no DNS label.
std::optional<function_name> parse_function_name(std::string_view text);
// The reverse of key().
std::optional<function_name> function_of_key(std::string_view key);

using string_map = std::map<std::string, std::string>;

struct resources { // quantities are kept as they were sent: "128Mi", "100m"
    string_map values;
};

// What was deployed: OpenFaaS's FunctionDeployment. Fields that were not sent stay absent.
struct function_spec {
    function_name name;
    std::string image;
    std::string env_process;
    string_map env_vars;
    std::vector<std::string> constraints;
    std::vector<std::string> secrets;
    string_map labels;
    string_map annotations;
    std::optional<resources> limits;
    std::optional<resources> requests;
    bool read_only_root_filesystem = false;
    std::string created_at; // RFC 3339
    // A static endpoint, from an operator's configuration only, never from the API: a process that is not ours.
    std::string static_url;
    std::uint32_t static_max_inflight = 0;
};

// One running replica of a function, as the provider publishes it.
struct endpoint {
    std::string replica; // unique within the function, never used again for another process
    std::string host;    // numeric address
    std::uint16_t port = 0;
    std::uint32_t max_inflight = 0; // 0: none declared
    std::string token;              // sent as Sluice-Replica-Token; empty: none (static endpoint)
    bool ready = false;

    friend bool operator==(const endpoint&, const endpoint&) = default;
};

// Why a function does not run as it should, as its provider sees it.
struct function_trouble {
    std::string reason;         // for people; one line
    std::uint32_t restarts = 0; // failures in a row

    friend bool operator==(const function_trouble&, const function_trouble&) = default;
};

struct function_endpoints {
    function_name name;
    std::uint32_t desired = 0;      // replicas wanted
    std::vector<endpoint> replicas; // those that run, ready or not
    std::optional<function_trouble> trouble = std::nullopt;
};

struct namespace_spec {
    std::string name;
    string_map labels;
    string_map annotations;

    // The tenant that owns the namespace: annotation `sluice/tenant`, else the namespace itself.
    const std::string& tenant() const;
};

}
