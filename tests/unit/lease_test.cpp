// core/lease: who may act on a partition, against a store with compare-and-set whose answers are late, lost, or both, and workers whose
// clocks differ and run at different rates, that stop for a while and die.

#include "core/lease.hpp"

#include "tests/support/engine_timeline.hpp"

#include <gtest/gtest.h>
#include <memory>
#include <random>

namespace sluice {
namespace {

using core::lease;
using kind = lease::step::kind;
using namespace std::chrono_literals;

constexpr core::lease_options terms{3'000ms, 500ms, 750ms};
constexpr mono_time start{std::chrono::hours(1)};

kv_entry entry(std::uint64_t revision, std::string value) { return {"p0", std::move(value), revision, false}; }

TEST(lease, nothing_is_claimed_before_the_bucket_is_known)
{
    lease mine("a", "a1", terms);
    EXPECT_EQ(mine.next(start).what, kind::none);
    EXPECT_FALSE(mine.next_due());
    mine.current();
    EXPECT_EQ(mine.next(start).what, kind::create);
    EXPECT_EQ(mine.next(start + 749ms).what, kind::none) << "one write at a time";
    mine.written(1, std::uint64_t{1}, start + 10ms);
    EXPECT_TRUE(mine.may_act(start + 2'499ms)) << "from the time of sending, less the margin";
    EXPECT_FALSE(mine.may_act(start + 2'500ms));
}

TEST(lease, what_another_holds_is_claimed_one_ttl_after_the_last_change_seen)
{
    lease first("a", "a1", terms);
    first.current();
    const auto value = first.next(start).value;
    lease second("b", "b1", terms);
    second.current();
    second.seen(entry(1, value), start);
    EXPECT_EQ(second.holder(), "a");
    EXPECT_EQ(second.next(start + 2'999ms).what, kind::none);
    EXPECT_EQ(second.next_due(), start + 3s);
    const auto claim = second.next(start + 3s);
    EXPECT_EQ(claim.what, kind::update);
    EXPECT_EQ(claim.revision, 1u);
}

TEST(lease, what_was_given_back_or_was_ours_in_a_former_life_is_claimed_at_once)
{
    lease first("a", "a1", terms);
    first.current();
    const auto held = first.next(start).value;
    first.written(1, std::uint64_t{1}, start);
    lease again("a", "a2", terms);
    again.current();
    again.seen(entry(1, held), start + 1ms);
    EXPECT_FALSE(again.mine());
    EXPECT_EQ(again.next(start + 1ms).what, kind::update);

    first.give_back(start + 2ms);
    EXPECT_FALSE(first.may_act(start + 2ms));
    const auto freed = first.next(start + 2ms);
    ASSERT_EQ(freed.what, kind::update);
    lease other("b", "b1", terms);
    other.current();
    other.seen(entry(2, freed.value), start + 3ms);
    EXPECT_EQ(other.holder(), "");
    EXPECT_EQ(other.next(start + 3ms).what, kind::update);
    first.written(2, std::uint64_t{2}, start + 4ms);
    EXPECT_FALSE(first.mine());
    EXPECT_EQ(first.next(start + 10s).what, kind::none) << "given back for good";
}

TEST(lease, of_two_workers_with_one_name_the_earlier_stands_by)
{
    lease first("a", "a1", terms), second("a", "a2", terms);
    first.current();
    second.current();
    const auto held = first.next(start).value;
    first.written(1, std::uint64_t{1}, start);
    second.seen(entry(1, held), start);
    const auto claim = second.next(start + 1ms);
    ASSERT_EQ(claim.what, kind::update);
    second.written(claim.number, std::uint64_t{2}, start + 1ms);
    first.seen(entry(2, claim.value), start + 2ms);
    EXPECT_TRUE(first.taken_by_namesake());
    EXPECT_FALSE(second.taken_by_namesake());
    EXPECT_EQ(first.next(start + 2'000ms).what, kind::none);
    const auto renewal = second.next(start + 751ms);
    ASSERT_EQ(renewal.what, kind::update);
    first.seen(entry(3, renewal.value), start + 752ms);
    EXPECT_TRUE(first.taken_by_namesake());
    EXPECT_EQ(first.next_due(), start + 3'752ms) << "one ttl after the last renewal seen";
    EXPECT_EQ(first.next(start + 3'751ms).what, kind::none);
    const auto back = first.next(start + 3'752ms);
    ASSERT_EQ(back.what, kind::update);
    first.written(back.number, std::uint64_t{4}, start + 3'753ms);
    EXPECT_TRUE(first.mine());
    EXPECT_FALSE(first.taken_by_namesake());
}

TEST(lease, a_renewal_under_way_when_it_is_given_back_does_not_count_as_giving_back)
{
    lease mine("a", "a1", terms);
    mine.current();
    mine.next(start);
    mine.give_back(start + 1ms);
    mine.written(1, std::uint64_t{1}, start + 2ms);
    EXPECT_TRUE(mine.mine());
    EXPECT_FALSE(mine.may_act(start + 2ms));
    EXPECT_EQ(mine.next(start + 2ms).what, kind::update);
}

TEST(lease, an_unknown_write_that_was_stored_counts_from_when_it_was_sent)
{
    lease mine("a", "a1", terms);
    mine.current();
    const auto sent = mine.next(start);
    mine.written(1, log_errc::unknown, start + 700ms);
    EXPECT_FALSE(mine.mine());
    mine.seen(entry(4, sent.value), start + 2'100ms);
    EXPECT_TRUE(mine.mine());
    EXPECT_TRUE(mine.may_act(start + 2'499ms));
    EXPECT_FALSE(mine.may_act(start + 2'500ms));
}

TEST(lease, a_write_without_an_answer_is_repeated_and_its_late_answer_counts)
{
    lease mine("a", "a1", terms);
    mine.current();
    mine.next(start);
    EXPECT_EQ(mine.next_due(), start + 750ms);
    const auto again = mine.next(start + 750ms);
    EXPECT_EQ(again.what, kind::create);
    EXPECT_EQ(again.number, 2u);
    mine.written(1, std::uint64_t{5}, start + 800ms);
    EXPECT_TRUE(mine.may_act(start + 2'499ms));
    EXPECT_FALSE(mine.may_act(start + 2'500ms)) << "the second may never arrive";
    mine.written(2, log_errc::wrong_sequence, start + 900ms);
    EXPECT_TRUE(mine.may_act(start + 2'499ms));
}

TEST(lease, a_write_that_the_watcher_tells_of_first_is_not_repeated_before_its_time)
{
    lease mine("a", "a1", terms);
    mine.current();
    const auto sent = mine.next(start);
    mine.seen(entry(1, sent.value), start + 1ms);
    EXPECT_EQ(mine.next(start + 1ms).what, kind::none);
    mine.written(1, std::uint64_t{1}, start + 2ms);
    EXPECT_EQ(mine.next(start + 749ms).what, kind::none);
    EXPECT_EQ(mine.next(start + 750ms).what, kind::update);
}

TEST(lease, the_longer_ttl_counts_of_the_holders_and_ones_own)
{
    core::lease_options longer{10'000ms, 500ms, 750ms};
    lease first("a", "a1", longer);
    first.current();
    lease second("b", "b1", terms);
    second.current();
    second.seen(entry(1, first.next(start).value), start);
    EXPECT_EQ(second.next(start + 9'999ms).what, kind::none);
    EXPECT_EQ(second.next(start + 10s).what, kind::update);
}

TEST(lease, a_lost_race_is_read_before_anything_is_written_again)
{
    lease mine("a", "a1", terms);
    mine.current();
    mine.next(start);
    mine.written(1, log_errc::wrong_sequence, start);
    EXPECT_EQ(mine.next(start).what, kind::read);
    mine.read(entry(7, R"({"version":1,"worker":"b","session":"b1","renewal":3,"ttl_ms":3000})"), start + 5ms);
    EXPECT_EQ(mine.holder(), "b");
    EXPECT_EQ(mine.next(start + 3s).what, kind::none);
    EXPECT_EQ(mine.next(start + 3'005ms).what, kind::update);
}

TEST(lease, an_erased_key_is_waited_for_like_a_held_one)
{
    lease mine("b", "b1", terms);
    mine.current();
    mine.seen(entry(1, R"({"version":1,"worker":"a","session":"a1","renewal":3,"ttl_ms":3000})"), start);
    mine.seen({"p0", {}, 2, true}, start + 1s);
    EXPECT_EQ(mine.next(start + 3'999ms).what, kind::none);
    EXPECT_EQ(mine.next(start + 4s).what, kind::create);
}

TEST(lease, a_bucket_made_anew_is_claimed_again_though_its_revisions_are_lower)
{
    lease mine("a", "a1", terms);
    mine.current();
    mine.next(start);
    mine.written(1, std::uint64_t{66}, start);
    EXPECT_EQ(mine.next(start + 750ms).revision, 66u);
    mine.written(2, log_errc::wrong_sequence, start + 751ms); // nothing is there
    EXPECT_EQ(mine.next(start + 751ms).what, kind::read);
    mine.read(log_errc::not_found, start + 752ms);
    EXPECT_FALSE(mine.mine());
    EXPECT_EQ(mine.next(start + 3'751ms).what, kind::none) << "as if it had been erased";
    EXPECT_EQ(mine.next(start + 3'752ms).what, kind::create);
    mine.written(3, std::uint64_t{1}, start + 3'753ms);
    EXPECT_TRUE(mine.may_act(start + 3'753ms));
    EXPECT_EQ(mine.next(start + 4'502ms).revision, 1u);
}

TEST(lease, a_bucket_restored_from_a_backup_is_taken_as_it_is)
{
    lease mine("a", "a1", terms);
    mine.current();
    mine.next(start);
    mine.written(1, std::uint64_t{66}, start);
    mine.next(start + 750ms);
    mine.written(2, log_errc::wrong_sequence, start + 751ms);
    EXPECT_EQ(mine.next(start + 751ms).what, kind::read);
    mine.read(entry(40, R"({"version":1,"worker":"b","session":"b1","renewal":3,"ttl_ms":3000})"), start + 752ms);
    EXPECT_FALSE(mine.mine());
    EXPECT_EQ(mine.holder(), "b");
    const auto claim = mine.next(start + 3'752ms);
    EXPECT_EQ(claim.what, kind::update);
    EXPECT_EQ(claim.revision, 40u);
    mine.written(3, std::uint64_t{41}, start + 3'753ms);
    EXPECT_TRUE(mine.may_act(start + 3'753ms));
}

TEST(lease, a_read_that_the_watcher_overtook_is_not_taken_for_another_bucket)
{
    lease mine("a", "a1", terms);
    mine.current();
    mine.next(start);
    mine.written(1, log_errc::wrong_sequence, start);
    EXPECT_EQ(mine.next(start).what, kind::read);
    mine.seen(entry(8, R"({"version":1,"worker":"b","session":"b1","renewal":4,"ttl_ms":3000})"), start + 4ms);
    mine.read(entry(7, R"({"version":1,"worker":"c","session":"c1","renewal":3,"ttl_ms":3000})"), start + 5ms);
    EXPECT_EQ(mine.holder(), "b");
    EXPECT_EQ(mine.next(start + 3'004ms).revision, 8u);
}

TEST(lease, a_value_of_a_newer_release_is_never_claimed)
{
    lease mine("b", "b1", terms);
    mine.current();
    mine.seen(entry(1, R"({"version":2,"worker":"a","session":"a1","renewal":3,"ttl_ms":3000})"), start);
    EXPECT_NE(mine.problem(), "");
    EXPECT_EQ(mine.next(start + 1h).what, kind::none);
    EXPECT_FALSE(mine.next_due());
    mine.seen(entry(2, R"({"version":1,"worker":"","session":"","renewal":3,"ttl_ms":3000})"), start);
    EXPECT_EQ(mine.next(start + 1h).what, kind::update);
}

// ---- against a store and several workers

class lease_world {
public:
    explicit lease_world(std::uint64_t seed, core::lease_options with = terms) : random_(seed), terms_(with)
    {
        for (std::size_t i = 0; i < 3; ++i) {
            workers_.push_back({});
            workers_[i].offset = std::chrono::seconds(below(100'000));
            workers_[i].rate = 0.95 + 0.1 * static_cast<double>(below(1'000)) / 1'000.0; // ±5 %: 3 s drift by less than the margin
            be_born(i);
        }
    }

    void run(mono_time until)
    {
        while (time_.now() < until && time_.run_next())
            check();
    }

    void stop_faults() { faults_ = false; }
    std::size_t acting() const
    {
        std::size_t count = 0;
        for (const auto& one : workers_)
            count += one.held && one.held->may_act(clock(one));
        return count;
    }
    mono_time now() const { return time_.now(); }
    std::uint64_t changes_of_holder() const { return changes_; }
    std::size_t most_acting() const { return most_acting_; }
    std::uint64_t steps() const { return steps_; }

private:
    struct worker {
        std::unique_ptr<lease> held;
        std::uint64_t life = 0;
        bool stopped = false;
        std::chrono::seconds offset{0};
        double rate = 1;
    };

    std::uint64_t below(std::uint64_t end) { return random_() % end; }
    bool chance(std::uint64_t percent) { return faults_ && below(100) < percent; }
    testing_support::microseconds delay() { return testing_support::microseconds(chance(5) ? below(4'000'000) : below(20'000)); }
    mono_time clock(const worker& one) const
    {
        return mono_time(one.offset) + std::chrono::duration_cast<mono_time::duration>(time_.now().time_since_epoch() * one.rate);
    }

    void be_born(std::size_t i)
    {
        auto& one = workers_[i];
        ++one.life;
        one.stopped = false;
        const auto name = "w" + std::to_string(i);
        // The same worker again only once its former life is over, which it is: the object is gone.
        one.held = std::make_unique<lease>(name, name + '/' + std::to_string(one.life), terms_);
        watch(i, true);
        step(i, one.life);
    }

    void watch(std::size_t i, bool first)
    {
        time_.after(delay(), [this, i, life = workers_[i].life, stored = stored_, first] {
            if (workers_[i].life != life || !workers_[i].held)
                return;
            when_awake(i, life, [this, i, stored, first] {
                auto& one = workers_[i];
                if (stored.revision != 0)
                    one.held->seen(stored, clock(one));
                if (first)
                    one.held->current();
            });
        });
    }

    void when_awake(std::size_t i, std::uint64_t life, std::function<void()> then)
    {
        auto& one = workers_[i];
        if (one.life != life || !one.held)
            return;
        if (!one.stopped)
            return then();
        time_.after(50ms, [this, i, life, then = std::move(then)]() mutable { when_awake(i, life, std::move(then)); });
    }

    void step(std::size_t i, std::uint64_t life)
    {
        when_awake(i, life, [this, i, life] {
            perform(i, life);
            if (chance(1))
                pause(i, life);
            else if (chance(1))
                die(i);
            time_.after(testing_support::microseconds(10'000 + below(10'000)), [this, i, life] { step(i, life); });
        });
    }

    void pause(std::size_t i, std::uint64_t life)
    {
        workers_[i].stopped = true;
        time_.after(milliseconds(below(8'000)), [this, i, life] {
            if (workers_[i].life == life)
                workers_[i].stopped = false;
        });
    }

    void die(std::size_t i)
    {
        workers_[i].held.reset();
        time_.after(milliseconds(below(6'000)), [this, i] { be_born(i); });
    }

    void perform(std::size_t i, std::uint64_t life)
    {
        auto what = workers_[i].held->next(clock(workers_[i]));
        if (what.what == kind::none)
            return;
        ++steps_;
        const bool lost = chance(5);
        if (lost && below(2) == 0) // never arrives
            return answer(i, life, what.what, what.number, 5s, log_errc::unknown, {});
        time_.after(delay(), [this, i, life, what, lost] {
            if (what.what == kind::read)
                return answer(i, life, what.what, what.number, delay(), std::uint64_t{0}, stored_);
            const bool fits = what.what == kind::create ? stored_.revision == 0 : stored_.revision == what.revision;
            if (!fits)
                return answer(i, life, what.what, what.number, delay(), log_errc::wrong_sequence, {});
            changes_ += stored_.value.substr(0, 30) != what.value.substr(0, 30);
            stored_ = entry(stored_.revision + 1, what.value);
            for (std::size_t w = 0; w < workers_.size(); ++w)
                watch(w, false);
            if (lost)
                return answer(i, life, what.what, what.number, 5s, log_errc::unknown, {});
            answer(i, life, what.what, what.number, delay(), stored_.revision, {});
        });
    }

    void answer(std::size_t i, std::uint64_t life, kind asked, std::uint64_t number, testing_support::microseconds after,
                key_value::result<std::uint64_t> result, kv_entry read)
    {
        time_.after(after, [this, i, life, asked, number, result, read = std::move(read)] {
            when_awake(i, life, [this, i, asked, number, result, read] {
                auto& one = workers_[i];
                if (asked != kind::read)
                    return one.held->written(number, result, clock(one));
                if (read.revision == 0)
                    return one.held->read(log_errc::not_found, clock(one));
                one.held->read(read, clock(one));
            });
        });
    }

    void check() { most_acting_ = std::max(most_acting_, acting()); }

    std::mt19937_64 random_;
    core::lease_options terms_;
    testing_support::timeline time_;
    std::vector<worker> workers_;
    kv_entry stored_;
    std::uint64_t changes_ = 0;
    std::uint64_t steps_ = 0;
    std::size_t most_acting_ = 0;
    bool faults_ = true;
};

TEST(lease, at_no_time_two_workers_may_act_and_in_calm_one_does)
{
    std::uint64_t changes = 0;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        lease_world world(seed);
        world.run(world.now() + 1min);
        EXPECT_LE(world.most_acting(), 1u) << "seed " << seed;
        world.stop_faults();
        world.run(world.now() + 20s);
        EXPECT_EQ(world.acting(), 1u) << "seed " << seed;
        const auto before = world.steps();
        world.run(world.now() + 30s);
        EXPECT_LE(world.steps() - before, 30'000u / 750u + 10u) << "no more writes than renewals, seed " << seed;
        changes += world.changes_of_holder();
    }
    EXPECT_GT(changes, 100u) << "the lease has to change hands, else nothing was tried";
}

TEST(lease, the_world_catches_a_margin_that_the_clocks_do_not_keep)
{
    std::size_t most = 0;
    for (std::uint64_t seed = 1; seed <= 200 && most < 2; ++seed) {
        lease_world world(seed, {3'000ms, 0ms, 750ms});
        world.run(world.now() + 2min);
        most = std::max(most, world.most_acting());
    }
    EXPECT_GT(most, 1u);
}

}
}
