#include "core/url_guard.hpp"

#include <gtest/gtest.h>

namespace sluice {
namespace {

std::string why(const url_guard& guard, std::string_view url)
{
    const auto checked = guard.check(url);
    return checked ? "allowed" : checked.error();
}

// What is not public is refused when written as an address, in whatever spelling.
TEST(url_guard, refuses_addresses_that_are_not_public)
{
    const url_guard guard({});
    const std::pair<const char*, const char*> hosts[] = {
        {"0.0.0.0", "unspecified"},
        {"0.1.2.3", "unspecified"},
        {"10.0.0.1", "private"},
        {"10.255.255.255", "private"},
        {"100.64.0.1", "CGNAT"},
        {"100.127.255.254", "CGNAT"},
        {"127.0.0.1", "loopback"},
        {"127.0.0.1.", "loopback"},
        {"127.255.255.254", "loopback"},
        {"169.254.169.254", "link-local"},
        {"169.254.0.1", "link-local"},
        {"172.16.0.1", "private"},
        {"172.31.255.255", "private"},
        {"192.0.0.8", "reserved"},
        {"192.0.2.1", "documentation"},
        {"192.88.99.1", "6to4"},
        {"192.168.1.1", "private"},
        {"198.18.0.1", "benchmarking"},
        {"198.19.255.255", "benchmarking"},
        {"198.51.100.7", "documentation"},
        {"203.0.113.9", "documentation"},
        {"224.0.0.1", "multicast"},
        {"239.255.255.255", "multicast"},
        {"240.0.0.1", "reserved"},
        {"255.255.255.255", "broadcast"},
        {"[::]", "unspecified"},
        {"[::1]", "loopback"},
        {"[0:0:0:0:0:0:0:1]", "loopback"},
        {"[::127.0.0.1]", "IPv4-compatible"},
        {"[::ffff:127.0.0.1]", "loopback"},
        {"[::ffff:7f00:1]", "loopback"},
        {"[::FFFF:a9fe:a9fe]", "link-local"},
        {"[::ffff:10.0.0.1]", "private"},
        {"[::ffff:0:127.0.0.1]", "IPv4-translated"},
        {"[64:ff9b::7f00:1]", "NAT64"},
        {"[64:ff9b::8.8.8.8]", "NAT64"},
        {"[64:ff9b:1::a00:1]", "NAT64"},
        {"[100::1]", "not a global unicast"},
        {"[2001::1]", "Teredo"},
        {"[2001:2::1]", "reserved"},
        {"[2001:10::1]", "reserved"},
        {"[2001:db8::1]", "documentation"},
        {"[2002:7f00:1::]", "6to4"},
        {"[3fff::1]", "documentation"},
        {"[4000::1]", "not a global unicast"},
        {"[5f00::1]", "not a global unicast"},
        {"[fc00::1]", "private"},
        {"[fd12:3456::1]", "private"},
        {"[fe80::1]", "link-local"},
        {"[febf::1]", "link-local"},
        {"[fec0::1]", "site-local"},
        {"[ff02::1]", "multicast"},
        {"localhost", "loopback"},
        {"LOCALHOST", "loopback"},
        {"LOCALHOST.", "loopback"},
        {"localhost.", "loopback"},
        {"a.localhost", "loopback"},
    };
    for (const auto& [host, reason] : hosts) {
        const auto said = why(guard, "http://" + std::string(host) + "/x");
        EXPECT_TRUE(said.starts_with("host: ") && said.find(reason) != std::string::npos) << host << ": " << said;
    }
}

// Spellings that a C library's resolver would take for an address are not names.
TEST(url_guard, refuses_numbers_in_place_of_names)
{
    const url_guard all({"0.0.0.0/0", "::/0"});
    for (const char* host : {"2130706433",  "0x7f000001", "0x7f.1", "127.1", "127.0.1",   "0177.0.0.1",  "0177.0.0.01",
                             "127.0.0.0x1", "0",          "00",     "0x",    "1.2.3.4.5", "256.0.0.1",   "127.0.0.256",
                             "127.0.0.1.2", "4294967296", "a.1",    "a.0x1", "010.0.0.1", "127.0.0.1..", "1.2.3."})
    {
        const auto said = why(all, "http://" + std::string(host) + "/");
        EXPECT_TRUE(said.starts_with("host: ")) << host << ": " << said;
    }
}

TEST(url_guard, allows_public_addresses_and_names)
{
    const url_guard guard({});
    for (const char* url : {"http://8.8.8.8/",
                            "http://1.1.1.1:8080/a",
                            "https://[2606:4700::1111]/",
                            "http://9.255.255.255",
                            "http://11.0.0.0",
                            "http://100.63.255.255",
                            "http://100.128.0.0",
                            "http://126.255.255.255",
                            "http://128.0.0.1",
                            "http://169.253.255.255",
                            "http://169.255.0.0",
                            "http://172.15.255.255",
                            "http://172.32.0.0",
                            "http://192.167.255.255",
                            "http://192.169.0.0",
                            "http://198.17.255.255",
                            "http://198.20.0.0",
                            "http://223.255.255.255",
                            "http://[2001:200::1]/",
                            "http://[2003::1]/",
                            "http://[::ffff:8.8.8.8]/",
                            "http://example.org",
                            "HTTPS://Example.ORG./x?y=z#frag",
                            "http://localhost.example.org/",
                            "http://notlocalhost/",
                            "http://a_b-c.example/",
                            "http://xn--bcher-kva.example/",
                            "http://1password.com",
                            "http://0x7f.example",
                            "http://dead.beef/"})
        EXPECT_EQ(why(guard, url), "allowed") << url;
}

TEST(url_guard, takes_a_url_apart)
{
    const url_guard guard({});
    const auto plain = *guard.check("HTTP://Example.ORG.:08080/a/%2e?b=c#d");
    EXPECT_FALSE(plain.tls);
    EXPECT_EQ(plain.host, "example.org");
    EXPECT_EQ(plain.port, 8080);
    EXPECT_EQ(plain.path_and_query, "/a/%2e?b=c");
    EXPECT_FALSE(plain.numeric);
    const auto bare = *guard.check("https://[2606:4700::AB]?q");
    EXPECT_TRUE(bare.tls);
    EXPECT_EQ(bare.host, "2606:4700::ab");
    EXPECT_EQ(bare.port, 443);
    EXPECT_EQ(bare.path_and_query, "/?q");
    EXPECT_TRUE(bare.numeric);
    EXPECT_EQ(guard.check("http://8.8.8.8")->port, 80);
    EXPECT_EQ(guard.check("http://8.8.8.8")->path_and_query, "/");
}

TEST(url_guard, names_the_part_that_is_wrong)
{
    const url_guard guard({});
    const std::pair<std::string, const char*> urls[] = {
        {"", "scheme: "},
        {"example.org", "scheme: "},
        {"ftp://example.org/", "scheme: "},
        {"file:///etc/passwd", "scheme: "},
        {"gopher://127.0.0.1:6379/", "scheme: "},
        {"httpx://example.org/", "scheme: "},
        {"http:example.org", "scheme: "},
        {"//example.org/", "scheme: "},
        {"javascript:alert(1)", "scheme: "},
        {"http://user@example.org/", "userinfo: "},
        {"http://user:pw@example.org/", "userinfo: "},
        {"http://example.org@127.0.0.1/", "userinfo: "},
        {"http://127.0.0.1:80@example.org/", "userinfo: "},
        {"http:///path", "host: "},
        {"http://", "host: "},
        {"http://:80/", "host: "},
        {"http://./", "host: "},
        {"http://a..b/", "host: "},
        {"http://.a/", "host: "},
        {"http://exam%70le.org/", "host: "},
        {"http://%31%32%37.0.0.1/", "host: "},
        {"http://a,b/", "host: "},
        {"http://a!b/", "host: "},
        {"http://[::1/", "host: "},
        {"http://[1.2.3.4]/", "host: "},
        {"http://[fe80::1%25eth0]/", "host: "},
        {"http://[2606:4700::1]x/", "host: "},
        {"http://[v1.a]/", "host: "},
        {"http://2606:4700::1/", "host: "},
        {"http://" + std::string(64, 'a') + ".org/", "host: "},
        {"http://" + std::string(300, 'a') + "/", "host: "},
        {"http://example.org:/", "port: "},
        {"http://example.org:0/", "port: "},
        {"http://example.org:65536/", "port: "},
        {"http://example.org:80a/", "port: "},
        {"http://example.org:+80/", "port: "},
        {"http://example.org:-1/", "port: "},
        {"http://example.org:80:80/", "port: "},
        {"http://[2606:4700::1]:/", "port: "},
        {"http://example.org/a b", "url: "},
        {"http://example.org/\r\nX: y", "url: "},
        {std::string("http://example.org/\0", 20), "url: "},
        {"http://ex\xc3\xa4mple.org/", "url: "},
        {"http://example.org\\@127.0.0.1/", "url: "},
        {" http://example.org/", "url: "},
        {"http://example.org/" + std::string(url_guard::url_bytes_max, 'a'), "url: "},
    };
    for (const auto& [url, part] : urls) {
        const auto said = why(guard, url);
        const auto host_too =
            std::string_view(url) == "http://2606:4700::1/" && said.starts_with("port: "); // a port with colons, or no host
        EXPECT_TRUE(said.starts_with(part) || host_too) << url << ": " << said;
    }
    EXPECT_EQ(why(guard, "http://example.org/" + std::string(url_guard::url_bytes_max - 19, 'a')), "allowed");
}

TEST(url_guard, decides_again_with_the_address_of_a_name)
{
    const url_guard guard({});
    const auto to = *guard.check("http://rebinds.example/");
    EXPECT_TRUE(guard.allows(to, "8.8.8.8"));
    EXPECT_TRUE(guard.allows(to, "2606:4700::1111"));
    for (const char* address : {"127.0.0.1", "::1", "10.1.2.3", "169.254.169.254", "::ffff:127.0.0.1", "fd00::1", "64:ff9b::a00:1", "",
                                "name", "8.8.8.8:80", "[::1]", "8.8.8", "fe80::1%eth0"})
        EXPECT_FALSE(guard.allows(to, address)) << address;
}

TEST(url_guard, allows_what_is_listed)
{
    const url_guard guard(
        {"127.0.0.0/8", "::1", "10.1.2.3", "192.168.7.7:9000", "[fd00::7]:443", "fd12::/16", "hooks.internal", "ci.internal:8443"});
    for (const char* url :
         {"http://127.0.0.1:9/", "http://localhost:1234/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://10.1.2.3:1/",
          "http://192.168.7.7:9000/", "https://[fd00::7]/", "http://[fd12:1::1]/", "http://hooks.internal/"})
        EXPECT_EQ(why(guard, url), "allowed") << url;
    for (const char* url : {"http://10.1.2.4/", "http://192.168.7.7/", "http://[fd00::7]/", "http://[fd00::8]/", "http://[fd13::1]/"})
        EXPECT_NE(why(guard, url), "allowed") << url;
    EXPECT_TRUE(guard.allows(*guard.check("http://hooks.internal/"), "10.9.9.9"));
    EXPECT_TRUE(guard.allows(*guard.check("https://ci.internal:8443/"), "10.9.9.9"));
    EXPECT_FALSE(guard.allows(*guard.check("https://ci.internal/"), "10.9.9.9"));
    EXPECT_FALSE(guard.allows(*guard.check("http://x.hooks.internal/"), "10.9.9.9"));
    EXPECT_TRUE(guard.allows(*guard.check("http://other.example/"), "127.0.0.1")) << "an allowed address is so for every name";
}

TEST(url_guard, names_the_entry_that_is_wrong)
{
    for (const char* entry : {"", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/", "10.0.0.0/x", "name/8", "fd00::1/8", "fd00::/129", "a b",
                              "host:0", "host:99999", "http://host", "127.1", "*.example.org", "[::1"})
    {
        try {
            const url_guard guard({"8.8.8.8", entry});
            ADD_FAILURE() << "accepted: " << entry;
        } catch (const std::invalid_argument& error) {
            EXPECT_NE(std::string(error.what()).find("'" + std::string(entry) + "'"), std::string::npos) << error.what();
        }
    }
}

}
}
