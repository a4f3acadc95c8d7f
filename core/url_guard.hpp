#pragma once
#include <boost/system/result.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// Where callbacks may go (SSRF guard). A URL is checked twice: when it is accepted (could it ever be allowed?) and, with the address
// that its host resolved to, each time a connection is about to be made. Without an allowlist only global unicast addresses are
// allowed: the special-purpose registries of RFC 6890 and whatever embeds an IPv4 address in IPv6 are not. Pure; any thread.
namespace sluice {

class url_guard {
public:
    // Entries: CIDR ("10.0.0.0/8", "fd00::/8"), address ("127.0.0.1", "::1"), host name ("hooks.internal"), the latter two also with a
    // port ("127.0.0.1:9000", "[::1]:9000", "hooks.internal:8443"). An allowed host name may resolve to any address.
    // Throws std::invalid_argument naming the entry.
    explicit url_guard(const std::vector<std::string>& allowlist);

    static constexpr std::size_t url_bytes_max = 2048;

    struct target {
        bool tls = false;
        std::string host; // lower case; numeric IPv6 without brackets
        std::uint16_t port = 0;
        std::string path_and_query; // at least "/", as sent, without a fragment
        bool numeric = false;       // host is an address, not a name
    };
    // The error is for people and starts with the part of the URL that is wrong: "host: 127.0.0.1 is a loopback address".
    boost::system::result<target, std::string> check(std::string_view url) const;

    // `numeric_address` is what is about to be connected to for this target; text that is no address is refused.
    bool allows(const target& to, std::string_view numeric_address) const;

    // An IPv4 or IPv6 address; IPv4-mapped IPv6 addresses are stored as the IPv4 address that they mean.
    struct address {
        bool v6 = false;
        std::array<std::uint8_t, 16> bytes{}; // the first 4 for IPv4
    };

private:
    struct entry {
        std::string host;       // empty: an address range
        std::uint16_t port = 0; // 0: any
        address base;
        unsigned prefix_bits = 0;
    };
    static entry parse_entry(const std::string& text);
    bool listed(const target& to, const address& at) const;
    bool may_connect(const target& to, const address& at) const;

    std::vector<entry> allowlist_;
};

}
