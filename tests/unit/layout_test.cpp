#include "core/layout.hpp"

#include <gtest/gtest.h>

#include <set>

using namespace sluice;
using namespace sluice::core;

namespace {

// A bucket of one key that answers at once; what happens to a create is chosen by the test.
struct one_key final : key_value {
    enum class fate { stored, stored_unknown, lost_unknown } create_fate = fate::stored;
    std::optional<std::string> value;
    bool readable = true;

    void get(std::string key, std::function<void(result<kv_entry>)> done) override
    {
        if (!readable)
            return done(log_errc::unavailable);
        if (!value)
            return done(log_errc::not_found);
        done(kv_entry{std::move(key), *value, 1, false});
    }
    void create(std::string, std::string wanted, std::function<void(result<std::uint64_t>)> done) override
    {
        if (create_fate == fate::lost_unknown)
            return done(log_errc::unknown);
        if (value)
            return done(log_errc::wrong_sequence);
        value = std::move(wanted);
        create_fate == fate::stored ? done(std::uint64_t{1}) : done(log_errc::unknown);
    }
    void put(std::string, std::string, std::function<void(result<std::uint64_t>)>) override { FAIL(); }
    void update(std::string, std::string, std::uint64_t, std::function<void(result<std::uint64_t>)>) override { FAIL(); }
    void erase(std::string, std::function<void(result<void>)>) override { FAIL(); }
    std::unique_ptr<watcher> watch(std::function<void(kv_entry)>, std::function<void()>) override { return nullptr; }
};

boost::system::result<std::uint32_t, std::string> agree(one_key& bucket, std::uint32_t wanted)
{
    boost::system::result<std::uint32_t, std::string> agreed = std::string("nothing was answered");
    agree_on_layout(bucket, wanted, [&](auto answer) { agreed = std::move(answer); });
    return agreed;
}

// 0: unknown.
std::uint32_t partitions_of(const boost::system::result<std::uint32_t, std::string>& agreed) { return agreed ? *agreed : 0; }

}

TEST(layout_test, whoever_comes_first_decides)
{
    one_key bucket;
    EXPECT_EQ(partitions_of(agree(bucket, 4)), 4u);
    EXPECT_EQ(partitions_of(agree(bucket, 8)), 4u);
    EXPECT_EQ(*bucket.value, R"({"version":1,"partitions":4})");
}

TEST(layout_test, an_answer_that_was_lost_ends_in_what_is_stored)
{
    one_key bucket;
    bucket.create_fate = one_key::fate::stored_unknown;
    EXPECT_EQ(partitions_of(agree(bucket, 4)), 4u);
    one_key empty;
    empty.create_fate = one_key::fate::lost_unknown;
    EXPECT_FALSE(agree(empty, 4)) << "unknown is no number";
    EXPECT_FALSE(empty.value);
}

TEST(layout_test, an_unreadable_layout_is_an_error_and_never_a_default)
{
    for (auto text : {"", "{}", "[]", "4", R"({"version":1})", R"({"version":1,"partitions":0})", R"({"version":1,"partitions":257})",
                      R"({"version":1,"partitions":-4})", R"({"version":1,"partitions":"4"})", R"({"version":"1","partitions":4})",
                      R"({"version":2,"partitions":4})", R"({"version":1,"partitions":4} x)", R"({"version":1,"partitions":4)"})
    {
        one_key bucket;
        bucket.value = text;
        const auto agreed = agree(bucket, 4);
        ASSERT_FALSE(agreed) << text;
        EXPECT_FALSE(agreed.error().empty());
        EXPECT_EQ(*bucket.value, text);
    }
    one_key away;
    away.readable = false;
    EXPECT_FALSE(agree(away, 4));
    EXPECT_NE(decode_layout(R"({"version":2,"partitions":4})").error().find("newer"), std::string::npos);
}

TEST(layout_test, tenants_are_spread_and_stay_where_they_are)
{
    std::set<std::uint32_t> used;
    for (int t = 0; t < 200; ++t) {
        const auto tenant = "tenant-" + std::to_string(t);
        const auto partition = partition_of(tenant, 8);
        ASSERT_LT(partition, 8u);
        used.insert(partition);
    }
    EXPECT_EQ(used.size(), 8u);
    // Part of the data's format: a change would look for a tenant's calls where they are not.
    EXPECT_EQ(partition_of("openfaas-fn", 4), 0x176e73f52dc36bull % 4);
    EXPECT_EQ(partition_of("openfaas-fn", 1), 0u);
}
