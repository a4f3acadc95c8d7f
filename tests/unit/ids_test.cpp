#include "core/ids.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

using namespace sluice::core;

TEST(ids_test, has_the_form_of_a_version_7_uuid)
{
    // RFC 9562, appendix A.6: 0x017F22E279B0 is 2022-02-22T19:22:22Z.
    EXPECT_EQ(make_id(0x017F22E279B0, 0xCC3, 0x18C4DC0C0C07398Full), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    EXPECT_EQ(make_id(0, 0, 0), "00000000-0000-7000-8000-000000000000");
    EXPECT_EQ(make_id(0xFFFFFFFFFFFF, 4095, ~0ull), "ffffffff-ffff-7fff-bfff-ffffffffffff");
}

TEST(ids_test, carries_time_and_partition)
{
    std::mt19937_64 random(7);
    std::set<std::string> seen;
    for (std::uint32_t partition = 0; partition < id_partitions_max; ++partition) {
        const auto id = make_id(1'790'000'000'123, partition, random());
        EXPECT_TRUE(seen.insert(id).second);
        const auto parts = parse_id(id);
        ASSERT_TRUE(parts) << id;
        EXPECT_EQ(parts->partition, partition);
        EXPECT_EQ(parts->at, 1'790'000'000'123);
    }
}

TEST(ids_test, sorts_by_time) { EXPECT_LT(make_id(1000, 4095, ~0ull), make_id(1001, 0, 0)); }

TEST(ids_test, refuses_what_is_no_id)
{
    for (auto text :
         {"", "017f22e2-79b0-7cc3-98c4-dc0c0c07398", "017f22e2-79b0-7cc3-98c4-dc0c0c07398ff", "017F22E2-79b0-7cc3-98c4-dc0c0c07398f",
          "017f22e2-79b0-4cc3-98c4-dc0c0c07398f", "017f22e2-79b0-7cc3-c8c4-dc0c0c07398f", "017f22e2079b0-7cc3-98c4-dc0c0c07398f",
          "g17f22e2-79b0-7cc3-98c4-dc0c0c07398f"})
        EXPECT_FALSE(parse_id(text)) << text;
}
