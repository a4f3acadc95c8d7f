#include "core/url_guard.hpp"

#include <arpa/inet.h>

#include <charconv>
#include <optional>
#include <stdexcept>

namespace sluice {

namespace {

using address = url_guard::address;

struct range {
    std::string_view base;
    unsigned bits;
    std::string_view what;
};

// IANA special-purpose registries (RFC 6890 and later entries); a URL that names one of these gets `what` as the reason.
constexpr range special_v4[] = {{"0.0.0.0", 8, "an unspecified address"},        {"10.0.0.0", 8, "a private address"},
                                {"100.64.0.0", 10, "a shared (CGNAT) address"},  {"127.0.0.0", 8, "a loopback address"},
                                {"169.254.0.0", 16, "a link-local address"},     {"172.16.0.0", 12, "a private address"},
                                {"192.0.0.0", 24, "a reserved address"},         {"192.0.2.0", 24, "a documentation address"},
                                {"192.31.196.0", 24, "a reserved address"},      {"192.52.193.0", 24, "a reserved address"},
                                {"192.88.99.0", 24, "a 6to4 relay address"},     {"192.168.0.0", 16, "a private address"},
                                {"192.175.48.0", 24, "a reserved address"},      {"198.18.0.0", 15, "a benchmarking address"},
                                {"198.51.100.0", 24, "a documentation address"}, {"203.0.113.0", 24, "a documentation address"},
                                {"224.0.0.0", 4, "a multicast address"},         {"255.255.255.255", 32, "the broadcast address"},
                                {"240.0.0.0", 4, "a reserved address"}};

constexpr range special_v6[] = {{"::", 128, "an unspecified address"},
                                {"::1", 128, "a loopback address"},
                                {"::", 96, "an IPv4-compatible address"},
                                {"::ffff:0:0:0", 96, "an IPv4-translated address"},
                                {"64:ff9b::", 96, "a NAT64 address"},
                                {"64:ff9b:1::", 48, "a NAT64 address"},
                                {"2001::", 32, "a Teredo address"},
                                {"2001::", 23, "a reserved address"},
                                {"2001:db8::", 32, "a documentation address"},
                                {"2002::", 16, "a 6to4 address"},
                                {"3fff::", 20, "a documentation address"},
                                {"fc00::", 7, "a private address"},
                                {"fe80::", 10, "a link-local address"},
                                {"fec0::", 10, "a site-local address"},
                                {"ff00::", 8, "a multicast address"}};

std::optional<address> parse_address(std::string_view text)
{
    char copy[INET6_ADDRSTRLEN + 1];
    if (text.empty() || text.size() >= sizeof copy)
        return std::nullopt;
    copy[text.copy(copy, sizeof copy - 1)] = 0;
    address out;
    if (inet_pton(AF_INET, copy, out.bytes.data()) == 1)
        return out;
    if (inet_pton(AF_INET6, copy, out.bytes.data()) != 1)
        return std::nullopt;
    out.v6 = true;
    constexpr std::array<std::uint8_t, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (std::equal(mapped.begin(), mapped.end(), out.bytes.begin())) {
        address v4;
        std::copy(out.bytes.begin() + 12, out.bytes.end(), v4.bytes.begin());
        return v4;
    }
    return out;
}

bool within(const address& a, const address& base, unsigned bits)
{
    if (a.v6 != base.v6)
        return false;
    const unsigned whole = bits / 8, rest = bits % 8;
    for (unsigned i = 0; i < whole; ++i)
        if (a.bytes[i] != base.bytes[i])
            return false;
    const auto mask = static_cast<std::uint8_t>(0xff00u >> rest);
    return rest == 0 || (a.bytes[whole] & mask) == (base.bytes[whole] & mask);
}

struct special_range {
    address base;
    unsigned bits;
    std::string_view what;
};

std::vector<special_range> parse_ranges()
{
    std::vector<special_range> out;
    for (const auto& r : special_v4)
        out.push_back({*parse_address(r.base), r.bits, r.what});
    for (const auto& r : special_v6)
        out.push_back({*parse_address(r.base), r.bits, r.what});
    return out;
}

// Why an address is not a public one; empty when it is.
std::string_view special(const address& a)
{
    static const std::vector<special_range> ranges = parse_ranges();
    for (const auto& r : ranges)
        if (within(a, r.base, r.bits))
            return r.what;
    // Only 2000::/3 is given out as global unicast; what is outside is nobody's callback.
    if (a.v6 && (a.bytes[0] & 0xe0) != 0x20)
        return "not a global unicast address";
    return {};
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); }

// True where a C library's inet_aton, and so many a resolver, would take the name for an IPv4 address (0x7f.1, 2130706433, 0177.0.0.1):
// the last label is a number, as the WHATWG URL standard decides it.
bool looks_numeric(std::string_view host)
{
    auto last = host.substr(host.rfind('.') + 1);
    if (last.size() >= 2 && last[0] == '0' && last[1] == 'x') {
        for (char c : last.substr(2))
            if (!is_hex(c))
                return false;
        return true;
    }
    for (char c : last)
        if (!is_digit(c))
            return false;
    return !last.empty();
}

// Empty when the name is one that DNS could hold.
std::string_view bad_name(std::string_view host)
{
    if (host.empty())
        return "host: missing";
    if (host.size() > 253)
        return "host: longer than 253 bytes";
    std::size_t label = 0;
    for (char c : host) {
        const bool letter = (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_';
        if (c != '.' && !letter)
            return "host: a character that no host name has";
        if (c == '.' ? label == 0 : label == 63)
            return "host: a label is empty or longer than 63 bytes";
        label = c == '.' ? 0 : label + 1;
    }
    return label == 0 ? "host: a label is empty or longer than 63 bytes" : std::string_view{};
}

std::optional<std::uint16_t> parse_port(std::string_view text)
{
    std::uint32_t value = 0;
    if (text.empty() || text.size() > 5 || !is_digit(text[0]))
        return std::nullopt;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value == 0 || value > 65535)
        return std::nullopt;
    return static_cast<std::uint16_t>(value);
}

std::string lower(std::string_view text)
{
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z')
            c = static_cast<char>(c + 32);
    return out;
}

bool is_local_name(std::string_view host) { return host == "localhost" || host.ends_with(".localhost"); }

struct authority {
    bool numeric = false;
    std::string host;
    std::optional<std::uint16_t> port;
};

// host[:port] as in a URL; the error names the part.
boost::system::result<authority, std::string> parse_authority(std::string_view text)
{
    authority out;
    std::string_view port;
    bool has_port = false;
    if (text.starts_with('[')) {
        const auto end = text.find(']');
        const auto inner = text.substr(1, end == text.npos ? end : end - 1);
        const auto rest = end == text.npos ? std::string_view{} : text.substr(end + 1);
        if (end == text.npos || inner.find(':') == inner.npos || !parse_address(inner))
            return std::string("host: not an IPv6 address between brackets");
        if (!rest.empty() && rest[0] != ':')
            return std::string("host: something follows the closing bracket");
        has_port = !rest.empty();
        port = rest.substr(has_port);
        out.host = lower(inner);
        out.numeric = true;
    } else {
        const auto colon = text.find(':');
        has_port = colon != text.npos;
        port = has_port ? text.substr(colon + 1) : std::string_view{};
        out.host = lower(text.substr(0, colon));
        if (out.host.ends_with('.'))
            out.host.pop_back();
        if (const auto bad = bad_name(out.host); !bad.empty())
            return std::string(bad);
        out.numeric = parse_address(out.host).has_value();
        if (!out.numeric && looks_numeric(out.host))
            return "host: '" + out.host + "' is a number; write an IPv4 address as four decimal numbers";
    }
    if (!has_port)
        return out;
    out.port = parse_port(port);
    if (!out.port)
        return std::string("port: not a number from 1 to 65535");
    return out;
}

[[noreturn]] void refuse_entry(const std::string& text, std::string_view why)
{
    throw std::invalid_argument("allowlist entry '" + text + "': " + std::string(why));
}

}

url_guard::entry url_guard::parse_entry(const std::string& text)
{
    entry out;
    const auto slash = text.find('/');
    if (auto plain = parse_address(std::string_view(text).substr(0, slash))) {
        const unsigned all = plain->v6 ? 128 : 32;
        out.base = *plain;
        out.prefix_bits = all;
        if (slash == text.npos)
            return out;
        const auto digits = std::string_view(text).substr(slash + 1);
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out.prefix_bits);
        if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size() || out.prefix_bits > all)
            refuse_entry(text, "the prefix is not a number of bits");
        for (unsigned bit = out.prefix_bits; bit < all; ++bit)
            if (out.base.bytes[bit / 8] & (0x80u >> (bit % 8)))
                refuse_entry(text, "bits are set behind the prefix");
        return out;
    }
    if (slash != text.npos)
        refuse_entry(text, "not an address range");
    auto parsed = parse_authority(text);
    if (!parsed)
        refuse_entry(text, parsed.error());
    out.port = parsed->port.value_or(0);
    if (parsed->numeric) {
        out.base = *parse_address(parsed->host);
        out.prefix_bits = out.base.v6 ? 128 : 32;
    } else {
        out.host = parsed->host;
    }
    return out;
}

url_guard::url_guard(const std::vector<std::string>& allowlist)
{
    allowlist_.reserve(allowlist.size());
    for (const auto& text : allowlist)
        allowlist_.push_back(parse_entry(text));
}

bool url_guard::listed(const target& to, const address& at) const
{
    for (const auto& e : allowlist_) {
        if (e.port != 0 && e.port != to.port)
            continue;
        if (e.host.empty() ? within(at, e.base, e.prefix_bits) : e.host == to.host)
            return true;
    }
    return false;
}

bool url_guard::may_connect(const target& to, const address& at) const { return special(at).empty() || listed(to, at); }

boost::system::result<url_guard::target, std::string> url_guard::check(std::string_view url) const
{
    if (url.size() > url_bytes_max)
        return "url: longer than " + std::to_string(url_bytes_max) + " bytes";
    for (char c : url)
        if (c <= ' ' || c > '~' || c == '\\')
            return std::string("url: a space, control character, backslash or non-ASCII character");
    target out;
    const auto scheme_end = url.find("://");
    const auto scheme = scheme_end == url.npos ? std::string{} : lower(url.substr(0, scheme_end));
    if (scheme != "http" && scheme != "https")
        return std::string("scheme: neither http nor https");
    out.tls = scheme == "https";
    url.remove_prefix(scheme_end + 3);
    const auto authority_end = url.find_first_of("/?#");
    const auto authority_text = url.substr(0, authority_end);
    if (authority_text.find('@') != authority_text.npos)
        return std::string("userinfo: not allowed");
    auto parsed = parse_authority(authority_text);
    if (!parsed)
        return parsed.error();
    out.host = std::move(parsed->host);
    out.numeric = parsed->numeric;
    out.port = parsed->port.value_or(out.tls ? 443 : 80);
    auto rest = authority_end == url.npos ? std::string_view{} : url.substr(authority_end);
    rest = rest.substr(0, rest.find('#'));
    out.path_and_query = rest.starts_with('/') ? std::string(rest) : "/" + std::string(rest);
    if (out.numeric) {
        const auto at = *parse_address(out.host);
        if (!may_connect(out, at))
            return "host: " + out.host + " is " + std::string(special(at));
    } else if (is_local_name(out.host) && !may_connect(out, *parse_address("127.0.0.1")) && !may_connect(out, *parse_address("::1"))) {
        return "host: " + out.host + " is a loopback address"; // RFC 6761 § 6.3: it never means anything else
    }
    return out;
}

bool url_guard::allows(const target& to, std::string_view numeric_address) const
{
    const auto at = parse_address(numeric_address);
    return at && may_connect(to, *at);
}

}
