#include "sluice/http.hpp"

#include <algorithm>

namespace sluice {

namespace {

constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

}

bool same_name(std::string_view a, std::string_view b) noexcept
{
    if (a.size() != b.size())
        return false;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (lower(a[i]) != lower(b[i]))
            return false;
    return true;
}

const std::string* find(const headers& fields, std::string_view name) noexcept
{
    for (const auto& field : fields)
        if (same_name(field.name, name))
            return &field.value;
    return nullptr;
}

bool is_hop_by_hop(std::string_view name) noexcept
{
    static constexpr std::string_view names[] = {
        "connection", "proxy-connection",  "keep-alive", "proxy-authenticate", "proxy-authorization", "te",
        "trailer",    "transfer-encoding", "upgrade"};
    for (auto candidate : names)
        if (same_name(candidate, name))
            return true;
    return false;
}

bool list_has(std::string_view list, std::string_view word) noexcept
{
    constexpr std::string_view blank = " \t";
    while (!list.empty()) {
        const auto comma = std::min(list.find(','), list.size());
        const auto from = std::min(list.find_first_not_of(blank), comma);
        const auto to = std::max(from, list.substr(0, comma).find_last_not_of(blank) + 1);
        if (same_name(list.substr(from, to - from), word))
            return true;
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
    return false;
}

std::string_view http_request::field(std::string_view name) const noexcept
{
    for (const auto& f : fields)
        if (same_name(f.name, name))
            return f.value;
    return {};
}

bool http_request::has(std::string_view name) const noexcept
{
    for (const auto& f : fields)
        if (same_name(f.name, name))
            return true;
    return false;
}

std::string_view http_request::path() const noexcept { return target.substr(0, target.find('?')); }

std::string_view http_request::query() const noexcept
{
    const auto at = target.find('?');
    return at == target.npos ? std::string_view{} : target.substr(at + 1);
}

void append_field(std::string& block, std::string_view name, std::string_view value)
{
    block.append(name).append(": ").append(value).append("\r\n");
}

}
