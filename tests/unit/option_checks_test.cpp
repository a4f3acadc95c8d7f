#include "core/option_checks.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string_view>

using namespace sluice::core;

TEST(option_checks, take_what_a_role_can_use)
{
    for (const char* good : {"127.0.0.1:0", "[::1]:8080", "0.0.0.0:65535", "[fe80::1%lo]:1", "localhost:8080"})
        EXPECT_NO_THROW(check_listen_address(good)) << good;
    for (const char* good : {"10.0.0.0/8", "::1/128", "hooks.internal:8443"})
        EXPECT_NO_THROW(check_callback_allow(good)) << good;
    for (const char* good : {"a=http://127.0.0.1:1", "a.ns=http://localhost:1,max_inflight=3"})
        EXPECT_NO_THROW(check_static_function(good)) << good;
    for (const char* good : {"nats://127.0.0.1:4222", "tls://nats.example", "127.0.0.1", "nats://u:p@h:1/,tls://[::1]:2", "[::1]"})
        EXPECT_NO_THROW(check_nats_urls(good)) << good;
}

TEST(option_checks, show_nats_urls_without_passwords)
{
    EXPECT_EQ(without_userinfo("nats://h:4222"), "nats://h:4222");
    EXPECT_EQ(without_userinfo("nats://u:p@h:4222,tls://t@[::1]:1/"), "nats://***@h:4222,tls://***@[::1]:1/");
    EXPECT_EQ(without_userinfo("u:p@h"), "***@h");
    EXPECT_EQ(without_userinfo("nats://u:p,@q@h"), "nats://***@***@h");
    EXPECT_EQ(without_userinfo(""), "");
    EXPECT_NO_THROW(check_nats_urls(without_userinfo("nats://u:p@h:4222"))) << "a file with it can be read";
}

TEST(option_checks, refuse_the_rest)
{
    for (const char* bad : {"8080", "somewhere:8080", "[localhost]:8080", ":1", "::1:1", "127.0.0.1:65536", "127.0.0.1:"})
        EXPECT_THROW(check_listen_address(bad), std::invalid_argument) << bad;
    for (const char* bad : {"10.0.0.1/8", "10.0.0.0/8,::1", "a b"})
        EXPECT_THROW(check_callback_allow(bad), std::invalid_argument) << bad;
    try {
        check_callback_allow("10.0.0.0/8,::1");
    } catch (const std::invalid_argument& wrong) {
        EXPECT_TRUE(std::string_view(wrong.what()).ends_with("; the list's items are separated by ;")) << wrong.what();
    }
    for (const char* bad : {"a", "a=b", "a=http://127.0.0.1:1,x=2", "a=http://example.org:1"})
        EXPECT_THROW(check_static_function(bad), std::invalid_argument) << bad;
    for (const char* bad : {"", "http://h:1", "nats://", "nats://:1", "nats://h:0", "nats://h:x", "nats://h:1,", "nats://h/path"})
        EXPECT_THROW(check_nats_urls(bad), std::invalid_argument) << bad;
}
