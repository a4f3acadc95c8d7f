#include "core/option_checks.hpp"

#include "core/config.hpp"
#include "core/listen_address.hpp"
#include "core/replica_plan.hpp"
#include "core/url_guard.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <stdexcept>

namespace sluice::core {

namespace {

bool is_numeric(const std::string& host)
{
    unsigned char bytes[16];
    const auto plain = host.substr(0, host.find('%')); // fe80::1%eth0
    return ::inet_pton(AF_INET, plain.c_str(), bytes) == 1 || ::inet_pton(AF_INET6, plain.c_str(), bytes) == 1;
}

bool is_nats_url(std::string_view url)
{
    if (const auto scheme = url.find("://"); scheme != url.npos) {
        if (url.substr(0, scheme) != "nats" && url.substr(0, scheme) != "tls")
            return false;
        url.remove_prefix(scheme + 3);
    }
    if (const auto at = url.rfind('@'); at != url.npos)
        url.remove_prefix(at + 1);
    if (url.ends_with('/'))
        url.remove_suffix(1);
    const auto colon = url.rfind(':');
    const bool has_port = colon != url.npos && url.find(']', colon) == url.npos;
    const auto host = has_port ? url.substr(0, colon) : url;
    if (host.empty() || host.find_first_of(" \t/?#") != host.npos)
        return false;
    if (!has_port)
        return true;
    const auto digits = url.substr(colon + 1);
    std::uint16_t port = 0;
    const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    return failure == std::errc{} && end == digits.data() + digits.size() && port != 0;
}

}

void check_listen_address(const std::string& text)
{
    try {
        if (is_numeric(parse_listen_address("", text).host))
            return;
    } catch (const config::error&) {
        // Said below, as the table names the key.
    }
    throw std::invalid_argument("is not " + std::string(listen_address_form));
}

void check_callback_allow(const std::string& item)
{
    try {
        const url_guard guard({item});
    } catch (const std::invalid_argument& wrong) {
        const auto hint = item.find(',') == item.npos ? "" : "; the list's items are separated by ;";
        throw std::invalid_argument(std::string("is not allowed: ") + wrong.what() + hint);
    }
}

void check_static_function(const std::string& item)
{
    try {
        parse_static_function(item);
    } catch (const config::error&) {
        throw std::invalid_argument("is not NAME[.NS]=http://HOST:PORT[,max_inflight=N] with a numeric host or localhost");
    }
}

void check_nats_urls(const std::string& comma_list)
{
    for (std::size_t from = 0; from <= comma_list.size();) {
        const auto to = std::min(comma_list.find(',', from), comma_list.size());
        if (!is_nats_url(std::string_view(comma_list).substr(from, to - from)))
            throw std::invalid_argument("is not nats://HOST:PORT or tls://HOST:PORT, or a comma list of them");
        from = to + 1;
    }
}

std::string without_userinfo(const std::string& comma_list)
{
    std::string shown;
    std::string_view rest = comma_list;
    for (auto at = rest.find('@'); at != rest.npos; at = rest.find('@')) {
        const auto scheme = rest.substr(0, at).rfind("://");
        shown.append(rest.substr(0, scheme == rest.npos ? 0 : scheme + 3)).append("***@");
        rest.remove_prefix(at + 1);
    }
    return shown.append(rest);
}

}
