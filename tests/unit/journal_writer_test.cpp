#include "core/journal_writer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>

using namespace sluice;
using namespace sluice::core;

namespace {

constexpr std::size_t records_each = 3;

// Hands out choices along one path of a tree of decisions; begin_next() moves to the next path, depth first. Beyond `depth` the answer is 0.
class choices {
public:
    explicit choices(std::size_t depth) : depth_(depth) {}
    std::size_t of(std::size_t options)
    {
        if (options < 2 || at_ == depth_)
            return 0;
        if (at_ == path_.size())
            path_.push_back({0, options});
        return path_[at_++].first;
    }
    bool begin_next()
    {
        at_ = 0;
        while (!path_.empty() && path_.back().first + 1 == path_.back().second)
            path_.pop_back();
        if (path_.empty())
            return false;
        ++path_.back().first;
        return true;
    }

private:
    std::size_t depth_;
    std::size_t at_ = 0;
    std::vector<std::pair<std::size_t, std::size_t>> path_;
};

journal::settled record(std::uint64_t sequence) { return {{sequence, sequence}, journal::settled::how_kind::done, 1, 200}; }

// A writer over a journal in memory. What becomes of each append, in which order answers come, whether another owner steps in, and when a
// record is added, is chosen. Checks what the writer promises as it goes.
class world {
public:
    world(choices& with, bool remembers_ids, bool intruders) : choose_(with), remembers_ids_(remembers_ids), intruders_(intruders)
    {
        stored_.assign(base_, "earlier");
    }

    void run()
    {
        for (int step = 0; step < 300 && !lost_; ++step) {
            for (auto& next : writer_.actions(now_))
                std::visit([this](auto& what) { perform(what); }, next);
            if (added_ < records_each && (answers_.empty() || choose_.of(2) == 1))
                writer_.add(record(++added_));
            else if (!answers_.empty())
                answer(choose_.of(answers_.size()));
            else if (writer_.idle())
                return;
            else
                wait();
        }
    }

    bool lost() const { return lost_; }
    bool intruded() const { return intruded_; }
    void check_end() const
    {
        if (intruded_)
            EXPECT_TRUE(lost_ || released_.size() == records_each) << "another owner's record went unnoticed";
        else
            EXPECT_FALSE(lost_);
        if (lost_)
            return;
        EXPECT_TRUE(writer_.idle());
        EXPECT_FALSE(writer_.stalled());
        EXPECT_EQ(writer_.unstored_bytes(), 0u);
        ASSERT_EQ(released_.size(), records_each);
        for (std::size_t i = 0; i < released_.size(); ++i)
            EXPECT_EQ(released_[i], i + 1);
    }

private:
    static constexpr std::uint64_t base_ = 7;
    enum fate { acked, ack_lost, not_stored, unavailable, fates };

    void perform(journal_writer::append& what)
    {
        const bool first_time = sent_.emplace(what.id, what).second;
        EXPECT_EQ(sent_.at(what.id).payload, what.payload) << "the same id, other bytes";
        EXPECT_EQ(sent_.at(what.id).expected_last_sequence, what.expected_last_sequence);
        if (first_time) {
            EXPECT_FALSE(doubt()) << "something new was sent while an append was in doubt";
        }
        if (intruders_ && !intruded_ && choose_.of(4) == 1) {
            intruded_ = true;
            stored_.push_back("another owner's");
        }
        const auto chosen = static_cast<fate>(choose_.of(fates));
        auto result = chosen == not_stored || chosen == unavailable ? boost::system::result<stored_at>(log_errc::unknown) : store(what);
        if (chosen == ack_lost)
            result = log_errc::unknown;
        if (chosen == unavailable)
            result = log_errc::unavailable;
        answers_.push_back([this, batch = what.batch, result] {
            in_doubt_[batch] = !result;
            writer_.append_result(batch, result, now_);
            EXPECT_TRUE(result || writer_.stalled());
        });
    }
    void perform(journal_writer::read_back& what)
    {
        boost::system::result<log_message> result = log_errc::not_found;
        if (choose_.of(2) == 1)
            result = log_errc::unavailable;
        else if (what.sequence <= stored_.size())
            result = log_message{what.sequence, {}, stored_[what.sequence - 1]};
        answers_.push_back([this, result] { writer_.read_result(result, now_); });
    }
    void perform(journal_writer::ask_last&)
    {
        boost::system::result<log_info> result = log_info{1, stored_.size(), stored_.size(), 0, 0};
        if (choose_.of(2) == 1)
            result = log_errc::unknown;
        answers_.push_back([this, result] { writer_.last_result(result, now_); });
    }
    void perform(journal_writer::stored& what)
    {
        ASSERT_LE(what.sequence, stored_.size());
        const auto at = journal::decode(stored_[what.sequence - 1]);
        ASSERT_TRUE(at) << "released, and not in the journal";
        EXPECT_EQ(at->number, what.batch);
        EXPECT_EQ(at->records, what.records);
        in_doubt_.erase(what.batch);
        for (const auto& next : what.records)
            released_.push_back(journal::call_of(next)->sequence);
    }
    void perform(journal_writer::lost& what)
    {
        EXPECT_FALSE(what.reason.empty());
        lost_ = true;
        EXPECT_EQ(writer_.actions(now_).size(), 1u) << "nothing but the news that it is lost";
    }

    boost::system::result<stored_at> store(const journal_writer::append& what)
    {
        if (auto known = ids_.find(what.id); remembers_ids_ && known != ids_.end())
            return stored_at{known->second, true};
        if (stored_.size() != what.expected_last_sequence)
            return log_errc::wrong_sequence;
        EXPECT_FALSE(ids_.contains(what.id)) << "stored twice";
        stored_.push_back(what.payload);
        ids_[what.id] = stored_.size();
        return stored_at{stored_.size(), false};
    }
    void answer(std::size_t which)
    {
        const auto next = answers_[which];
        answers_.erase(answers_.begin() + static_cast<std::ptrdiff_t>(which));
        next();
    }
    void wait()
    {
        const auto due = writer_.next_due();
        ASSERT_TRUE(due) << "nothing is under way and nothing is due: it would hang";
        now_ = std::max(now_, *due);
    }
    bool doubt() const
    {
        return std::any_of(in_doubt_.begin(), in_doubt_.end(), [](const auto& entry) { return entry.second; });
    }

    choices& choose_;
    bool remembers_ids_, intruders_;
    journal_writer writer_{3, "owner", base_, {.batch_bytes_max = 1, .in_flight_max = 2}};
    std::vector<std::string> stored_;
    std::map<std::string, std::uint64_t> ids_;
    std::map<std::string, journal_writer::append> sent_;
    std::map<std::uint64_t, bool> in_doubt_;
    std::vector<std::function<void()>> answers_;
    std::vector<std::uint64_t> released_;
    std::uint64_t added_ = 0;
    mono_time now_{std::chrono::hours(1)};
    bool lost_ = false, intruded_ = false;
};

void run_all(std::size_t depth, bool remembers_ids, bool intruders)
{
    choices paths(depth);
    std::size_t runs = 0;
    do {
        world one(paths, remembers_ids, intruders);
        one.run();
        one.check_end();
        ++runs;
        ASSERT_FALSE(testing::Test::HasFailure()) << "path " << runs;
    } while (paths.begin_next());
    EXPECT_GT(runs, 200u);
}

}

TEST(journal_writer_test, every_fate_of_appends_ends_with_each_record_stored_once_and_in_order) { run_all(6, true, false); }

TEST(journal_writer_test, likewise_where_the_server_has_forgotten_the_ids) { run_all(6, false, false); }

TEST(journal_writer_test, another_owners_record_is_noticed_and_nothing_is_sent_after_it)
{
    run_all(5, true, true);
    run_all(5, false, true);
}

namespace {

const mono_time start{std::chrono::hours(1)};

template <class T> std::vector<T> of_kind(const std::vector<journal_writer::action>& actions)
{
    std::vector<T> found;
    for (const auto& next : actions)
        if (const auto* what = std::get_if<T>(&next))
            found.push_back(*what);
    return found;
}

// A writer that has taken over: its next message goes to sequence 2.
journal_writer owning(journal_writer::options with = {})
{
    journal_writer writer(1, "owner", 0, with);
    writer.actions(start);
    writer.append_result(0, stored_at{1, false}, start);
    writer.actions(start);
    return writer;
}

}

TEST(journal_writer_test, nothing_but_the_takeover_is_sent_before_it_is_on_record)
{
    journal_writer writer(4, "me", 30, {});
    writer.add(record(1));
    const auto first = of_kind<journal_writer::append>(writer.actions(start));
    ASSERT_EQ(first.size(), 1u);
    EXPECT_EQ(first[0].expected_last_sequence, 30u);
    const auto head = journal::decode(first[0].payload);
    ASSERT_TRUE(head);
    EXPECT_EQ(*head, (journal::batch{4, "me", 0, {}}));
    EXPECT_TRUE(writer.actions(start).empty());
    writer.append_result(0, stored_at{31, false}, start);
    EXPECT_EQ(of_kind<journal_writer::append>(writer.actions(start)).size(), 1u);
}

TEST(journal_writer_test, records_are_batched_while_something_is_in_flight)
{
    auto writer = owning({.batch_bytes_max = 10'000, .pipeline_bytes = 500, .in_flight_max = 2});
    writer.add(record(1));
    EXPECT_EQ(of_kind<journal_writer::append>(writer.actions(start)).size(), 1u);
    for (std::uint64_t i = 2; i < 6; ++i)
        writer.add(record(i));
    EXPECT_TRUE(writer.actions(start).empty()) << "a small batch waits for the one in flight";
    for (std::uint64_t i = 6; i < 40; ++i)
        writer.add(record(i));
    EXPECT_EQ(of_kind<journal_writer::append>(writer.actions(start)).size(), 1u) << "a large one does not";
    for (std::uint64_t i = 40; i < 80; ++i)
        writer.add(record(i));
    EXPECT_TRUE(writer.actions(start).empty()) << "two are in flight";
    const auto before = writer.unstored_bytes();
    EXPECT_GT(before, 79 * journal::size_of(record(1)));
    writer.append_result(1, stored_at{2, false}, start);
    const auto out = writer.actions(start);
    ASSERT_EQ(of_kind<journal_writer::stored>(out).size(), 1u);
    EXPECT_EQ(of_kind<journal_writer::append>(out).size(), 1u);
    EXPECT_LE(writer.unstored_bytes(), before - journal::size_of(record(1)));
}

TEST(journal_writer_test, a_batch_stays_below_its_bound_and_a_larger_record_has_its_own)
{
    auto writer = owning({.batch_bytes_max = 1'000, .pipeline_bytes = 1, .in_flight_max = 100});
    for (std::uint64_t i = 1; i <= 100; ++i) {
        writer.add(record(i));
        if (i % 30 == 0)
            writer.add(journal::answered{{i, i}, 1, 200, false, "http://x/", "", std::string(3'000, 'b')});
    }
    std::size_t records = 0;
    for (const auto& sent : of_kind<journal_writer::append>(writer.actions(start))) {
        const auto batch = journal::decode(sent.payload);
        ASSERT_TRUE(batch);
        EXPECT_TRUE(sent.payload.size() <= 1'000 || batch->records.size() == 1);
        records += batch->records.size();
    }
    EXPECT_EQ(records, 103u);
}

TEST(journal_writer_test, waits_longer_each_time_that_nothing_helps)
{
    auto writer = owning({.resend_wait_min = milliseconds(50), .resend_wait_max = milliseconds(300)});
    writer.add(record(1));
    auto now = start;
    std::vector<milliseconds> waits;
    for (int i = 0; i < 5; ++i) {
        const auto sent = of_kind<journal_writer::append>(writer.actions(now));
        ASSERT_EQ(sent.size(), 1u);
        EXPECT_TRUE(i == 0 || writer.stalled()) << "its resend is under way and answers nothing yet";
        writer.append_result(sent[0].batch, log_errc::unknown, now);
        EXPECT_TRUE(writer.actions(now).empty());
        ASSERT_TRUE(writer.next_due());
        waits.push_back(std::chrono::duration_cast<milliseconds>(*writer.next_due() - now));
        now = *writer.next_due();
    }
    EXPECT_EQ(waits,
              (std::vector<milliseconds>{milliseconds(50), milliseconds(100), milliseconds(200), milliseconds(300), milliseconds(300)}));
}

TEST(journal_writer_test, asking_again_waits_too_while_the_server_is_away)
{
    auto writer = owning();
    writer.add(record(1));
    writer.actions(start);
    writer.append_result(1, log_errc::wrong_sequence, start);
    ASSERT_EQ(of_kind<journal_writer::read_back>(writer.actions(start)).size(), 1u) << "the first time at once";
    writer.read_result(log_errc::unavailable, start);
    EXPECT_TRUE(writer.actions(start).empty());
    ASSERT_TRUE(writer.next_due());
    EXPECT_GT(*writer.next_due(), start);
    EXPECT_EQ(of_kind<journal_writer::read_back>(writer.actions(*writer.next_due())).size(), 1u);
}

TEST(journal_writer_test, a_journal_that_lost_its_tail_is_not_written_on)
{
    auto writer = owning();
    writer.add(record(1));
    writer.actions(start);
    writer.append_result(1, log_errc::wrong_sequence, start);
    writer.actions(start);
    writer.read_result(log_errc::not_found, start);
    ASSERT_EQ(of_kind<journal_writer::ask_last>(writer.actions(start)).size(), 1u);
    writer.last_result(log_info{0, 0, 0, 0, 0}, start);
    EXPECT_EQ(of_kind<journal_writer::lost>(writer.actions(start)).size(), 1u);
    EXPECT_TRUE(writer.stalled());
}

TEST(journal_writer_test, a_place_that_another_owner_has_purged_already_is_lost)
{
    auto writer = owning();
    writer.add(record(1));
    writer.actions(start);
    writer.append_result(1, log_errc::wrong_sequence, start);
    writer.actions(start);
    writer.read_result(log_errc::not_found, start);
    ASSERT_EQ(of_kind<journal_writer::ask_last>(writer.actions(start)).size(), 1u);
    writer.last_result(log_info{5, 9, 5, 0, 0}, start);
    EXPECT_EQ(of_kind<journal_writer::lost>(writer.actions(start)).size(), 1u);
}

TEST(journal_writer_test, an_ack_of_another_place_or_a_record_too_large_loses_it)
{
    auto misplaced = owning();
    misplaced.add(record(1));
    misplaced.actions(start);
    misplaced.append_result(1, stored_at{9, false}, start);
    EXPECT_TRUE(misplaced.stalled());
    EXPECT_EQ(of_kind<journal_writer::lost>(misplaced.actions(start)).size(), 1u);
    auto large = owning();
    large.add(record(1));
    large.actions(start);
    large.append_result(1, log_errc::too_large, start);
    EXPECT_EQ(of_kind<journal_writer::lost>(large.actions(start)).size(), 1u);
}
