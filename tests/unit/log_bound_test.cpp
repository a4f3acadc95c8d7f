#include "core/log_bound.hpp"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using std::chrono::milliseconds;

TEST(log_bound, allows_so_many_a_second_and_counts_the_rest)
{
    core::log_bound bound(2);
    const mono_time start{std::chrono::hours(1)};
    EXPECT_EQ(bound.allow(start), 0u);
    EXPECT_EQ(bound.allow(start + milliseconds(1)), 0u);
    EXPECT_FALSE(bound.allow(start + milliseconds(2)));
    EXPECT_FALSE(bound.allow(start + milliseconds(999)));
    EXPECT_EQ(bound.allow(start + milliseconds(1000)), 2u);
    EXPECT_EQ(bound.allow(start + milliseconds(1001)), 0u);
}

}
}
