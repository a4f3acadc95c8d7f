#include "adapters/http/request_text.hpp"

namespace sluice::http {

bool only_digits(std::string_view text)
{
    for (char c : text)
        if (c < '0' || c > '9')
            return false;
    return !text.empty();
}

bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
        || std::string_view("-._~%!$&'()*+,;=:[]").find(c) != std::string_view::npos;
}

bool names_other_version(std::string_view head)
{
    const auto line = head.substr(0, head.find('\r'));
    const auto method = line.find(' ');
    const auto target = method == line.npos ? line.npos : line.find(' ', method + 1);
    const auto version = target == line.npos ? std::string_view{} : line.substr(target + 1);
    return version.size() == 8 && version.starts_with("HTTP/") && only_digits(version.substr(5, 1)) && version[6] == '.'
        && only_digits(version.substr(7));
}

bool has_bare_newline(std::string_view head)
{
    for (auto at = head.find('\n'); at != head.npos; at = head.find('\n', at + 1))
        if (at == 0 || head[at - 1] != '\r')
            return true;
    return false;
}

void rebase(std::string_view& v, const char* from, const char* to)
{
    if (v.data() != nullptr)
        v = {to + (v.data() - from), v.size()};
}

}
