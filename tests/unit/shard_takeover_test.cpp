#include "tests/support/driven_shard.hpp"

#include <gmock/gmock.h>

using namespace sluice;
using namespace sluice::core;
using namespace sluice::testing_support;
using testing::HasSubstr;
using how = journal::settled::how_kind;

TEST(shard_takeover_test, an_empty_partition_is_taken_over_with_a_record)
{
    stored_partition store;
    driven_shard owner(store);
    owner.hold_appends = true;
    owner.own("first-owner");
    EXPECT_EQ(owner.engine.count().partitions_owned, 0u);
    EXPECT_EQ(owner.log_position, 0u) << "the log is not read before the take-over is on record";
    owner.release_appends();
    EXPECT_EQ(owner.engine.count().partitions_owned, 1u);
    EXPECT_EQ(owner.log_position, 1u);
    const auto head = journal::decode(store.journal.messages.at(0).payload);
    ASSERT_TRUE(head);
    EXPECT_EQ(*head, (journal::batch{1, "first-owner", 0, {}}));
}

TEST(shard_takeover_test, the_next_owner_goes_on_where_the_journal_ends)
{
    stored_partition store;
    for (int i = 0; i < 4; ++i)
        store.accept({.id = "id-" + std::to_string(i), .callback = i == 1 ? "http://x/" : ""});
    driven_shard first(store);
    first.own();
    first.replicas("f.s", {first.replica()});
    ASSERT_EQ(first.dispatched.size(), 4u);
    first.answer(0, delivered(200));
    first.answer(1, delivered(200, "for the callback"));
    first.answer(2, failed(outcome_kind::unreachable));
    ASSERT_EQ(first.callbacks.size(), 1u);

    driven_shard second(store);
    second.own("second");
    second.replicas("f.s", {second.replica()});
    EXPECT_EQ(second.engine.count().live, 3u) << "the settled one is not entered";
    ASSERT_EQ(second.dispatched.size(), 1u) << "only what was in flight runs at once";
    EXPECT_EQ(second.dispatched[0].call.sequence, 4u);
    ASSERT_EQ(second.callbacks.size(), 1u) << "the answer on record is sent, the function not asked again";
    EXPECT_EQ(second.callbacks[0].what->body, "for the callback");
    second.advance(milliseconds(10'000));
    ASSERT_EQ(second.dispatched.size(), 2u);
    EXPECT_EQ(second.dispatched[1].call.sequence, 3u);
    EXPECT_EQ(second.dispatched[1].attempt, 2u) << "attempts are counted through a take-over";
}

TEST(shard_takeover_test, an_owner_that_was_followed_is_closed_and_sends_nothing_more)
{
    stored_partition store;
    for (int i = 0; i < 4; ++i)
        store.accept({.id = "id-" + std::to_string(i), .callback = "http://x/"});
    driven_shard stale(store, {.inflight_max = 2});
    stale.own();
    stale.replicas("f.s", {stale.replica()});
    ASSERT_EQ(stale.dispatched.size(), 2u);

    driven_shard next(store);
    next.own("next");
    next.replicas("f.s", {next.replica()});
    EXPECT_EQ(next.dispatched.size(), 4u);

    const auto journal_end = store.journal.messages.size();
    stale.hold_appends = true;
    stale.answer(0, delivered(200));
    ASSERT_EQ(stale.dispatched.size(), 3u) << "it does not know yet";
    stale.release_appends();
    ASSERT_EQ(stale.closed.size(), 1u);
    EXPECT_FALSE(stale.closed[0].final);
    EXPECT_THAT(stale.closed[0].reason, HasSubstr("another owner"));
    stale.answer(1, delivered(200));
    stale.advance(milliseconds(1'000'000));
    EXPECT_EQ(stale.dispatched.size(), 3u);
    EXPECT_TRUE(stale.callbacks.empty());
    EXPECT_TRUE(stale.appends.empty());
    EXPECT_EQ(store.journal.messages.size(), journal_end);
    EXPECT_EQ(stale.engine.count().live, 0u);
    EXPECT_EQ(stale.engine.count().body_bytes, 0u);
    stale.answer(2, delivered(200));
    EXPECT_TRUE(stale.engine.quiet());
}

TEST(shard_takeover_test, of_two_who_try_at_once_one_is_closed)
{
    stored_partition store;
    driven_shard a(store), b(store);
    a.hold_appends = b.hold_appends = true;
    a.own("a");
    b.own("b");
    b.release_appends();
    a.release_appends();
    EXPECT_EQ(b.engine.count().partitions_owned, 1u);
    EXPECT_EQ(a.engine.count().partitions_owned, 0u);
    ASSERT_EQ(a.closed.size(), 1u);
    a.own("a again");
    EXPECT_EQ(a.engine.count().partitions_owned, 1u) << "it may take it over later";
    EXPECT_EQ(journal::decode(store.journal.messages.back().payload)->epoch, 2u);
}

TEST(shard_takeover_test, the_wait_before_a_retry_is_kept_and_clamped)
{
    stored_partition store;
    store.accept({});
    driven_shard first(store, {.retry = {.wait_min = milliseconds(60'000)}});
    first.own();
    first.replicas("f.s", {first.replica()});
    first.answer(0, failed(outcome_kind::unreachable));
    struct {
        unix_ms wall;
        milliseconds wait;
    } cases[] = {{first.now.wall + 20'000, milliseconds(40'000)},
                 {first.now.wall + 600'000, milliseconds(0)},
                 {0, milliseconds(60'000)}}; // the clock was set back: never longer than what was recorded
    for (const auto& each : cases) {
        driven_shard next(store);
        next.now.wall = each.wall;
        next.own("at " + std::to_string(each.wall));
        next.replicas("f.s", {next.replica()});
        EXPECT_EQ(next.dispatched.size(), each.wait.count() == 0 ? 1u : 0u);
        if (each.wait.count() == 0)
            continue;
        next.advance(each.wait - milliseconds(1));
        EXPECT_TRUE(next.dispatched.empty());
        next.advance(milliseconds(1));
        EXPECT_EQ(next.dispatched.size(), 1u);
    }
}

TEST(shard_takeover_test, a_record_of_a_call_whose_message_was_lost_settles_nothing)
{
    stored_partition store;
    store.accept({.id = "old-1"});
    store.accept({.id = "old-2"});
    driven_shard first(store);
    first.own();
    first.replicas("f.s", {first.replica()});
    first.answer(0, delivered(200));
    first.answer(1, delivered(200));
    store.log.messages.pop_back(); // a power cut
    driven_shard second(store);
    second.own("second");
    ASSERT_FALSE(second.warnings.empty());
    EXPECT_THAT(second.warnings[0].message, HasSubstr("lost its tail"));
    store.accept({.id = "new-2"});
    second.step();
    second.replicas("f.s", {second.replica()});
    ASSERT_EQ(second.dispatched.size(), 1u);
    EXPECT_EQ(second.dispatched[0].call.sequence, 2u);
    EXPECT_EQ(second.dispatched[0].what->id_hash, hash_id("new-2"));
}

TEST(shard_takeover_test, a_sequence_given_again_closes)
{
    stored_partition store;
    store.accept({.id = "old"});
    driven_shard owner(store);
    owner.own();
    store.log.messages.clear();
    store.accept({.id = "new"});
    owner.log_position = 1; // the reader begins anew at the end it finds
    owner.step();
    ASSERT_EQ(owner.closed.size(), 1u);
    EXPECT_FALSE(owner.closed[0].final);
    EXPECT_THAT(owner.closed[0].reason, HasSubstr("lost its tail"));
}

TEST(shard_takeover_test, what_the_journal_says_of_calls_that_came_after_the_extents_were_asked_counts)
{
    stored_partition store;
    store.accept({.id = "one"});
    driven_shard first(store);
    first.own();
    first.replicas("f.s", {first.replica()});
    first.answer(0, delivered(200));
    store.accept({.id = "two"});
    const auto log_before = log_info{1, 1, 1, 0, 0}; // asked before "two" was accepted, the journal after it was settled
    first.step();
    first.answer(1, delivered(200));
    ASSERT_EQ(store.records<journal::settled>().size(), 2u);
    core::shard late(shard_options{});
    const auto slot = late.open(0, "late");
    const instant now{mono_time(std::chrono::hours(1)), 0};
    late.take_actions(now);
    late.opened(slot, store.journal.info(), log_before);
    for (const auto& message : store.journal.messages)
        late.journal_message(slot, message);
    late.take_actions(now);
    late.append_result(slot, 0, stored_at{store.journal.messages.size() + 1, false}, now);
    late.take_actions(now);
    for (const auto& message : store.log.messages)
        late.log_message(slot, message, now);
    EXPECT_EQ(late.count().partitions_owned, 1u);
    EXPECT_EQ(late.count().live, 0u);
}

namespace {

// Of a journal with five messages, of which `messages` are left, those that are named are told; what became of the take-over.
struct told_in_part {
    stored_partition store;
    core::shard engine{shard_options{}};
    std::vector<std::string> warnings;
    std::vector<act::closed> closed;
    bool claimed = false;

    told_in_part(std::uint64_t messages, const std::vector<std::uint64_t>& sequences)
    {
        for (std::uint64_t number = 0; number < 5; ++number)
            store.journal.append({0, {}, journal::encode_head(1, "former", number)});
        const instant now{mono_time(std::chrono::hours(1)), 0};
        const auto slot = engine.open(0, "next");
        engine.take_actions(now);
        auto info = store.journal.info();
        info.messages = messages;
        engine.opened(slot, info, store.log.info());
        for (const auto sequence : sequences)
            engine.journal_message(slot, store.journal.messages[sequence - 1]);
        for (const auto& each : engine.take_actions(now)) {
            if (const auto* what = std::get_if<act::warn>(&each))
                warnings.push_back(what->message);
            if (const auto* what = std::get_if<act::closed>(&each))
                closed.push_back(*what);
            claimed |= std::holds_alternative<act::append>(each);
        }
    }
};

}

TEST(shard_takeover_test, a_replay_begins_where_the_journal_begins_by_then)
{
    const told_in_part late(5, {3, 4, 5});
    EXPECT_TRUE(late.claimed);
    EXPECT_TRUE(late.closed.empty());
}

TEST(shard_takeover_test, a_replay_that_is_overtaken_by_a_purge_is_begun_anew)
{
    const told_in_part overtaken(5, {1, 2, 4, 5});
    EXPECT_FALSE(overtaken.claimed);
    ASSERT_EQ(overtaken.closed.size(), 1u);
    EXPECT_FALSE(overtaken.closed[0].final);
    EXPECT_EQ(overtaken.closed[0].reason, "journal sequences 3 to 3 were removed while it was replayed");
}

TEST(shard_takeover_test, what_the_server_itself_lost_in_the_middle_is_said_and_passed_over)
{
    const told_in_part with_a_gap(3, {1, 4, 5});
    EXPECT_TRUE(with_a_gap.claimed);
    EXPECT_TRUE(with_a_gap.closed.empty());
    ASSERT_EQ(with_a_gap.warnings.size(), 1u);
    EXPECT_THAT(with_a_gap.warnings[0], HasSubstr("journal sequences 2 to 3 are missing"));
    EXPECT_FALSE(told_in_part(4, {1, 4, 5}).claimed) << "more than it said";
}

TEST(shard_takeover_test, a_newer_format_is_refused_for_good)
{
    stored_partition newer_log;
    newer_log.log.append({0, {{"Nats-Msg-Id", "i"}, {"Sluice-Call", "2 whatever comes"}}, "?"});
    driven_shard reader(newer_log);
    reader.own();
    ASSERT_EQ(reader.closed.size(), 1u);
    EXPECT_TRUE(reader.closed[0].final);
    EXPECT_THAT(reader.closed[0].reason, HasSubstr("newer"));
    EXPECT_TRUE(newer_log.records<journal::settled>().empty());

    stored_partition newer_journal;
    newer_journal.accept({});
    auto bytes = journal::encode_head(1, "o", 0);
    bytes[3] = static_cast<char>(journal::format_version + 1);
    newer_journal.journal.append({0, {}, bytes});
    driven_shard writer(newer_journal);
    writer.own();
    ASSERT_EQ(writer.closed.size(), 1u);
    EXPECT_TRUE(writer.closed[0].final);
    EXPECT_EQ(newer_journal.journal.messages.size(), 1u) << "nothing was written";
    EXPECT_FALSE(writer.engine.next_due());
}

TEST(shard_takeover_test, what_no_owner_wrote_to_the_journal_is_passed_over_wherever_it_is)
{
    stored_partition store;
    store.journal.append({0, {}, "garbage"});
    store.accept({});
    driven_shard first(store);
    first.own("first");
    first.replicas("f.s", {first.replica()});
    ASSERT_EQ(first.dispatched.size(), 1u);
    first.answer(0, delivered(200));
    ASSERT_EQ(store.records<journal::settled>().size(), 1u);
    store.journal.append({0, {}, "SL"});
    store.journal.append({0, {}, ""});
    driven_shard next(store);
    next.own("next");
    EXPECT_TRUE(next.closed.empty());
    EXPECT_EQ(next.engine.count().partitions_owned, 1u);
    EXPECT_EQ(next.engine.count().live, 0u);
    ASSERT_EQ(next.warnings.size(), 3u);
    EXPECT_THAT(next.warnings[0].message, HasSubstr("journal sequence 1 "));

    store.journal.append({0, {}, "SLJ"});
    driven_shard cut(store);
    cut.own("cut");
    ASSERT_EQ(cut.closed.size(), 1u);
    EXPECT_TRUE(cut.closed[0].final) << "an owner may have written it";
}

TEST(shard_takeover_test, an_unreadable_message_is_settled_and_the_rest_goes_on)
{
    stored_partition store;
    store.log.append({0, {{"Nats-Msg-Id", "x"}}, "noise"});
    store.log.append({0, {}, ""});
    store.accept({});
    driven_shard owner(store);
    owner.own();
    owner.replicas("f.s", {owner.replica()});
    EXPECT_EQ(owner.dispatched.size(), 1u);
    EXPECT_EQ(owner.engine.count().live, 1u);
    const auto records = store.records<journal::settled>();
    ASSERT_EQ(records.size(), 2u);
    EXPECT_EQ(records[0].how, how::unreadable);
    EXPECT_EQ(owner.warnings.size(), 2u);
    EXPECT_EQ(owner.functions_asked, (std::set<std::string>{"f.s"}));
    driven_shard next(store);
    next.own("next");
    EXPECT_EQ(next.engine.count().live, 1u);
    EXPECT_TRUE(next.warnings.empty()) << "they are known";
}
