#include "core/forward.hpp"
#include "core/ids.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace sluice;
using namespace sluice::core;
using testing::HasSubstr;
using testing::Not;

namespace {

const std::string id = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
constexpr auto caller_trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
constexpr auto our_trace = "traceparent: 00-017f22e279b07cc398c4dc0c0c07398f-98c4dc0c0c07398f-01\r\n";

std::string lines_of(std::vector<header_view> fields, std::string_view* call_id = nullptr, std::string_view user_agent = {})
{
    http_request request{"POST", "/", std::move(fields), "", "10.1.2.3:4567"};
    std::string block;
    const auto used = append_forwarded(block, request, {id, 1234, user_agent});
    if (call_id)
        *call_id = used;
    EXPECT_LE(block.size(), field_bytes(request) + additions_bytes_max);
    return block;
}

}

TEST(lists, have_their_words_and_no_parts_of_them)
{
    EXPECT_TRUE(list_has("close", "Close"));
    EXPECT_TRUE(list_has("keep-alive , X-Mine\t,,", "x-mine"));
    EXPECT_TRUE(list_has(" , a", "a"));
    EXPECT_FALSE(list_has("x-mine-too, my-x-mine", "x-mine"));
    EXPECT_FALSE(list_has("x mine", "x"));
    EXPECT_FALSE(list_has("", "x"));
    EXPECT_FALSE(list_has(" \t", "x"));
}

TEST(forward_test, takes_targets_apart_without_decoding)
{
    auto parts = split_target("/function/f.ns/a%2Fb/../c?x=%3F?y", "/function/");
    EXPECT_EQ(parts.name, "f.ns");
    EXPECT_EQ(parts.path, "/a%2Fb/../c");
    EXPECT_EQ(parts.query, "?x=%3F?y");
    parts = split_target("/function/f?q=/a", "/function/");
    EXPECT_EQ(parts.name, "f");
    EXPECT_EQ(parts.path, "");
    EXPECT_EQ(parts.query, "?q=/a");
    parts = split_target("/function/", "/function/");
    EXPECT_EQ(parts.name, "");
    EXPECT_EQ(split_target("/function/f/", "/function/").path, "/");
}

TEST(forward_test, keeps_the_callers_fields_in_order)
{
    EXPECT_EQ(lines_of({{"Content-Type", "image/png"},
                        {"X-A", "1"},
                        {"x-a", "2"},
                        {"X-Call-Id", "mine"},
                        {"X-Forwarded-For", "1.1.1.1"},
                        {"X-Forwarded-Host", "h"},
                        {"traceparent", caller_trace},
                        {"tracestate", "a=b"},
                        {"Authorization", "Bearer t"}}),
              "Content-Type: image/png\r\nX-A: 1\r\nx-a: 2\r\nX-Call-Id: mine\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Host: h\r\n"
              "traceparent: "
                  + std::string(caller_trace) + "\r\ntracestate: a=b\r\nAuthorization: Bearer t\r\nX-Start-Time: 1234\r\n");
}

TEST(forward_test, adds_what_the_caller_did_not_send)
{
    std::string_view call_id;
    EXPECT_EQ(lines_of({{"Host", "example.com"}}, &call_id, "ours/1"),
              "X-Call-Id: " + id
                  + "\r\nX-Start-Time: 1234\r\nX-Forwarded-For: 10.1.2.3:4567\r\nX-Forwarded-Host: example.com\r\n"
                    "User-Agent: ours/1\r\n"
                  + our_trace);
    EXPECT_EQ(call_id, id);
    EXPECT_THAT(lines_of({{"user-agent", "curl"}}, nullptr, "ours/1"), Not(HasSubstr("ours/1")));
    EXPECT_THAT(lines_of({{"X-Call-Id", ""}}), AllOf(HasSubstr("X-Call-Id: " + id), Not(HasSubstr("X-Call-Id: \r\n"))));
}

TEST(forward_test, a_second_hop_sees_both_start_times)
{
    EXPECT_THAT(lines_of({{"X-Start-Time", "99"}}), AllOf(HasSubstr("X-Start-Time: 99\r\n"), HasSubstr("X-Start-Time: 1234\r\n")));
}

TEST(forward_test, leaves_out_what_belongs_to_the_connection_or_to_us)
{
    const auto lines = lines_of({{"Host", "h"},
                                 {"Content-Length", "3"},
                                 {"Connection", "keep-alive, X-Hop , x-other"},
                                 {"X-Hop", "no"},
                                 {"X-Other", "no"},
                                 {"Keep-Alive", "no"},
                                 {"TE", "no"},
                                 {"Transfer-Encoding", "no"},
                                 {"Upgrade", "no"},
                                 {"Proxy-Authorization", "no"},
                                 {"Trailer", "no"},
                                 {"Expect", "no"},
                                 {"sluice-replica-token", "no"},
                                 {"x-sluice-attempt", "no"},
                                 {"X-Sluice-Epoch", "no"},
                                 {"X-Kept", "yes"}});
    EXPECT_THAT(lines,
                AllOf(HasSubstr("X-Kept: yes"), Not(HasSubstr(": no")), Not(HasSubstr("Content-Length")), Not(HasSubstr("\r\nHost:"))));
    EXPECT_THAT(lines_of({{"Connection", "X-Call-Id"}, {"X-Call-Id", "mine"}}), HasSubstr("X-Call-Id: " + id));
}

TEST(forward_test, checks_traceparents)
{
    EXPECT_TRUE(is_traceparent(caller_trace));
    EXPECT_TRUE(is_traceparent("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-future"));
    for (auto wrong :
         {"", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
          "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-00000000000000000000000000000000-b7ad6b7169203331-01",
          "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
          "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x"})
        EXPECT_FALSE(is_traceparent(wrong)) << wrong;
    for (std::uint64_t random : {0ull, ~0ull, 42ull})
        EXPECT_TRUE(is_traceparent(make_traceparent(make_id(1'790'000'000'000, 3, random))));
}

TEST(forward_test, an_invalid_trace_is_replaced_with_its_state)
{
    for (auto fields :
         {std::vector<header_view>{{"traceparent", "junk"}, {"tracestate", "a=b"}}, std::vector<header_view>{{"tracestate", "a=b"}},
          std::vector<header_view>{{"traceparent", caller_trace}, {"Traceparent", caller_trace}}})
    {
        const auto lines = lines_of(std::move(fields));
        EXPECT_THAT(lines, AllOf(HasSubstr(our_trace), Not(HasSubstr("junk")), Not(HasSubstr("tracestate")), Not(HasSubstr("0af765"))));
    }
}
