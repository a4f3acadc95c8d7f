#include "core/reservations.hpp"

#include "tests/support/driven_shard.hpp"

using namespace sluice;
using namespace sluice::core;
using namespace sluice::testing_support;
using slots = std::vector<journal::reserved>;

namespace {

constexpr mono_time start{std::chrono::hours(1)};

struct reservations_test : testing::Test {
    stored_partition store;
    shard_options options;

    reservations_test()
    {
        options.tenant_concurrency = 5;
        options.partitions.reserve = {0, milliseconds(60'000), milliseconds(10'000)}; // the limit is the shard's
        for (int i = 0; i < 20; ++i)
            store.accept({.id = std::to_string(i)});
    }
    static void own(driven_shard& owner)
    {
        owner.own();
        owner.replicas("f.s", {owner.replica(100)});
    }
    std::vector<std::uint32_t> recorded() const
    {
        std::vector<std::uint32_t> found;
        for (const auto& each : store.records<journal::reserved>())
            found.push_back(each.slots);
        return found;
    }
};

}

TEST_F(reservations_test, without_a_call_timeout_nothing_is_reserved_and_nothing_counts_after_a_takeover)
{
    {
        driven_shard with(store, options);
        own(with);
        EXPECT_EQ(with.dispatched.size(), 5u);
        EXPECT_FALSE(recorded().empty());
    }
    const auto before = recorded().size();
    options.partitions.reserve.call_timeout = milliseconds(0);
    driven_shard without(store, options);
    own(without);
    EXPECT_EQ(without.dispatched.size(), 5u) << "the former owner's do not count";
    const auto all = recorded();
    for (const auto kept : std::vector<std::uint32_t>(all.begin() + static_cast<std::ptrdiff_t>(before), all.end()))
        EXPECT_EQ(kept, 0u) << "what was reserved is given up";
}

TEST_F(reservations_test, a_larger_one_is_on_record_before_more_calls_run)
{
    driven_shard owner(store, options);
    owner.own();
    owner.hold_appends = true;
    owner.replicas("f.s", {owner.replica(100)});
    EXPECT_EQ(owner.dispatched.size(), 1u) << "reserved when it was first in turn";
    owner.release_appends();
    EXPECT_EQ(owner.dispatched.size(), 5u);
    EXPECT_EQ(recorded(), (std::vector<std::uint32_t>{1, 2, 4, 5}));
}

TEST_F(reservations_test, a_new_owner_counts_it_as_running_until_no_call_can)
{
    options.tenant_concurrency = 5;
    driven_shard owner(store, options);
    owner.own();
    owner.replicas("f.s", {owner.replica(3)});
    ASSERT_EQ(owner.dispatched.size(), 3u);
    ASSERT_EQ(recorded().back(), 4u);
    driven_shard next(store, options);
    own(next);
    EXPECT_EQ(next.dispatched.size(), 1u) << "of five, four may run already";
    next.answer(0, delivered(200));
    EXPECT_EQ(next.dispatched.size(), 2u);
    EXPECT_EQ(next.engine.count().running, 1u);
    next.advance(milliseconds(59'999));
    EXPECT_EQ(next.engine.count().running, 1u);
    next.advance(milliseconds(1));
    EXPECT_EQ(next.engine.count().running, 5u);
}

TEST_F(reservations_test, a_handing_over_in_order_leaves_none)
{
    driven_shard owner(store, options);
    own(owner);
    ASSERT_EQ(owner.dispatched.size(), 5u);
    owner.engine.drain();
    for (std::size_t i = 0; i < 5; ++i) {
        EXPECT_TRUE(store.records<journal::handed_over>().empty());
        owner.answer(i, delivered(200));
    }
    EXPECT_EQ(store.records<journal::handed_over>().size(), 1u);
    EXPECT_TRUE(owner.engine.quiet());
    driven_shard next(store, options);
    own(next);
    EXPECT_EQ(next.dispatched.size(), 5u);
}

TEST_F(reservations_test, a_handing_over_while_calls_of_the_owner_before_may_run_leaves_them_counted)
{
    driven_shard dead(store, options);
    own(dead);
    ASSERT_EQ(dead.dispatched.size(), 5u);
    driven_shard short_lived(store, options);
    short_lived.own("short-lived");
    short_lived.engine.drain();
    short_lived.step();
    EXPECT_TRUE(short_lived.engine.quiet());
    EXPECT_TRUE(store.records<journal::handed_over>().empty());
    driven_shard next(store, options);
    own(next);
    EXPECT_TRUE(next.dispatched.empty());
    next.advance(milliseconds(60'000));
    EXPECT_EQ(next.dispatched.size(), 5u);
}

TEST_F(reservations_test, what_is_not_used_is_given_up)
{
    options.tenant_concurrency = 20;
    driven_shard owner(store, options);
    own(owner);
    ASSERT_EQ(owner.dispatched.size(), 20u);
    ASSERT_EQ(recorded().back(), 20u);
    for (std::size_t i = 0; i < 20; ++i)
        owner.answer(i, delivered(200));
    owner.advance(milliseconds(30'000));
    EXPECT_EQ(recorded().back(), 0u);
    store.accept({.id = "later"});
    driven_shard next(store, options);
    own(next);
    EXPECT_EQ(next.dispatched.size(), 1u) << "and none of them is a ghost";
}

TEST(reservations_alone_test, one_that_is_being_lowered_binds_at_once_and_a_larger_one_when_stored)
{
    reservations all({16, milliseconds(60'000), milliseconds(10'000)});
    all.begin(start);
    EXPECT_FALSE(all.may_start("t"));
    EXPECT_EQ(all.grow("t"), (slots{{"t", 1}}));
    EXPECT_TRUE(all.grow("t").empty()) << "it is under way";
    EXPECT_FALSE(all.may_start("t"));
    EXPECT_EQ(all.stored({"t", 1}, 7), 0u);
    EXPECT_TRUE(all.may_start("t"));
    EXPECT_TRUE(all.counts({"t", 1}, 7));
    EXPECT_FALSE(all.counts({"t", 1}, 6));
    EXPECT_TRUE(all.shrink(start).empty());
    EXPECT_EQ(all.shrink(start + std::chrono::seconds(10)), (slots{{"t", 0}}));
    EXPECT_FALSE(all.may_start("t"));
    EXPECT_EQ(all.stored({"t", 0}, 8), 7u);
    EXPECT_EQ(all.tenants(), 1u);
    EXPECT_TRUE(all.shrink(start + std::chrono::seconds(20)).empty());
    EXPECT_EQ(all.tenants(), 0u) << "forgotten";
}

TEST(reservations_alone_test, ghosts_leave_their_place_to_nobody)
{
    reservations all({4, milliseconds(60'000), milliseconds(10'000)});
    all.restore("t", 4, 3);
    all.begin(start);
    EXPECT_FALSE(all.may_start("t"));
    EXPECT_TRUE(all.grow("t").empty()) << "the limit";
    all.end_ghosts(start + std::chrono::milliseconds(59'999));
    EXPECT_FALSE(all.may_start("t"));
    all.end_ghosts(start + std::chrono::milliseconds(60'000));
    EXPECT_TRUE(all.may_start("t"));
}
