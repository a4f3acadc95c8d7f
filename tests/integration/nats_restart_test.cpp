#include "adapters/nats/connection.hpp"
#include "tests/support/loop_until.hpp"
#include "tests/support/nats_server.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

// What the ports promise when the server goes away and comes back.
namespace sluice::test {

namespace {

using namespace std::chrono_literals;
using stored = message_log::result<stored_at>;

nats::connection_options options_for(const nats_server& server)
{
    nats::connection_options options;
    options.url = server.url();
    options.reconnect_wait = 10ms;
    return options;
}

std::unique_ptr<message_log> open_log(loop& on, nats::connection& connection, const std::string& name = "LOG")
{
    using opened = boost::system::result<std::unique_ptr<message_log>>;
    auto answer = wait_for<opened>(on, [&](auto done) { connection.open_log(name, "test." + name, {}, done); });
    return std::move(answer.value().value());
}

std::unique_ptr<key_value> open_bucket(loop& on, nats::connection& connection)
{
    using opened = boost::system::result<std::unique_ptr<key_value>>;
    auto answer = wait_for<opened>(on, [&](auto done) { connection.open_bucket("bucket", {}, done); });
    return std::move(answer.value().value());
}

append_request request(const std::string& id)
{
    append_request made;
    made.id = id;
    made.payload = "payload of " + id;
    made.deadline = 2s;
    return made;
}

// Appends with several in flight, and each again under its id until it is acked, as every user of a log must.
class steady_writer {
public:
    steady_writer(loop& on, message_log& log, std::size_t total) : log_(log), total_(total), again_(on) { go_on(); }

    std::map<std::string, std::uint64_t> acked; // id → sequence
    std::size_t unknown = 0, unavailable = 0, duplicates = 0;

private:
    void go_on()
    {
        while (in_flight_ < 64 && (next_ < total_ || !retry_.empty())) {
            std::string id = retry_.empty() ? "id-" + std::to_string(next_++) : retry_.back();
            if (!retry_.empty())
                retry_.pop_back();
            ++in_flight_;
            log_.append(request(id), [this, id](const stored& result) { settle(id, result); });
        }
    }
    void settle(const std::string& id, const stored& result)
    {
        --in_flight_;
        if (result) {
            acked[id] = result->sequence;
            duplicates += result->duplicate ? 1 : 0;
            return go_on();
        }
        (result.error() == log_errc::unknown ? unknown : unavailable) += 1;
        retry_.push_back(id);
        if (!again_.armed())
            again_.after(5ms, [this] { go_on(); });
    }

    message_log& log_;
    std::size_t total_, next_ = 0, in_flight_ = 0;
    std::vector<std::string> retry_;
    timer again_;
};

log_info info_of(loop& on, message_log& log)
{
    return wait_for<message_log::result<log_info>>(on, [&](auto done) { log.info(done); }).value().value();
}

}

TEST(nats_restart, through_kills_every_acked_append_is_read_once_in_order)
{
    constexpr std::size_t total = 30'000, kills = 6;
    nats_server server;
    loop on;
    nats::connection connection(on, options_for(server));
    const auto log = open_log(on, connection);

    std::vector<std::pair<std::uint64_t, std::string>> read;
    const auto reader =
        log->read(1, [&](const log_message& message) { read.emplace_back(message.sequence, *find(message.fields, "Nats-Msg-Id")); });
    steady_writer writer(on, *log, total);
    for (std::size_t kill = 1; kill <= kills; ++kill) {
        ASSERT_TRUE(loop_until(on, [&] { return writer.acked.size() > total * kill / (kills + 1); }));
        server.kill();
        ASSERT_TRUE(loop_until(on, [&] { return !connection.connected(); }));
        server.start();
    }
    ASSERT_TRUE(loop_until(on, [&] { return writer.acked.size() == total && read.size() >= total; }));

    EXPECT_EQ(connection.reconnects(), kills);
    EXPECT_GT(writer.unknown, 0u);
    EXPECT_EQ(info_of(on, *log).messages, total);
    ASSERT_EQ(read.size(), total);
    for (std::size_t i = 0; i < total; ++i) {
        ASSERT_EQ(read[i].first, i + 1);
        ASSERT_EQ(writer.acked.at(read[i].second), i + 1);
    }
}

TEST(nats_restart, appends_under_way_are_unknown_and_later_ones_unavailable)
{
    nats_server server;
    loop on;
    nats::connection connection(on, options_for(server));
    const auto log = open_log(on, connection);
    std::vector<boost::system::error_code> errors;
    const auto keep = [&](const stored& result) { errors.push_back(result ? boost::system::error_code() : result.error()); };
    server.freeze();
    for (int i = 0; i < 20; ++i)
        log->append(request("under way " + std::to_string(i)), keep);
    loop_for(on, 20ms);
    EXPECT_TRUE(errors.empty());
    server.kill();
    ASSERT_TRUE(loop_until(on, [&] { return errors.size() == 20; }));
    EXPECT_EQ(std::count(errors.begin(), errors.end(), log_errc::unknown), 20);
    errors.clear();
    log->append(request("later"), keep);
    EXPECT_TRUE(errors.empty());
    ASSERT_TRUE(loop_until(on, [&] { return errors.size() == 1; }));
    EXPECT_EQ(errors[0], log_errc::unavailable);
    server.start();
    ASSERT_TRUE(loop_until(on, [&] { return connection.connected(); }));
    EXPECT_TRUE(wait_for<stored>(on, [&](auto done) { log->append(request("after"), done); }).value());
}

TEST(nats_restart, a_frozen_server_is_unknown_at_the_deadline)
{
    nats_server server;
    loop on;
    nats::connection connection(on, options_for(server));
    const auto log = open_log(on, connection);
    server.freeze();
    auto what = request("a");
    what.deadline = 100ms;
    EXPECT_EQ(wait_for<stored>(on, [&](auto done) { log->append(what, done); }).value().error(), log_errc::unknown);
    server.thaw();
    EXPECT_TRUE(wait_for<stored>(on, [&](auto done) { log->append(what, done); }).value()->duplicate);
}

TEST(nats_restart, a_silent_server_is_left_after_two_pings)
{
    nats_server server;
    loop on;
    auto options = options_for(server);
    options.ping_interval = 100ms;
    nats::connection connection(on, options);
    server.freeze();
    EXPECT_TRUE(loop_until(on, [&] { return !connection.connected(); }));
    server.thaw();
    EXPECT_TRUE(loop_until(on, [&] { return connection.connected(); }));
}

TEST(nats_restart, a_watcher_learns_what_changed_while_it_was_away)
{
    nats_server server;
    loop on;
    auto slow = options_for(server);
    slow.reconnect_wait = 1'000ms;
    nats::connection away(on, slow), near(on, options_for(server));
    const auto watched = open_bucket(on, away), changed = open_bucket(on, near);
    std::map<std::string, kv_entry> mirror;
    std::vector<std::uint64_t> revisions;
    int current = 0;
    const auto watcher = watched->watch(
        [&](const kv_entry& entry) {
            mirror[entry.key] = entry;
            revisions.push_back(entry.revision);
        },
        [&] { ++current; });
    const auto put = [&](const std::string& key, const std::string& value) {
        return wait_for<key_value::result<std::uint64_t>>(on, [&](auto done) { changed->put(key, value, done); }).value().has_value();
    };
    ASSERT_TRUE(put("a", "1") && put("b", "1") && put("c", "1"));
    ASSERT_TRUE(loop_until(on, [&] { return current == 1 && mirror.size() == 3; }));

    server.kill();
    ASSERT_TRUE(loop_until(on, [&] { return !away.connected() && !near.connected(); }));
    server.start();
    ASSERT_TRUE(loop_until(on, [&] { return near.connected(); }));
    ASSERT_TRUE(put("a", "2") && put("a", "3") && put("d", "1"));
    ASSERT_TRUE(wait_for<key_value::result<void>>(on, [&](auto done) { changed->erase("b", done); }).value());

    ASSERT_TRUE(loop_until(on, [&] { return mirror.size() == 4 && mirror["a"].value == "3" && mirror["b"].erased; }));
    EXPECT_EQ(current, 1);
    EXPECT_TRUE(std::is_sorted(revisions.begin(), revisions.end()));
    EXPECT_EQ(std::adjacent_find(revisions.begin(), revisions.end()), revisions.end());
    EXPECT_EQ(mirror["c"].value, "1");
}

TEST(nats_restart, a_stream_made_anew_shows_by_its_sequences)
{
    nats_server server;
    loop on;
    nats::connection connection(on, options_for(server));
    auto log = open_log(on, connection);
    std::vector<log_message> read;
    const auto reader = log->read(1, [&](log_message message) { read.push_back(std::move(message)); });
    for (int i = 0; i < 3; ++i)
        ASSERT_TRUE(wait_for<stored>(on, [&](auto done) { log->append(request("old" + std::to_string(i)), done); }).value());
    ASSERT_TRUE(loop_until(on, [&] { return read.size() == 3; }));
    const auto api = [&](const std::string& subject) {
        return wait_for<boost::system::result<std::string>>(on, [&](auto done) { connection.request(subject, "", 5s, done); })
            .value()
            .value();
    };
    api("$JS.API.STREAM.DELETE.LOG");
    log = open_log(on, connection);
    ASSERT_TRUE(wait_for<stored>(on, [&](auto done) { log->append(request("new"), done); }).value());
    ASSERT_TRUE(loop_until(on, [&] { return read.size() == 4; }));
    EXPECT_EQ(read.back().sequence, 1u);
    EXPECT_EQ(read.back().payload, "payload of new");
}

// What comes of a reader that had read five messages when the log lost the last two and got so many new ones.
std::vector<log_message> read_over_a_lost_tail(int new_ones)
{
    nats_server server;
    loop on;
    nats::connection connection(on, options_for(server));
    const auto log = open_log(on, connection);
    const auto append = [&](const std::string& id) {
        return wait_for<stored>(on, [&](auto done) { log->append(request(id), done); }).value();
    };
    std::vector<log_message> read;
    for (int i = 0; i < 3; ++i)
        EXPECT_TRUE(append("kept" + std::to_string(i)));
    const std::filesystem::path folder = server.folder();
    server.terminate();
    std::filesystem::copy(folder / "store", folder / "copy", std::filesystem::copy_options::recursive);
    server.start();
    EXPECT_TRUE(loop_until(on, [&] { return connection.reconnects() == 1 && connection.connected(); }));
    const auto reader = log->read(1, [&](log_message message) { read.push_back(std::move(message)); });
    EXPECT_TRUE(append("lost1") && append("lost2"));
    EXPECT_TRUE(loop_until(on, [&] { return read.size() == 5; }));

    server.kill();
    std::filesystem::remove_all(folder / "store");
    std::filesystem::rename(folder / "copy", folder / "store");
    server.start();
    EXPECT_TRUE(loop_until(on, [&] { return connection.reconnects() == 2 && connection.connected(); }));
    for (int i = 1; i <= new_ones; ++i)
        EXPECT_TRUE(append("new" + std::to_string(i)));
    EXPECT_TRUE(loop_until(on, [&] { return read.size() >= 6; }));
    if (read.size() < 6)
        return {};
    return {read.begin() + 5, read.end()};
}

// As many as before, and one more: only the messages themselves tell.
TEST(nats_restart, a_lost_tail_shows_by_its_sequences)
{
    const auto after = read_over_a_lost_tail(3);
    ASSERT_FALSE(after.empty());
    EXPECT_EQ(after[0].sequence, 5u);
    EXPECT_EQ(after[0].payload, "payload of new2");
}

// Where the first new one took a place that was read, it must not be passed over: the reader's next one would be above it.
TEST(nats_restart, a_lost_tail_that_is_filled_in_part_shows_at_once)
{
    const auto after = read_over_a_lost_tail(1);
    ASSERT_FALSE(after.empty());
    EXPECT_EQ(after[0].sequence, 4u);
    EXPECT_EQ(after[0].payload, "payload of new1");
}

}
