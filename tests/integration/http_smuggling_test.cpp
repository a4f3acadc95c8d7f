#include "tests/support/http_service.hpp"
#include "tests/support/loop_until.hpp"
#include "tests/support/raw_socket.hpp"

#include <gtest/gtest.h>

// What two HTTP readers in a row could understand differently must be refused, and the connection closed: RFC 9112 § 2.2, § 5, § 6
// and § 11.2.
namespace sluice {
namespace {

struct shape {
    const char* name;
    std::string bytes;
    unsigned status;
    bool closes;
};

std::string post(const std::string& fields, const std::string& body = {})
{
    return "POST /a HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n" + body;
}

const std::string smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
const std::string chunks = "5\r\nhello\r\n0\r\n\r\n";

std::vector<shape> transfer_encodings()
{
    return {
        {"gzip", post("Transfer-Encoding: gzip\r\n", smuggled), 400, true},
        {"chunked then gzip", post("Transfer-Encoding: chunked, gzip\r\n", smuggled), 400, true},
        {"gzip then chunked", post("Transfer-Encoding: gzip, chunked\r\n", chunks + smuggled), 400, true},
        {"xchunked", post("Transfer-Encoding: xchunked\r\n", smuggled), 400, true},
        {"xchunked with a length", post("Transfer-Encoding: xchunked\r\nContent-Length: 3\r\n", "abc" + smuggled), 400, true},
        {"chunked with a length", post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", chunks + smuggled), 400, true},
        {"a length, then chunked", post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", chunks + smuggled), 400, true},
        {"chunked twice in a line", post("Transfer-Encoding: chunked, chunked\r\n", chunks + smuggled), 400, true},
        {"chunked in two lines", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunks + smuggled), 400, true},
        {"identity and chunked in two lines", post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", chunks + smuggled), 400,
         true},
        {"chunked with a parameter", post("Transfer-Encoding: chunked;q=1\r\n", chunks + smuggled), 400, true},
        {"chunked in quotes", post("Transfer-Encoding: \"chunked\"\r\n", chunks + smuggled), 400, true},
        {"empty coding", post("Transfer-Encoding:\r\n", smuggled), 400, true},
        {"folded coding", post("Transfer-Encoding:\r\n chunked\r\n", chunks + smuggled), 400, true},
        {"vertical tab before chunked", post("Transfer-Encoding: \vchunked\r\n", chunks + smuggled), 400, true},
        {"space before the colon", post("Transfer-Encoding : chunked\r\n", chunks + smuggled), 400, true},
        {"chunked in HTTP/1.0", "POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + smuggled, 400, true},
        {"underscore is another field", post("Transfer_Encoding: chunked\r\nContent-Length: 3\r\n", "abc"), 200, false},
        {"chunked in capitals", post("transfer-encoding: CHUNKED\r\n", chunks), 200, false},
    };
}

std::vector<shape> lengths()
{
    return {
        {"list of equal lengths", post("Content-Length: 5, 5\r\n", "hello" + smuggled), 400, true},
        {"equal lengths in two lines", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello" + smuggled), 400, true},
        {"different lengths", post("Content-Length: 5\r\nContent-Length: 0\r\n", "hello" + smuggled), 400, true},
        {"plus", post("Content-Length: +5\r\n", "hello" + smuggled), 400, true},
        {"minus", post("Content-Length: -5\r\n", smuggled), 400, true},
        {"hexadecimal", post("Content-Length: 0x5\r\n", "hello" + smuggled), 400, true},
        {"empty", post("Content-Length:\r\n", smuggled), 400, true},
        {"trailing comma", post("Content-Length: 5,\r\n", "hello" + smuggled), 400, true},
        {"letters behind", post("Content-Length: 5a\r\n", "hello" + smuggled), 400, true},
        {"space within", post("Content-Length: 5 5\r\n", "hello" + smuggled), 400, true},
        {"form feed before", post("Content-Length: \f5\r\n", "hello" + smuggled), 400, true},
        {"beyond 64 bits", post("Content-Length: 18446744073709551621\r\n", "hello" + smuggled), 400, true},
        {"folded", post("Content-Length:\r\n 5\r\n", "hello" + smuggled), 400, true},
        {"space before the colon", post("Content-Length : 5\r\n", "hello" + smuggled), 400, true},
        {"leading zeros", post("Content-Length: 005\r\n", "hello"), 200, false},
        {"blanks around are not the value's", post("Content-Length: \t 5 \r\n", "hello"), 200, false},
    };
}

std::vector<shape> chunk_shapes()
{
    const std::string te = "Transfer-Encoding: chunked\r\n";
    return {
        {"size with a prefix", post(te, "0x5\r\nhello\r\n0\r\n\r\n" + smuggled), 400, true},
        {"negative size", post(te, "-1\r\nhello\r\n0\r\n\r\n" + smuggled), 400, true},
        {"plus size", post(te, "+5\r\nhello\r\n0\r\n\r\n" + smuggled), 400, true},
        {"empty size", post(te, "\r\nhello\r\n0\r\n\r\n" + smuggled), 400, true},
        {"size beyond 64 bits", post(te, "10000000000000005\r\nhello\r\n0\r\n\r\n" + smuggled), 400, true},
        {"size line ended by LF", post(te, "5\nhello\r\n0\r\n\r\n" + smuggled), 400, true},
        {"longer than said", post(te, "5\r\nhelloXX\r\n0\r\n\r\n" + smuggled), 400, true},
        {"shorter than said", post(te, "7\r\nhello\r\n0\r\n\r\n" + smuggled), 400, true},
        {"LF in an extension", post(te, "5;a=\nb\r\nhello\r\n0\r\n\r\n" + smuggled), 400, true},
        {"bare CR in the size line", post(te, "5\rx\r\nhello\r\n0\r\n\r\n" + smuggled), 400, true},
        {"length in a trailer", post(te, "5\r\nhello\r\n0\r\nContent-Length: 7\r\n\r\n" + smuggled), 400, true},
        {"coding in a trailer", post(te, "5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled), 400, true},
        {"extension", post(te, "5;a=b;c=\"d\"\r\nhello\r\n0\r\n\r\n"), 200, false},
        {"leading zeros in sizes", post(te, "005\r\nhello\r\n000\r\n\r\n"), 200, false},
        {"trailer", post(te, "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), 200, false},
    };
}

std::vector<shape> heads()
{
    const auto get = [](const std::string& target, const std::string& rest = " HTTP/1.1\r\nHost: h\r\n\r\n") {
        return "GET " + target + rest;
    };
    return {
        {"no Host", "GET /a HTTP/1.1\r\n\r\n", 400, true},
        {"two Hosts", "GET /a HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400, true},
        {"Host with a list", "GET /a HTTP/1.1\r\nHost: h h2\r\n\r\n", 400, true},
        {"Host with a path", "GET /a HTTP/1.1\r\nHost: h/x\r\n\r\n", 400, true},
        {"Host with userinfo", "GET /a HTTP/1.1\r\nHost: u@h\r\n\r\n", 400, true},
        {"folded line", "GET /a HTTP/1.1\r\nHost: h\r\nX-A: b\r\n c\r\n\r\n", 400, true},
        {"fold before the first field", "GET /a HTTP/1.1\r\n X-A: b\r\nHost: h\r\n\r\n", 400, true},
        {"fold of nothing", "GET /a HTTP/1.1\r\nHost: h\r\nX-A:\r\n \r\n\r\n", 400, true},
        {"NUL in a value", std::string("GET /a HTTP/1.1\r\nHost: h\r\nX-A: b\0c\r\n\r\n", 39), 400, true},
        {"control character in a value", "GET /a HTTP/1.1\r\nHost: h\r\nX-A: b\x01\r\n\r\n", 400, true},
        {"DEL in a value", "GET /a HTTP/1.1\r\nHost: h\r\nX-A: b\x7f\r\n\r\n", 400, true},
        {"bare CR in a value", "GET /a HTTP/1.1\r\nHost: h\r\nX-A: b\rc\r\n\r\n", 400, true},
        {"bare LF in a value", "GET /a HTTP/1.1\r\nHost: h\r\nX-A: b\nX-B: c\r\n\r\n", 400, true},
        {"lines ended by LF", "GET /a HTTP/1.1\nHost: h\n\n", 400, true},
        {"no colon", "GET /a HTTP/1.1\r\nHost: h\r\nX-A\r\n\r\n", 400, true},
        {"no name", "GET /a HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n", 400, true},
        {"space in a name", "GET /a HTTP/1.1\r\nHost: h\r\nX A: b\r\n\r\n", 400, true},
        {"non-ASCII name", "GET /a HTTP/1.1\r\nHost: h\r\nX-\xc3\xa4: b\r\n\r\n", 400, true},
        {"method that is no token", "G(T /a HTTP/1.1\r\nHost: h\r\n\r\n", 400, true},
        {"no method", " /a HTTP/1.1\r\nHost: h\r\n\r\n", 400, true},
        {"two spaces before the target", get(" /a"), 400, true},
        {"two spaces behind the target", get("/a", "  HTTP/1.1\r\nHost: h\r\n\r\n"), 400, true},
        {"space in the target", get("/a b"), 400, true},
        {"tab in the target", get("/a\tb"), 400, true},
        {"non-ASCII target", get("/\xc3\xa4"), 400, true},
        {"control character in the target", get("/\x01"), 400, true},
        {"fragment", get("/a#b"), 400, true},
        {"relative target", get("a"), 400, true},
        {"authority as target", "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n", 400, true},
        {"asterisk with GET", get("*"), 400, true},
        {"absolute target without a host", get("http:///a"), 400, true},
        {"absolute target with a user", get("http://user@h/a"), 400, true},
        {"absolute target of another scheme", get("ftp://h/a"), 400, true},
        {"no version", "GET /a\r\n\r\n", 400, true},
        {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, true},
        {"HTTP/1.2", get("/a", " HTTP/1.2\r\nHost: h\r\n\r\n"), 505, true},
        {"HTTP/0.9", get("/a", " HTTP/0.9\r\nHost: h\r\n\r\n"), 505, true},
        {"lower-case version", get("/a", " http/1.1\r\nHost: h\r\n\r\n"), 400, true},
        {"space behind the version", get("/a", " HTTP/1.1 \r\nHost: h\r\n\r\n"), 400, true},
        {"TLS hello", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), 400, true},
        {"unknown expectation", "POST /a HTTP/1.1\r\nHost: h\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\n", 417, true},
        {"HTTP/1.0 without Host", "GET /a HTTP/1.0\r\n\r\n", 200, true},
        {"HTTP/1.0 kept alive", "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, false},
        {"closing", "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 200, true},
        {"absolute target", get("http://H/a"), 200, false},
        {"absolute target of another host", get("http://other/a"), 200, false},
        {"empty line before", "\r\n" + get("/a"), 200, false},
        {"two empty lines before", "\r\n\r\n" + get("/a"), 400, true},
        {"empty Host", "GET /a HTTP/1.1\r\nHost:\r\n\r\n", 200, false},
        {"IPv6 Host", "GET /a HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 200, false},
        {"Latin-1 in a value", "GET /a HTTP/1.1\r\nHost: h\r\nX-A: \xe4\r\n\r\n", 200, false},
        {"asterisk", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 200, false},
        {"unknown method", "BREW /a HTTP/1.1\r\nHost: h\r\n\r\n", 200, false},
        {"everything percent-encoded", get("/%00%0d%0a%23?a=%20"), 200, false},
    };
}

unsigned status_of(const std::string& response)
{
    return response.starts_with("HTTP/1.1 ") && response.size() > 12 ? static_cast<unsigned>(std::stoul(response.substr(9, 3))) : 0;
}

bool is_whole(const std::string& response)
{
    const auto end = response.find("\r\n\r\n");
    const auto length = response.find("Content-Length: ");
    return end != std::string::npos && length != std::string::npos && response.size() - end - 4 >= std::stoul(response.substr(length + 16));
}

class smuggling : public ::testing::TestWithParam<bool> {
protected:
    void check(const std::vector<shape>& shapes)
    {
        for (const auto& s : shapes) {
            SCOPED_TRACE(s.name);
            service_.requests.clear();
            auto client = test::raw_socket::connect(loop_, server_.port());
            if (GetParam()) {
                for (char byte : s.bytes) {
                    client->send({&byte, 1});
                    loop_.poll();
                }
            } else {
                client->send(s.bytes);
            }
            EXPECT_TRUE(test::loop_until(loop_, [&] { return is_whole(client->received); }));
            EXPECT_EQ(status_of(client->received), s.status) << client->received;
            EXPECT_EQ(client->received.find("Connection: close") != std::string::npos, s.closes) << client->received;
            for (const auto& request : service_.requests)
                EXPECT_EQ(request.target.find("smuggled"), std::string::npos);
            EXPECT_EQ(service_.requests.size(), s.status == 200 ? 1u : 0u);
            if (s.closes) {
                EXPECT_TRUE(test::loop_until(loop_, [&] { return client->ended; }));
                EXPECT_EQ(client->received.find("HTTP/1.1 ", 9), std::string::npos) << "two answers: " << client->received;
            } else {
                client->send("GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
                EXPECT_TRUE(test::loop_until(loop_, [&] { return client->received.find("GET /next\n") != std::string::npos; }));
            }
        }
    }

    loop loop_;
    test::http_service service_;
    http::server server_{loop_, {}, service_};
};

TEST_P(smuggling, transfer_encoding) { check(transfer_encodings()); }
TEST_P(smuggling, content_length) { check(lengths()); }
TEST_P(smuggling, chunks) { check(chunk_shapes()); }
TEST_P(smuggling, head) { check(heads()); }

INSTANTIATE_TEST_SUITE_P(sent, smuggling, ::testing::Values(false, true),
                         [](const auto& how) { return how.param ? "byte_by_byte" : "at_once"; });

}
}
