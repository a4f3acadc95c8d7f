#include "core/config.hpp"
#include "core/listen_address.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using sluice::core::listen_address;
using sluice::core::parse_listen_address;

TEST(listen_address, is_read_and_written)
{
    const auto v4 = parse_listen_address("listen", "127.0.0.1:8080");
    EXPECT_EQ(v4.host, "127.0.0.1");
    EXPECT_EQ(v4.port, 8080);
    EXPECT_EQ(v4.text(), "127.0.0.1:8080");
    const auto v6 = parse_listen_address("listen", "[::1]:0");
    EXPECT_EQ(v6.host, "::1");
    EXPECT_EQ(v6.port, 0);
    EXPECT_EQ(v6.text(), "[::1]:0");
    EXPECT_EQ(parse_listen_address("listen", "localhost:8081").text(), "127.0.0.1:8081");
}

TEST(listen_address, what_is_none_is_refused_with_its_key)
{
    for (auto wrong : {"", "8080", ":8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "::1:80", "127.0.0.1:80 "})
        try {
            parse_listen_address("metrics_listen", wrong);
            ADD_FAILURE() << wrong;
        } catch (const sluice::config::error& error) {
            EXPECT_THAT(error.what(), testing::StartsWith("metrics_listen: ")) << wrong;
        }
}

}
