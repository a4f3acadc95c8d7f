#include "adapters/http/client.hpp"
#include "core/listen_address.hpp"
#include "tests/integration/queue_worker_fixture.hpp"
#include "tests/support/certificate.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/tls_server.hpp"

#include <fstream>

namespace sluice {
namespace {

using namespace std::chrono_literals;
using test::queue_worker_test;

TEST_F(queue_worker_test, a_call_arrives_as_it_was_sent_and_is_called_back)
{
    start_worker();
    accept("id-1", std::string("a\0b", 3), true);
    ASSERT_TRUE(until([&] { return !receiver_.calls.empty(); }));
    ASSERT_EQ(function_.calls.size(), 1u);
    const auto& call = function_.calls[0];
    EXPECT_EQ(call.method, "PUT");
    EXPECT_EQ(call.target, "/path/%2F?q=a%20b");
    EXPECT_EQ(call.body, std::string("a\0b", 3));
    EXPECT_EQ(*find(call.fields, "X-Custom"), "value");
    EXPECT_EQ(*find(call.fields, wire::replica_token_header), "token-1");
    EXPECT_EQ(*find(call.fields, wire::attempt_header), "1");
    EXPECT_EQ(*find(call.fields, wire::epoch_header), "1");
    const auto& callback = receiver_.calls[0];
    EXPECT_EQ(callback.method, "POST");
    EXPECT_EQ(callback.target, "/cb?x=1");
    EXPECT_EQ(callback.body, "done");
    EXPECT_EQ(*find(callback.fields, "X-Call-Id"), "id-1");
    EXPECT_EQ(*find(callback.fields, "X-Function-Status"), "200");
    EXPECT_EQ(*find(callback.fields, "X-Function-Name"), "echo.openfaas-fn");
    EXPECT_EQ(*find(callback.fields, "Content-Type"), "text/plain");
    EXPECT_EQ(find(callback.fields, wire::replica_token_header), nullptr);
}

TEST_F(queue_worker_test, calls_accepted_before_the_worker_started_run_and_none_runs_again_after_a_restart)
{
    for (int i = 0; i < 20; ++i)
        accept("early-" + std::to_string(i), "x", i % 2 == 0);
    start_worker();
    ASSERT_TRUE(until([&] { return function_.calls.size() == 20 && receiver_.calls.size() == 10; }));
    stop_worker();
    start_worker();
    accept("later", "x", true);
    ASSERT_TRUE(until([&] { return receiver_.calls.size() == 11; }));
    EXPECT_EQ(function_.calls.size(), 21u);
}

TEST_F(queue_worker_test, a_call_that_was_running_when_the_worker_died_runs_again)
{
    function_.hold = true;
    start_worker();
    accept("held", "x", true);
    ASSERT_TRUE(until([&] { return function_.held.size() == 1; }));
    kill_worker();
    function_.hold = false;
    start_worker();
    ASSERT_TRUE(until([&] { return receiver_.calls.size() == 1; }));
    EXPECT_EQ(function_.calls.size(), 2u);
    function_.held.clear();
}

TEST_F(queue_worker_test, a_function_that_fails_is_retried_as_its_annotations_say_across_a_restart)
{
    deploy({{"com.openfaas.retry.attempts", "3"}, {"com.openfaas.retry.min_wait", "1ms"}, {"com.openfaas.retry.codes", "500"}});
    function_.answer = {500, {}, "not yet"};
    start_worker();
    accept("failing", "x", true);
    ASSERT_TRUE(until([&] { return function_.calls.size() >= 2; }));
    kill_worker();
    start_worker();
    ASSERT_TRUE(until([&] { return !receiver_.calls.empty(); }));
    EXPECT_EQ(*find(function_.calls[0].fields, wire::attempt_header), "1");
    EXPECT_EQ(*find(function_.calls.back().fields, wire::attempt_header), "4");
    EXPECT_EQ(*find(function_.calls[0].fields, wire::epoch_header), "1");
    EXPECT_EQ(*find(function_.calls.back().fields, wire::epoch_header), "2") << "another owner's";
    const auto& callback = receiver_.calls[0];
    EXPECT_EQ(callback.body, "not yet") << "the last answer";
    EXPECT_EQ(*find(callback.fields, "X-Function-Status"), "500");
    EXPECT_EQ(*find(callback.fields, "X-Retry"), "3");
    EXPECT_EQ(*find(callback.fields, "X-Retry-Max"), "3");
    EXPECT_GE(function_.calls.size(), 4u);
    EXPECT_LE(function_.calls.size(), 6u) << "beyond those counted, what the dead worker had under way and not on record";
    function_.answer.status = 503;
    accept("not listed", "x", true);
    ASSERT_TRUE(until([&] { return receiver_.calls.size() == 2; }));
    EXPECT_EQ(*find(receiver_.calls[1].fields, "X-Function-Status"), "503");
    EXPECT_EQ(find(receiver_.calls[1].fields, "X-Retry"), nullptr);
}

TEST_F(queue_worker_test, a_callback_that_fails_is_tried_again_without_executing_again)
{
    receiver_.answer.status = 500;
    start_worker();
    accept("cb", "x", true);
    ASSERT_TRUE(until([&] { return receiver_.calls.size() >= 2; }));
    kill_worker();
    receiver_.answer.status = 200;
    const auto before = receiver_.calls.size();
    start_worker();
    ASSERT_TRUE(until([&] { return receiver_.calls.size() > before; }));
    EXPECT_EQ(function_.calls.size(), 1u);
    EXPECT_EQ(receiver_.calls.front().body, receiver_.calls.back().body);
}

TEST_F(queue_worker_test, nothing_is_lost_when_the_server_is_killed_in_mid_run)
{
    start_worker();
    ASSERT_TRUE(until([&] { return worker_->owned() == options_.partitions; }));
    for (int i = 0; i < 10; ++i)
        accept("before-" + std::to_string(i), "x", true);
    server_.restart();
    for (int i = 0; i < 10; ++i)
        accept("after-" + std::to_string(i), "x", true);
    std::map<std::string, int> called_back;
    ASSERT_TRUE(until([&] {
        called_back.clear();
        for (const auto& call : receiver_.calls)
            ++called_back[*find(call.fields, "X-Call-Id")];
        return called_back.size() == 20;
    }));
}

TEST_F(queue_worker_test, an_answer_above_the_bound_is_cut_and_the_callback_says_so)
{
    options_.answer_bytes_max = 1'000;
    function_.answer.body = std::string(5'000, 'z');
    start_worker();
    accept("big", "x", true);
    ASSERT_TRUE(until([&] { return receiver_.calls.size() == 1; }));
    EXPECT_EQ(receiver_.calls[0].body.size(), 1'000u);
    EXPECT_EQ(*find(receiver_.calls[0].fields, "X-Sluice-Truncated"), "sent=1000 of=5000");
}

TEST_F(queue_worker_test, an_answer_that_the_watchdog_cut_is_said_to_be_cut)
{
    function_.answer.fields.push_back({std::string(wire::cut_answer_header), "9000000"});
    start_worker();
    accept("cut", "x", true);
    ASSERT_TRUE(until([&] { return receiver_.calls.size() == 1; }));
    EXPECT_EQ(receiver_.calls[0].body, "done");
    EXPECT_EQ(*find(receiver_.calls[0].fields, "X-Sluice-Truncated"), "sent=4 of=9000000");
    EXPECT_EQ(find(receiver_.calls[0].fields, wire::cut_answer_header), nullptr);
}

// The partition that the calls of these tests are not in, and one message too many in one of its streams.
class bad_partition_test : public queue_worker_test {
protected:
    void put_message(const std::string& stream, const std::string& subject, append_request bad)
    {
        start_worker(); // makes the streams
        ASSERT_TRUE(until([&] { return worker_->owned() == options_.partitions; }));
        stop_worker();
        using answer = boost::system::result<std::unique_ptr<message_log>>;
        auto opened = test::wait_for<std::shared_ptr<answer>>(loop_, [&](auto done) {
            store_.open_log(stream, subject, {}, [done](answer made) { done(std::make_shared<answer>(std::move(made))); });
        });
        auto stored = test::wait_for<message_log::result<stored_at>>(loop_, [&](auto done) { (***opened)->append(bad, done); });
        ASSERT_TRUE(stored && *stored);
    }
    void put_in_journal(append_request bad)
    {
        put_message(wire::journal_stream(wire::default_queue, bad_), wire::journal_subject(wire::default_queue, bad_), std::move(bad));
    }
    void put_in_log(append_request bad)
    {
        put_message(wire::log_stream(wire::default_queue, bad_), wire::log_subject(wire::default_queue, bad_), std::move(bad));
    }
    void expect_the_rest_to_work(const std::string& reason)
    {
        options_.ready_file = folder_ / "ready";
        start_worker();
        ASSERT_TRUE(until([&] { return worker_->illness().find(reason) != std::string::npos; })) << worker_->illness();
        EXPECT_NE(worker_->illness().find("partition " + std::to_string(bad_) + " is left alone"), std::string::npos) << worker_->illness();
        ASSERT_TRUE(until([&] { return std::filesystem::exists(options_.ready_file); }));
        accept("id-1", "x", true);
        ASSERT_TRUE(until([&] { return receiver_.calls.size() == 1; }));
        EXPECT_EQ(worker_->owned(), options_.partitions - 1);
        EXPECT_EQ(worker_->failure(), "");
    }

    const std::uint32_t bad_ = 1 - core::partition_of("openfaas-fn", 2);
    test::temp_folder folder_;
};

TEST_F(bad_partition_test, one_whose_journal_is_of_a_later_release_is_left_alone)
{
    append_request later;
    later.payload = std::string("SLJ\x63", 4) + std::string(20, '\0');
    put_in_journal(std::move(later));
    expect_the_rest_to_work("journal record format 99 is newer than this release reads (2)");
}

TEST_F(bad_partition_test, one_whose_log_is_of_a_later_release_is_left_alone)
{
    append_request later;
    later.id = "later";
    later.fields.push_back({std::string(wire::call_header), "2 a b.c 1"});
    put_in_log(std::move(later));
    expect_the_rest_to_work("newer");
}

TEST_F(bad_partition_test, one_that_was_mended_is_taken_over_without_a_restart)
{
    options_.left_alone_wait = 100ms;
    append_request later;
    later.payload = std::string("SLJ\x63", 4) + std::string(20, '\0');
    put_in_journal(std::move(later));
    options_.ready_file = folder_ / "ready";
    start_worker();
    ASSERT_TRUE(until([&] { return std::filesystem::exists(options_.ready_file); }));
    http::client client(loop_, {});
    const auto health = [&] {
        std::string address;
        std::getline(std::ifstream(options_.ready_file), address);
        http::client_request what;
        what.host = "127.0.0.1";
        what.port = core::parse_listen_address("ready_file", address).port;
        what.method = "GET";
        what.target = "/healthz";
        what.deadline = test::generous;
        return test::wait_for<outcome>(loop_, [&](auto done) { client.call(std::move(what), done); })->reply;
    };
    const auto ill = health();
    EXPECT_EQ(ill.status, 503u);
    EXPECT_NE(ill.body.find("is left alone: journal sequence"), std::string::npos) << ill.body;

    const auto stream = wire::journal_stream(wire::default_queue, bad_);
    const auto last = test::wait_for<boost::system::result<std::string>>(
        loop_, [&](auto done) { store_.request("$JS.API.STREAM.PURGE." + stream, "", test::generous, done); });
    ASSERT_TRUE(last && *last);
    EXPECT_TRUE(until([&] { return health().status == 200; }));
    EXPECT_EQ(worker_->owned(), options_.partitions);
    client.close();
}

TEST_F(queue_worker_test, a_call_of_a_function_whose_stored_value_cannot_be_read_waits)
{
    options_.shard.missing_function_grace = 1ms;
    put(*functions_, name_.key(), "{\"version\":99}");
    put(*endpoints_, name_.key(), core::encode(function_endpoints{name_, 1, {}}));
    const function_name damaged{"damaged", name_.space};
    put(*functions_, damaged.key(), "damage");
    start_worker();
    ASSERT_TRUE(until([&] { return worker_->owned() == options_.partitions && worker_->illness().empty(); }));
    accept("waits", "x", true);
    name_.name = "damaged";
    accept("waits for its end", "x", true);
    name_.name = "nobody";
    accept("absent", "x", true);
    name_.name = "echo";
    ASSERT_TRUE(until([&] { return receiver_.calls.size() == 1; }));
    EXPECT_EQ(*find(receiver_.calls[0].fields, "X-Call-Id"), "absent");
    deploy();
    ASSERT_TRUE(until([&] { return receiver_.calls.size() == 2; }));
    EXPECT_EQ(*find(receiver_.calls[1].fields, "X-Function-Status"), "200");
    ASSERT_TRUE(test::wait_for<key_value::result<void>>(loop_, [&](auto done) { functions_->erase(damaged.key(), done); }));
    ASSERT_TRUE(until([&] { return receiver_.calls.size() == 3; })) << "it is known to be absent now";
    EXPECT_EQ(*find(receiver_.calls[2].fields, "X-Call-Id"), "waits for its end");
}

TEST_F(queue_worker_test, a_call_that_waited_for_an_unreadable_namespace_ends_with_it)
{
    options_.shard.missing_function_grace = 1ms;
    std::unique_ptr<key_value> spaces;
    open(wire::namespaces_bucket, spaces);
    put(*spaces, "shop", "damage");
    start_worker();
    ASSERT_TRUE(until([&] { return worker_->owned() == options_.partitions && worker_->illness().empty(); }));
    name_ = {"nobody", "shop"};
    accept("waits", "x", true);
    ASSERT_TRUE(until([&] { return worker_->live() == 1; }));
    ASSERT_TRUE(test::wait_for<key_value::result<void>>(loop_, [&](auto done) { spaces->erase("shop", done); }));
    EXPECT_TRUE(until([&] { return receiver_.calls.size() == 1; }));
}

TEST_F(bad_partition_test, one_with_a_journal_message_of_nobody_is_taken_over)
{
    append_request garbage;
    garbage.payload = "garbage";
    put_in_journal(std::move(garbage));
    start_worker();
    EXPECT_TRUE(until([&] { return worker_->owned() == options_.partitions && worker_->illness().empty(); })) << worker_->illness();
}

TEST_F(queue_worker_test, a_callback_over_https_to_a_name_is_delivered_to_whom_it_can_verify)
{
    test::temp_folder folder;
    test::write_certificate(folder / "ca.pem", folder / "key.pem");
    const test::tls_server receiver(folder / "ca.pem", folder / "key.pem");
    options_.callback_ca_file = folder / "ca.pem";
    start_worker();
    accept("tls", "x", "https://localhost:" + std::to_string(receiver.port()) + "/cb");
    ASSERT_TRUE(until([&] { return receiver.requests().size() == 1; }));
    const auto got = receiver.requests()[0];
    EXPECT_TRUE(got.starts_with("POST /cb HTTP/1.1\r\n")) << got;
    EXPECT_NE(got.find("X-Call-Id: tls\r\n"), std::string::npos) << got;
    EXPECT_TRUE(got.ends_with("\r\n\r\ndone")) << got;
}

// The name is harmless to look at; what it resolves to is seen when it is connected to.
TEST_F(queue_worker_test, a_callback_to_a_name_of_a_forbidden_address_reaches_nobody)
{
    options_.callback_allow = {};
    options_.shard.callback.attempts_max = 2;
    start_worker();
    accept("inside", "x", "http://localhost:" + std::to_string(receiver_.port()) + "/cb");
    const auto given_up = [&] { return worker_->live() == 0 && function_.calls.size() == 1; };
    ASSERT_TRUE(until(given_up));
    EXPECT_TRUE(receiver_.calls.empty());
}

TEST_F(queue_worker_test, its_pages_show_a_function_until_it_is_removed)
{
    test::temp_folder folder;
    options_.ready_file = folder / "ready";
    start_worker();
    std::string ready;
    ASSERT_TRUE(until([&] { return bool(std::getline(std::ifstream(options_.ready_file), ready)); }));
    const auto where = core::parse_listen_address("ready_file", ready);
    http::client client(loop_, {});
    const auto page = [&](const std::string& target) {
        http::client_request ask;
        ask.host = where.host;
        ask.port = where.port;
        ask.method = "GET";
        ask.target = target;
        auto got = test::wait_for<outcome>(loop_, [&](auto done) { client.call(ask, done); });
        return got ? got->reply : answer{};
    };
    EXPECT_EQ(page("/healthz").status, 200u);
    EXPECT_EQ(page("/other").status, 404u);
    accept("id-1", "x", true);
    ASSERT_TRUE(until([&] { return receiver_.calls.size() == 1; }));
    const auto has_function = [&] { return page("/metrics").body.find("\"echo.openfaas-fn\"") != std::string::npos; };
    EXPECT_TRUE(has_function());
    const auto erased = test::wait_for<key_value::result<void>>(loop_, [&](auto done) { functions_->erase(name_.key(), done); });
    ASSERT_TRUE(erased && *erased);
    EXPECT_TRUE(until([&] { return !has_function(); }));
    client.close();
}

}
}
