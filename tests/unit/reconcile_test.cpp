#include "core/reconcile.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace sluice::core {

namespace {

using std::chrono::milliseconds;
constexpr std::uint64_t old_hash = 1, new_hash = 2;
const mono_time start_of_time = mono_time(std::chrono::hours(1000));

replica_state make_replica(std::string id, std::uint64_t hash, replica_phase phase, milliseconds age = milliseconds(0))
{
    return {std::move(id), hash, phase, start_of_time - age};
}

std::vector<std::string> steps(const function_state& function, std::uint32_t free_slots = 100)
{
    static const char* names[] = {"start", "leave", "terminate", "kill"};
    std::vector<std::string> list;
    for (const auto& step : reconcile(function, {}, free_slots, start_of_time).steps)
        list.push_back(std::string(names[static_cast<int>(step.action)]) + (step.replica.empty() ? "" : " " + step.replica));
    return list;
}

using list = std::vector<std::string>;

}

TEST(reconcile, starts_what_is_missing_within_the_bound)
{
    EXPECT_EQ(steps({2, new_hash, {}, {}}), (list{"start", "start"}));
    EXPECT_EQ(steps({2, new_hash, {make_replica("a", new_hash, replica_phase::starting)}, {}}), (list{"start"}));
    EXPECT_EQ(steps({5, new_hash, {}, {}}, 3), (list{"start", "start", "start"}));
    EXPECT_EQ(steps({1, new_hash, {make_replica("a", new_hash, replica_phase::stopping)}, {}}), (list{"start"}));
}

TEST(reconcile, waits_after_failures)
{
    const auto decision = reconcile({1, new_hash, {}, start_of_time + milliseconds(50)}, {}, 10, start_of_time);
    EXPECT_TRUE(decision.steps.empty());
    EXPECT_EQ(decision.wake, start_of_time + milliseconds(50));
    EXPECT_EQ(steps({1, new_hash, {}, start_of_time}), (list{"start"}));
}

TEST(reconcile, old_replicas_leave_as_new_ones_get_ready)
{
    const auto a = make_replica("a", old_hash, replica_phase::ready), b = make_replica("b", old_hash, replica_phase::ready);
    EXPECT_EQ(steps({2, new_hash, {a, b}, {}}), (list{"start", "start"}));
    const auto c = make_replica("c", new_hash, replica_phase::starting), d = make_replica("d", new_hash, replica_phase::ready);
    EXPECT_EQ(steps({2, new_hash, {a, b, c, d}, {}}), (list{"leave b"}));
    const auto e = make_replica("e", new_hash, replica_phase::ready);
    EXPECT_EQ(steps({2, new_hash, {a, d, e}, {}}), (list{"leave a"}));
    const auto broken = make_replica("x", old_hash, replica_phase::starting);
    EXPECT_EQ(steps({1, new_hash, {broken}, {}}), (list{"leave x", "start"}));
}

TEST(reconcile, surplus_leaves_unready_and_newest_first)
{
    const auto a = make_replica("a", new_hash, replica_phase::ready), b = make_replica("b", new_hash, replica_phase::starting),
               c = make_replica("c", new_hash, replica_phase::ready);
    EXPECT_EQ(steps({2, new_hash, {a, b, c}, {}}), (list{"leave b"}));
    EXPECT_EQ(steps({1, new_hash, {a, b, c}, {}}), (list{"leave b", "leave c"}));
    EXPECT_EQ(steps({0, new_hash, {a, b, c}, {}}), (list{"leave b", "leave c", "leave a"}));
}

TEST(reconcile, each_phase_has_its_deadline)
{
    const reconcile_policy policy;
    const auto aged = [](replica_phase phase, milliseconds age) {
        return function_state{1, new_hash, {make_replica("a", new_hash, phase, age)}, {}};
    };
    EXPECT_EQ(steps(aged(replica_phase::starting, policy.start_deadline)), (list{"kill a"}));
    EXPECT_EQ(steps(aged(replica_phase::starting, policy.start_deadline - milliseconds(1))), list{});
    EXPECT_EQ(steps(aged(replica_phase::silent, policy.start_deadline)), (list{"kill a"}));
    EXPECT_EQ(steps(aged(replica_phase::failing, milliseconds(1'000'000))), list{}) << "it answers: it may be busy";
    EXPECT_EQ(steps(aged(replica_phase::ready, milliseconds(1'000'000))), list{});
    EXPECT_EQ(steps(aged(replica_phase::leaving, policy.leave_wait)), (list{"terminate a", "start"}));
    EXPECT_EQ(steps(aged(replica_phase::stopping, policy.stop_deadline)), (list{"kill a", "start"}));
    const auto wake =
        reconcile({0, new_hash, {make_replica("a", new_hash, replica_phase::leaving, milliseconds(100))}, {}}, policy, 0, start_of_time)
            .wake;
    EXPECT_EQ(wake, start_of_time + policy.leave_wait - milliseconds(100));
}

// A machine that does what it is told, with replicas that get ready, fail and end by chance: the number that serves never falls through a
// change of version, the bound holds, and at rest what is wanted runs and nothing else.
TEST(reconcile, converges_whatever_happens)
{
    std::mt19937 random(7);
    const auto chance = [&](int percent) { return static_cast<int>(random() % 100) < percent; };
    for (int round = 0; round < 300; ++round) {
        function_state function{1 + static_cast<std::uint32_t>(random() % 4), old_hash, {}, {}};
        const std::uint32_t bound = 12;
        mono_time now = start_of_time;
        int next_id = 0;
        const auto turn = [&](bool disturb) {
            now += milliseconds(500);
            for (auto& each : function.replicas)
                if (each.phase == replica_phase::starting && (!disturb || chance(50)))
                    each = {each.id, each.spec_hash, replica_phase::ready, now};
            std::erase_if(function.replicas, [&](const auto& each) {
                return (each.phase == replica_phase::stopping && (!disturb || chance(50))) || (disturb && chance(3));
            });
            const auto total = static_cast<std::uint32_t>(function.replicas.size());
            for (const auto& step : reconcile(function, {}, bound - std::min(bound, total), now).steps) {
                if (step.action == replica_action::start) {
                    function.replicas.push_back({std::to_string(next_id++), function.spec_hash, replica_phase::starting, now});
                    continue;
                }
                const auto at = std::find_if(function.replicas.begin(), function.replicas.end(),
                                             [&](const auto& each) { return each.id == step.replica; });
                ASSERT_NE(at, function.replicas.end());
                if (step.action == replica_action::kill)
                    function.replicas.erase(at);
                else
                    *at = {at->id, at->spec_hash, step.action == replica_action::leave ? replica_phase::leaving : replica_phase::stopping,
                           now};
            }
            EXPECT_LE(function.replicas.size(), bound);
        };
        const auto serving = [&] {
            return std::count_if(function.replicas.begin(), function.replicas.end(),
                                 [](const auto& each) { return each.phase == replica_phase::ready; });
        };
        for (int i = 0; i < 30; ++i)
            turn(true);
        for (int i = 0; i < 10; ++i)
            turn(false);
        function.spec_hash = new_hash;
        for (int i = 0; i < 10; ++i) {
            turn(false);
            EXPECT_GE(serving(), function.desired);
        }
        EXPECT_EQ(function.replicas.size(), function.desired);
        for (const auto& each : function.replicas)
            EXPECT_TRUE(each.spec_hash == new_hash && each.phase == replica_phase::ready);
        EXPECT_TRUE(reconcile(function, {}, bound, now).steps.empty());
        function.desired = 0;
        for (int i = 0; i < 10; ++i)
            turn(false);
        EXPECT_TRUE(function.replicas.empty());
    }
}

TEST(reconcile, labels_say_how_many)
{
    EXPECT_EQ(replicas_wanted({}, {}).count, 1U);
    EXPECT_EQ(replicas_wanted("3", {}).count, 3U);
    EXPECT_EQ(replicas_wanted("3", "2").count, 2U);
    EXPECT_EQ(replicas_wanted("0", {}).count, 1U);
    EXPECT_FALSE(replicas_wanted("3", "9").wrong);
    for (const char* wrong : {"", "x", "-1", "1.5", "99999999999"})
        EXPECT_TRUE(replicas_wanted(wrong, {}).wrong) << wrong;
    EXPECT_TRUE(replicas_wanted({}, "0").wrong);
}

}
