#include "sluice/key_value.hpp"

#include "tests/support/backend.hpp"
#include "tests/support/loop_until.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace sluice::test {

namespace {

using revision_result = key_value::result<std::uint64_t>;

class key_value_test : public testing::TestWithParam<backend_factory> {
protected:
    std::unique_ptr<backend> back_ = GetParam().make();
    loop& on_ = back_->on;
    std::unique_ptr<key_value> bucket_ = open();

    std::unique_ptr<key_value> open()
    {
        std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
        std::replace(name.begin(), name.end(), '/', '_');
        return back_->open_bucket(name);
    }
    key_value::result<kv_entry> get(const std::string& key)
    {
        return *wait_for<key_value::result<kv_entry>>(on_, [&](auto done) { bucket_->get(key, done); });
    }
    revision_result put(const std::string& key, const std::string& value)
    {
        return *wait_for<revision_result>(on_, [&](auto done) { bucket_->put(key, value, done); });
    }
    revision_result create(const std::string& key, const std::string& value)
    {
        return *wait_for<revision_result>(on_, [&](auto done) { bucket_->create(key, value, done); });
    }
    revision_result update(const std::string& key, const std::string& value, std::uint64_t revision)
    {
        return *wait_for<revision_result>(on_, [&](auto done) { bucket_->update(key, value, revision, done); });
    }
    void erase(const std::string& key)
    {
        ASSERT_TRUE(*wait_for<key_value::result<void>>(on_, [&](auto done) { bucket_->erase(key, done); }));
    }
};

// What a watcher has seen.
struct seen {
    std::vector<kv_entry> entries;
    std::size_t before_current = 0;
    int current = 0;

    std::unique_ptr<key_value::watcher> watch(key_value& bucket)
    {
        return bucket.watch([this](kv_entry entry) { entries.push_back(std::move(entry)); },
                            [this] {
                                ++current;
                                before_current = entries.size();
                            });
    }
};

}

TEST_P(key_value_test, put_and_get)
{
    EXPECT_EQ(get("missing").error(), log_errc::not_found);
    const auto first = put("fn.openfaas-fn", "{\"a\":1}");
    const auto second = put("fn.openfaas-fn", "größer 大");
    ASSERT_TRUE(first && second);
    EXPECT_GT(*second, *first);
    const auto entry = get("fn.openfaas-fn");
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->key, "fn.openfaas-fn");
    EXPECT_EQ(entry->value, "größer 大");
    EXPECT_EQ(entry->revision, *second);
    EXPECT_FALSE(entry->erased);
}

TEST_P(key_value_test, an_empty_value_is_a_value_and_bytes_are_kept)
{
    ASSERT_TRUE(put("empty", ""));
    EXPECT_EQ(get("empty")->value, "");
    std::string bytes;
    for (int i = 0; i < 100 * 1024; ++i)
        bytes.push_back(static_cast<char>(i));
    ASSERT_TRUE(put("bytes", bytes));
    EXPECT_TRUE(get("bytes")->value == bytes);
}

TEST_P(key_value_test, create_wins_once)
{
    std::vector<revision_result> results;
    for (int i = 0; i < 10; ++i)
        bucket_->create("layout", std::to_string(i), [&](const revision_result& result) { results.push_back(result); });
    ASSERT_TRUE(loop_until(on_, [&] { return results.size() == 10; }));
    EXPECT_EQ(std::count_if(results.begin(), results.end(), [](const auto& result) { return result.has_value(); }), 1);
    for (const auto& result : results)
        if (!result) {
            EXPECT_EQ(result.error(), log_errc::wrong_sequence);
        }
    EXPECT_EQ(get("layout")->value, "0");
}

TEST_P(key_value_test, create_takes_a_key_that_was_erased)
{
    ASSERT_TRUE(create("k", "1"));
    erase("k");
    EXPECT_EQ(get("k").error(), log_errc::not_found);
    ASSERT_TRUE(create("k", "2"));
    EXPECT_EQ(get("k")->value, "2");
    EXPECT_EQ(create("k", "3").error(), log_errc::wrong_sequence);
}

TEST_P(key_value_test, update_needs_the_last_revision)
{
    const auto first = put("lease", "a").value();
    ASSERT_TRUE(put("other", "x"));
    const auto second = update("lease", "b", first);
    ASSERT_TRUE(second);
    EXPECT_EQ(update("lease", "c", first).error(), log_errc::wrong_sequence);
    EXPECT_EQ(get("lease")->value, "b");
    EXPECT_EQ(update("never", "x", 7).error(), log_errc::wrong_sequence);
}

TEST_P(key_value_test, erase_of_a_key_that_is_not_there_is_fine)
{
    erase("never");
    EXPECT_EQ(get("never").error(), log_errc::not_found);
}

TEST_P(key_value_test, a_watcher_of_an_empty_bucket_is_current_at_once)
{
    seen all;
    const auto watcher = all.watch(*bucket_);
    EXPECT_EQ(all.current, 0);
    ASSERT_TRUE(loop_until(on_, [&] { return all.current == 1; }));
    EXPECT_TRUE(all.entries.empty());
    ASSERT_TRUE(put("k", "1"));
    ASSERT_TRUE(loop_until(on_, [&] { return all.entries.size() == 1; }));
    EXPECT_EQ(all.current, 1);
}

TEST_P(key_value_test, a_watcher_sees_the_last_of_each_key_then_every_change_in_order)
{
    int stored = 0;
    for (int i = 0; i < 600; ++i)
        bucket_->put("key" + std::to_string(i % 200), std::to_string(i), [&](const revision_result& result) { stored += result ? 1 : 0; });
    ASSERT_TRUE(loop_until(on_, [&] { return stored == 600; }));
    erase("key7");
    seen all;
    const auto watcher = all.watch(*bucket_);
    ASSERT_TRUE(loop_until(on_, [&] { return all.current == 1; }));
    std::map<std::string, kv_entry> last;
    std::uint64_t revision = 0;
    for (const auto& entry : all.entries) {
        EXPECT_GT(entry.revision, revision);
        revision = entry.revision;
        last[entry.key] = entry;
    }
    EXPECT_EQ(all.before_current, 200u);
    ASSERT_EQ(last.size(), 200u);
    EXPECT_EQ(last["key5"].value, "405");
    EXPECT_TRUE(last["key7"].erased);

    ASSERT_TRUE(put("key5", "new"));
    erase("key6");
    ASSERT_TRUE(put("key8", "newer"));
    ASSERT_TRUE(loop_until(on_, [&] { return all.entries.size() == 203; }));
    EXPECT_EQ(all.entries[200].value, "new");
    EXPECT_EQ(all.entries[201].key, "key6");
    EXPECT_TRUE(all.entries[201].erased);
    EXPECT_EQ(all.entries[201].value, "");
    EXPECT_EQ(all.entries[202].value, "newer");

    for (int i = 0; i < 20; ++i)
        bucket_->put("key9", std::to_string(i), [](const revision_result&) {});
    ASSERT_TRUE(loop_until(on_, [&] { return all.entries.back().value == "19"; }));
    EXPECT_TRUE(
        std::is_sorted(all.entries.begin(), all.entries.end(), [](const auto& a, const auto& b) { return a.revision < b.revision; }));
    EXPECT_EQ(all.current, 1);
}

TEST_P(key_value_test, a_watcher_may_end_itself_in_its_callback)
{
    ASSERT_TRUE(put("a", "1"));
    ASSERT_TRUE(put("b", "1"));
    int entries = 0, current = 0;
    std::unique_ptr<key_value::watcher> watcher;
    watcher = bucket_->watch(
        [&](const kv_entry&) {
            ++entries;
            watcher.reset();
        },
        [&] { ++current; });
    ASSERT_TRUE(loop_until(on_, [&] { return !watcher; }));
    loop_for(on_, std::chrono::milliseconds(20));
    EXPECT_EQ(entries, 1);
    EXPECT_EQ(current, 0);
}

TEST_P(key_value_test, nothing_calls_back_once_the_bucket_is_gone)
{
    int calls = 0;
    bucket_->put("k", "v", [&](const revision_result&) { ++calls; });
    bucket_->create("k", "v", [&](const revision_result&) { ++calls; });
    bucket_->get("k", [&](const key_value::result<kv_entry>&) { ++calls; });
    bucket_.reset();
    loop_for(on_, std::chrono::milliseconds(100));
    EXPECT_EQ(calls, 0);
}

INSTANTIATE_TEST_SUITE_P(backends, key_value_test,
                         testing::Values(backend_factory{"memory", memory_backend}, backend_factory{"nats", nats_backend}),
                         [](const auto& each) { return each.param.name; });

}
