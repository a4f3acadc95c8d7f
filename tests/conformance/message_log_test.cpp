#include "sluice/message_log.hpp"

#include "tests/support/backend.hpp"
#include "tests/support/loop_until.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace sluice::test {

namespace {

using stored = message_log::result<stored_at>;

class message_log_test : public testing::TestWithParam<backend_factory> {
protected:
    std::unique_ptr<backend> back_ = GetParam().make();
    loop& on_ = back_->on;
    std::unique_ptr<message_log> log_ = open();

    static std::string name()
    {
        std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
        std::replace(name.begin(), name.end(), '/', '_');
        return name;
    }
    std::unique_ptr<message_log> open(std::uint64_t bytes_max = 0, const std::string& suffix = "")
    {
        return back_->open_log("LOG_" + name() + suffix, bytes_max);
    }
    static append_request request(std::string payload, std::string id = "")
    {
        append_request made;
        made.id = std::move(id);
        made.payload = std::move(payload);
        return made;
    }
    static append_request expecting(std::uint64_t last, std::string payload, std::string id = "")
    {
        auto made = request(std::move(payload), std::move(id));
        made.expected_last_sequence = last;
        return made;
    }
    stored append(const append_request& what)
    {
        return *wait_for<stored>(on_, [&](auto done) { log_->append(what, done); });
    }
    void append_many(std::size_t count, const std::string& prefix = "m")
    {
        std::size_t done = 0, good = 0;
        for (std::size_t i = 0; i < count; ++i)
            log_->append(request(prefix + std::to_string(i)), [&](const stored& result) {
                ++done;
                good += result ? 1 : 0;
            });
        ASSERT_TRUE(loop_until(on_, [&] { return done == count; }));
        ASSERT_EQ(good, count);
    }
    log_info info()
    {
        return **wait_for<message_log::result<log_info>>(on_, [&](auto done) { log_->info(done); });
    }
    message_log::result<log_message> get(std::uint64_t sequence)
    {
        return *wait_for<message_log::result<log_message>>(on_, [&](auto done) { log_->get(sequence, done); });
    }
    void purge_below(std::uint64_t sequence)
    {
        ASSERT_TRUE(*wait_for<message_log::result<void>>(on_, [&](auto done) { log_->purge_below(sequence, done); }));
    }
    std::vector<log_message> read(std::uint64_t from, std::size_t count)
    {
        std::vector<log_message> messages;
        const auto reader = log_->read(from, [&](log_message message) { messages.push_back(std::move(message)); });
        EXPECT_TRUE(loop_until(on_, [&] { return messages.size() >= count; }));
        return messages;
    }
};

std::vector<std::uint64_t> sequences_of(const std::vector<log_message>& messages)
{
    std::vector<std::uint64_t> sequences;
    for (const auto& message : messages)
        sequences.push_back(message.sequence);
    return sequences;
}

}

TEST_P(message_log_test, answers_after_the_call_and_in_order)
{
    std::vector<std::uint64_t> sequences;
    for (int i = 0; i < 200; ++i)
        log_->append(request(std::to_string(i)), [&](const stored& result) { sequences.push_back(result.value().sequence); });
    EXPECT_TRUE(sequences.empty());
    ASSERT_TRUE(loop_until(on_, [&] { return sequences.size() == 200; }));
    for (std::uint64_t i = 0; i < 200; ++i)
        EXPECT_EQ(sequences[i], i + 1);
    const auto messages = read(1, 200);
    for (std::size_t i = 0; i < messages.size(); ++i)
        EXPECT_EQ(messages[i].payload, std::to_string(i));
}

TEST_P(message_log_test, the_same_id_is_stored_once)
{
    const auto first = append(request("a", "id-1"));
    const auto again = append(request("a", "id-1"));
    const auto other = append(request("b", "id-2"));
    ASSERT_TRUE(first && again && other);
    EXPECT_FALSE(first->duplicate);
    EXPECT_TRUE(again->duplicate);
    EXPECT_EQ(again->sequence, first->sequence);
    EXPECT_EQ(other->sequence, first->sequence + 1);
    EXPECT_EQ(info().messages, 2u);
}

TEST_P(message_log_test, expected_last_sequence_fences)
{
    EXPECT_EQ(append(expecting(0, "a")).value().sequence, 1u);
    EXPECT_EQ(append(expecting(0, "stale")).error(), log_errc::wrong_sequence);
    EXPECT_EQ(append(expecting(5, "hasty")).error(), log_errc::wrong_sequence);
    EXPECT_EQ(append(expecting(1, "b")).value().sequence, 2u);
    EXPECT_EQ(info().last_sequence, 2u);
}

TEST_P(message_log_test, pipelined_expectations_hold_and_a_hole_refuses_what_follows)
{
    std::vector<stored> results;
    const auto keep = [&](const stored& result) { results.push_back(result); };
    for (std::uint64_t i = 0; i < 50; ++i)
        log_->append(expecting(i, "good"), keep);
    for (std::uint64_t i = 51; i < 60; ++i) // 50 was left out
        log_->append(expecting(i, "after the hole"), keep);
    ASSERT_TRUE(loop_until(on_, [&] { return results.size() == 59; }));
    for (std::size_t i = 0; i < 50; ++i)
        EXPECT_EQ(results[i].value().sequence, i + 1);
    for (std::size_t i = 50; i < 59; ++i)
        EXPECT_EQ(results[i].error(), log_errc::wrong_sequence);
    EXPECT_EQ(info().last_sequence, 50u);
}

TEST_P(message_log_test, fields_and_payload_are_exact)
{
    std::string binary;
    for (int i = 0; i < 1024; ++i)
        binary.push_back(static_cast<char>(i));
    auto what = request(binary, "the-id");
    what.fields = {{"Sluice-Call", "1 tenant fn.openfaas-fn 1764021234567"},
                   {"Note", "größer, 大, 🙂: \"quoted\""},
                   {"Many", "one"},
                   {"Many", "two"}};
    ASSERT_TRUE(append(what));

    const auto check = [&](const log_message& message) {
        EXPECT_EQ(message.sequence, 1u);
        EXPECT_EQ(message.payload, binary);
        std::multiset<std::string> got, wanted;
        for (const auto& field : message.fields)
            got.insert(field.name + "=" + field.value);
        for (const auto& field : what.fields)
            wanted.insert(field.name + "=" + field.value);
        wanted.insert("Nats-Msg-Id=the-id");
        EXPECT_EQ(got, wanted);
    };
    check(read(1, 1).at(0));
    check(get(1).value());
}

TEST_P(message_log_test, an_expectation_leaves_no_field_behind)
{
    ASSERT_TRUE(append(expecting(0, "a")));
    EXPECT_TRUE(read(1, 1).at(0).fields.empty());
    EXPECT_TRUE(get(1)->fields.empty());
}

TEST_P(message_log_test, fields_that_could_not_be_kept_are_refused)
{
    for (const header& bad : {header{"Name", ""}, header{"", "value"}, header{"Name", "two\r\nlines"}}) {
        auto what = request("x");
        what.fields = {bad};
        EXPECT_EQ(append(what).error(), make_error_code(boost::system::errc::invalid_argument));
    }
    EXPECT_EQ(info().messages, 0u);
}

TEST_P(message_log_test, empty_and_large_payloads)
{
    const std::string large(1024 * 1024, 'L');
    ASSERT_TRUE(append(request("")));
    ASSERT_TRUE(append(request(large, "large")));
    ASSERT_TRUE(append(request("", "empty-with-fields")));
    EXPECT_EQ(append(request(std::string(back_->payload_bytes_max() + 1, 'x'))).error(), log_errc::too_large);
    const auto messages = read(1, 3);
    ASSERT_EQ(messages.size(), 3u);
    EXPECT_EQ(messages[0].payload, "");
    EXPECT_TRUE(messages[1].payload == large);
    EXPECT_EQ(messages[2].payload, "");
    EXPECT_TRUE(get(2)->payload == large);
    EXPECT_EQ(get(1)->payload, "");
}

TEST_P(message_log_test, many_large_messages_are_read_in_order)
{
    const std::string large(1024 * 1024, 'L');
    std::size_t done = 0, bad = 0;
    for (int i = 0; i < 60; ++i) {
        log_->append(request(large + std::to_string(i)), [&](const stored& result) {
            ++done;
            bad += result ? 0 : 1;
        });
        if (i % 4 == 3) {
            ASSERT_TRUE(loop_until(on_, [&] { return done == static_cast<std::size_t>(i + 1); }));
        }
    }
    ASSERT_EQ(bad, 0u);
    const auto messages = read(1, 60);
    ASSERT_EQ(messages.size(), 60u);
    for (std::size_t i = 0; i < 60; ++i)
        EXPECT_TRUE(messages[i].payload == large + std::to_string(i)) << i;
}

TEST_P(message_log_test, get_tells_what_is_not_there)
{
    append_many(3);
    EXPECT_EQ(get(2)->payload, "m1");
    EXPECT_EQ(get(4).error(), log_errc::not_found);
    purge_below(3);
    EXPECT_EQ(get(2).error(), log_errc::not_found);
    EXPECT_EQ(get(3)->payload, "m2");
}

TEST_P(message_log_test, purge_removes_what_is_below_and_never_more_than_there_is)
{
    append_many(10);
    purge_below(4);
    auto now = info();
    EXPECT_EQ(now.first_sequence, 4u);
    EXPECT_EQ(now.messages, 7u);
    purge_below(2); // already gone
    EXPECT_EQ(info().messages, 7u);
    const auto beyond = wait_for<message_log::result<void>>(on_, [&](auto done) { log_->purge_below(12, done); });
    EXPECT_EQ(beyond->error(), log_errc::wrong_sequence);
    EXPECT_EQ(info().messages, 7u);
    purge_below(11);
    now = info();
    EXPECT_EQ(now.messages, 0u);
    EXPECT_EQ(now.last_sequence, 10u);
    EXPECT_EQ(append(request("next")).value().sequence, 11u);
    EXPECT_EQ(read(1, 1).at(0).sequence, 11u);
}

TEST_P(message_log_test, a_reader_starts_in_the_middle_and_goes_on_with_what_comes)
{
    append_many(20);
    std::vector<log_message> messages;
    const auto reader = log_->read(15, [&](log_message message) { messages.push_back(std::move(message)); });
    ASSERT_TRUE(loop_until(on_, [&] { return messages.size() == 6; }));
    append_many(5);
    ASSERT_TRUE(loop_until(on_, [&] { return messages.size() == 11; }));
    for (std::size_t i = 0; i < messages.size(); ++i)
        EXPECT_EQ(messages[i].sequence, 15 + i);
}

TEST_P(message_log_test, a_reader_waits_at_the_end_of_an_empty_log)
{
    std::vector<log_message> messages;
    const auto reader = log_->read(1, [&](log_message message) { messages.push_back(std::move(message)); });
    loop_for(on_, std::chrono::milliseconds(50));
    EXPECT_TRUE(messages.empty());
    append_many(1);
    EXPECT_TRUE(loop_until(on_, [&] { return messages.size() == 1; }));
}

TEST_P(message_log_test, a_reader_jumps_over_what_was_purged_and_misses_nothing_else)
{
    append_many(3'000);
    purge_below(500);
    std::vector<log_message> messages;
    const auto reader = log_->read(1, [&](log_message message) { messages.push_back(std::move(message)); });
    reader->pause();
    loop_for(on_, std::chrono::milliseconds(20));
    purge_below(2'990);
    reader->resume();
    ASSERT_TRUE(loop_until(on_, [&] { return !messages.empty() && messages.back().sequence == 3'000; }));
    append_many(10);
    ASSERT_TRUE(loop_until(on_, [&] { return messages.back().sequence == 3'010; }));
    EXPECT_GE(messages.front().sequence, 500u);
    const auto sequences = sequences_of(messages);
    EXPECT_TRUE(std::is_sorted(sequences.begin(), sequences.end()));
    EXPECT_EQ(std::adjacent_find(sequences.begin(), sequences.end()), sequences.end());
    const auto kept = std::find(sequences.begin(), sequences.end(), 2'990u);
    EXPECT_EQ(sequences.end() - kept, 21);
}

TEST_P(message_log_test, a_paused_reader_stops_within_a_bound_and_goes_on)
{
    constexpr std::size_t total = 5'000;
    append_many(total);
    std::vector<log_message> messages;
    std::unique_ptr<message_log::reader> reader;
    reader = log_->read(1, [&](log_message message) {
        messages.push_back(std::move(message));
        if (messages.size() == 10)
            reader->pause();
    });
    ASSERT_TRUE(loop_until(on_, [&] { return messages.size() >= 10; }));
    loop_for(on_, std::chrono::milliseconds(100));
    EXPECT_LT(messages.size(), 2'000u);
    reader->resume();
    ASSERT_TRUE(loop_until(on_, [&] { return messages.size() == total; }));
    for (std::size_t i = 0; i < total; ++i)
        ASSERT_EQ(messages[i].sequence, i + 1);
}

TEST_P(message_log_test, a_reader_may_end_itself_in_its_callback)
{
    append_many(100);
    std::size_t count = 0;
    std::unique_ptr<message_log::reader> reader;
    reader = log_->read(1, [&](log_message) {
        if (++count == 5)
            reader.reset();
    });
    ASSERT_TRUE(loop_until(on_, [&] { return !reader; }));
    loop_for(on_, std::chrono::milliseconds(20));
    EXPECT_EQ(count, 5u);
}

TEST_P(message_log_test, readers_are_independent)
{
    append_many(100);
    std::size_t first = 0, second = 0;
    const auto one = log_->read(1, [&](log_message) { ++first; });
    const auto two = log_->read(51, [&](log_message) { ++second; });
    one->pause();
    EXPECT_TRUE(loop_until(on_, [&] { return second == 50; }));
    one->resume();
    EXPECT_TRUE(loop_until(on_, [&] { return first == 100; }));
}

TEST_P(message_log_test, a_full_log_refuses_and_takes_again_after_a_purge)
{
    log_ = open(100'000, "_bounded");
    EXPECT_EQ(info().bytes_max, 100'000u);
    const std::string body(1'000, 'x');
    std::uint64_t last = 0;
    boost::system::error_code error;
    for (int i = 0; i < 200 && !error; ++i) {
        const auto result = append(request(body, "id-" + std::to_string(i)));
        if (result)
            last = result->sequence;
        else
            error = result.error();
    }
    EXPECT_EQ(error, log_errc::full);
    EXPECT_GT(last, 50u);
    EXPECT_EQ(info().last_sequence, last);
    purge_below(last);
    const auto after = append(request(body, "id-after"));
    ASSERT_TRUE(after);
    EXPECT_EQ(after->sequence, last + 1);
}

TEST_P(message_log_test, nothing_calls_back_once_the_log_is_gone)
{
    int calls = 0;
    log_->append(request("a"), [&](const stored&) { ++calls; });
    log_->info([&](const message_log::result<log_info>&) { ++calls; });
    log_->get(1, [&](const message_log::result<log_message>&) { ++calls; });
    log_->purge_below(1, [&](const message_log::result<void>&) { ++calls; });
    log_.reset();
    loop_for(on_, std::chrono::milliseconds(100));
    EXPECT_EQ(calls, 0);
}

TEST_P(message_log_test, opening_again_finds_what_was_stored)
{
    append_many(3);
    log_ = open();
    EXPECT_EQ(info().messages, 3u);
    EXPECT_EQ(read(2, 2).at(0).payload, "m1");
}

INSTANTIATE_TEST_SUITE_P(backends, message_log_test,
                         testing::Values(backend_factory{"memory", memory_backend}, backend_factory{"nats", nats_backend}),
                         [](const auto& each) { return each.param.name; });

}
