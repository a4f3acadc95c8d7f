#include "core/rfc3339.hpp"

#include <gtest/gtest.h>

namespace sluice::core {

TEST(rfc3339, is_in_utc_to_the_second)
{
    EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00Z");
    EXPECT_EQ(rfc3339(1'767'323'045'999), "2026-01-02T03:04:05Z");
    EXPECT_EQ(rfc3339(1'709'251'199'000), "2024-02-29T23:59:59Z"); // a leap day
}

}
