#include "core/cgi_environment.hpp"

#include <gtest/gtest.h>

namespace sluice::core {

namespace {

string_map environment_of(const http_request& request, string_map before = {})
{
    add_cgi_environment(before, request);
    return before;
}

http_request make_request(std::vector<header_view> fields)
{
    return {.method = "POST", .target = "/a%20b?x=1&y", .fields = std::move(fields), .body = "12345", .peer = "127.0.0.1:1"};
}

}

TEST(cgi_environment, tells_method_path_query_host_and_length)
{
    auto got = environment_of(make_request({{"Host", "example:80"}}), {{"own", "1"}});
    EXPECT_EQ(got,
              (string_map{{"own", "1"},
                          {"Http_Method", "POST"},
                          {"Http_Path", "/a%20b"},
                          {"Http_Query", "x=1&y"},
                          {"Http_Host", "example:80"},
                          {"Http_ContentLength", "5"},
                          {"Http_Content_Length", "5"}}));
}

TEST(cgi_environment, names_fields_as_go_does_and_takes_the_first_value)
{
    auto got = environment_of(make_request({{"x-call-ID", "1"}, {"X-Call-Id", "2"}, {"ACCEPT", "a"}}));
    EXPECT_EQ(got["Http_X_Call_Id"], "1");
    EXPECT_EQ(got["Http_Accept"], "a");
}

TEST(cgi_environment, keeps_from_the_function_what_is_not_for_it)
{
    auto got = environment_of(make_request({{"sluice-replica-token", "t"}, {"Proxy", "p"}}));
    EXPECT_FALSE(got.contains("Http_Sluice_Replica_Token"));
    EXPECT_FALSE(got.contains("Http_Proxy"));
}

TEST(cgi_environment, a_chunked_body_has_no_length)
{
    auto got = environment_of(make_request({{"Transfer-Encoding", "chunked"}}));
    EXPECT_EQ(got["Http_Content_Length"], "-1");
    EXPECT_EQ(got["Http_Transfer_Encoding"], "chunked");
}

TEST(cgi_environment, a_field_cannot_stand_for_what_is_ours)
{
    auto got = environment_of(make_request({{"Method", "DELETE"}, {"Path", "/other"}}));
    EXPECT_EQ(got["Http_Method"], "POST");
    EXPECT_EQ(got["Http_Path"], "/a%20b");
    auto request = make_request({{"Query", "forged"}, {"Host", "h"}, {"ContentLength", "9"}});
    request.target = "/";
    got = environment_of(request);
    EXPECT_FALSE(got.contains("Http_Query"));
    EXPECT_EQ(got["Http_ContentLength"], "5");
}

TEST(cgi_environment, no_field_makes_a_variable_that_programs_obey)
{
    const auto got = environment_of(make_request({{"LD_PRELOAD", "/tmp/x.so"}, {"Path", "/tmp"}, {"Proxy", "p"}, {"=x", "y"}}),
                                    {{"PATH", "/bin"}, {"Http_Own", "1"}});
    for (const auto& [name, value] : got)
        EXPECT_TRUE(name.starts_with("Http_") || name == "PATH") << name;
    EXPECT_EQ(got.at("PATH"), "/bin");
}

}
