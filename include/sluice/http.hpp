#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// HTTP values (RFC 9110, RFC 9112) as plain data, so that no role sees a third-party HTTP header.
namespace sluice {

struct header {
    std::string name;
    std::string value;

    friend bool operator==(const header&, const header&) = default;
};
using headers = std::vector<header>;

struct header_view {
    std::string_view name;
    std::string_view value;
};

// Compares field names as RFC 9110 § 5.1 asks: ASCII letters without case.
bool same_name(std::string_view a, std::string_view b) noexcept;

// The first value of a field, or nullptr.
const std::string* find(const headers& fields, std::string_view name) noexcept;

// True for the fields that belong to one connection and are never forwarded: RFC 9110 § 7.6.1 and the two Proxy- ones.
// Fields named by `Connection` belong to it, too: list_has.
bool is_hop_by_hop(std::string_view name) noexcept;

// Whether a comma-separated list (RFC 9110 § 5.6.1), such as the value of `Connection`, has this word; ASCII letters without case.
bool list_has(std::string_view list, std::string_view word) noexcept;

// A request as a server read it. The views live as long as the exchange that holds them.
struct http_request {
    std::string_view method;
    std::string_view target; // as sent: path and query, never decoded
    std::vector<header_view> fields;
    std::string_view body;
    std::string_view peer; // "address:port"

    std::string_view field(std::string_view name) const noexcept; // first value, empty when absent
    bool has(std::string_view name) const noexcept;
    std::string_view path() const noexcept;  // target up to '?'
    std::string_view query() const noexcept; // after '?', empty when absent
};

struct http_response {
    unsigned status = 200;
    headers fields;
    std::string body;
};

// "key: value\r\n" lines without the closing empty line.
void append_field(std::string& block, std::string_view name, std::string_view value);

}
