#include "sluice/function.hpp"

namespace sluice {

bool is_dns_label(std::string_view text) noexcept
{
    if (text.empty() || text.size() > 63 || text.front() == '-' || text.back() == '-')
        return false;
    for (char c : text)
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
    return true;
}

std::optional<function_name> parse_function_name(std::string_view text)
{
    const auto dot = text.rfind('.');
    function_name name{std::string(text.substr(0, dot)), std::string(dot == text.npos ? default_namespace : text.substr(dot + 1))};
    if (!is_dns_label(name.name) || !is_dns_label(name.space))
        return std::nullopt;
    return name;
}

std::optional<function_name> function_of_key(std::string_view key)
{
    const auto dot = key.find('.');
    if (dot == key.npos || !is_dns_label(key.substr(0, dot)) || !is_dns_label(key.substr(dot + 1)))
        return std::nullopt;
    return function_name{std::string(key.substr(dot + 1)), std::string(key.substr(0, dot))};
}

const std::string& namespace_spec::tenant() const
{
    const auto at = annotations.find("sluice/tenant");
    return at == annotations.end() || at->second.empty() ? name : at->second;
}

}
