#include "core/ids.hpp"
#include "core/invocation.hpp"
#include "core/layout.hpp"
#include "tests/support/gateway_fixture.hpp"

// What /async-function answers, and what is then in the log.
namespace sluice {
namespace {

using ::testing::HasSubstr;

// A log whose first appends are stored (or not) and answered as a test wants.
class unsure_log final : public message_log {
public:
    unsure_log(std::unique_ptr<message_log> real, std::vector<std::optional<log_errc>>& script, std::vector<std::string>& ids, loop& on)
        : real_(std::move(real)), script_(script), ids_(ids), loop_(on)
    {}
    void append(const append_request& request, std::function<void(result<stored_at>)> done) override
    {
        ids_.push_back(request.id);
        if (script_.empty())
            return real_->append(request, std::move(done));
        const auto failure = script_.front();
        script_.erase(script_.begin());
        if (failure == log_errc::unknown) // stored, but nobody hears of it
            return real_->append(request, [done = std::move(done)](auto) { done(make_error_code(log_errc::unknown)); });
        loop_.post([failure, done = std::move(done)] { done(make_error_code(*failure)); });
    }
    void info(std::function<void(result<log_info>)> done) override { real_->info(std::move(done)); }
    void get(std::uint64_t sequence, std::function<void(result<log_message>)> done) override { real_->get(sequence, std::move(done)); }
    void purge_below(std::uint64_t sequence, std::function<void(result<void>)> done) override
    {
        real_->purge_below(sequence, std::move(done));
    }
    std::unique_ptr<reader> read(std::uint64_t from, std::function<void(log_message)> on_message) override
    {
        return real_->read(from, std::move(on_message));
    }

private:
    std::unique_ptr<message_log> real_;
    std::vector<std::optional<log_errc>>& script_;
    std::vector<std::string>& ids_;
    loop& loop_;
};

class gateway_async : public test::gateway_fixture {
protected:
    std::unique_ptr<message_log> wrap_log(std::unique_ptr<message_log> log) override
    {
        return std::make_unique<unsure_log>(std::move(log), script_, ids_, loop_);
    }
    std::vector<std::optional<log_errc>> script_;
    std::vector<std::string> ids_; // of every append
};

TEST_F(gateway_async, a_202_means_that_the_log_has_the_call)
{
    start();
    deploy({"f", "shop"});
    const auto got = ask("POST", "/async-function/f.shop/a%20b?q=%31", "Content-Type: text/plain\r\nX-Mine: 1\r\n", "hello");
    EXPECT_EQ(got.status, 202u);
    EXPECT_EQ(got.body, "");
    EXPECT_THAT(field(got, "X-Served-By"), HasSubstr("sluice/"));
    const auto messages = logged();
    ASSERT_EQ(messages.size(), 1u);
    const auto call = core::parse_invocation(messages[0]);
    ASSERT_TRUE(call) << call.error().message;
    EXPECT_EQ(call->function, (function_name{"f", "shop"}));
    EXPECT_EQ(core::method_of(*call->payload), "POST");
    EXPECT_EQ(core::target_of(*call->payload), "/a%20b?q=%31");
    EXPECT_EQ(call->payload->substr(call->body_at), "hello");
    const auto fields = std::string_view(*call->payload).substr(call->fields_at, call->body_at - call->fields_at);
    EXPECT_EQ(core::field_of(fields, "X-Mine"), "1");
    EXPECT_EQ(core::field_of(fields, "X-Call-Id"), field(got, "X-Call-Id"));
    EXPECT_EQ(core::field_of(fields, "X-Start-Time"), field(got, "X-Start-Time"));
    EXPECT_EQ(core::field_of(fields, "X-Forwarded-Host"), "gw.example:8080");
    EXPECT_THAT(std::string(core::field_of(fields, "X-Forwarded-For")), ::testing::StartsWith("127.0.0.1:"));
    const auto id = core::parse_id(*find(messages[0].fields, "Nats-Msg-Id"));
    ASSERT_TRUE(id);
    EXPECT_EQ(id->partition, core::partition_of("shop", options_.partitions));
}

TEST_F(gateway_async, refuses_what_cannot_be_called_and_stores_nothing)
{
    start();
    deploy({"f", "openfaas-fn"});
    EXPECT_EQ(ask("POST", "/async-function/nobody", "", "x").status, 404u);
    EXPECT_EQ(ask("POST", "/async-function/", "", "x").status, 404u);
    const auto wrong_method = ask("GET", "/async-function/f");
    EXPECT_EQ(wrong_method.status, 405u);
    EXPECT_EQ(field(wrong_method, "Allow"), "POST");
    const auto callback = ask("POST", "/async-function/f", "X-Callback-Url: http://127.0.0.1:1/\r\n", "x");
    EXPECT_EQ(callback.status, 400u);
    EXPECT_THAT(callback.body, HasSubstr("X-Callback-Url: host"));
    EXPECT_EQ(ask("POST", "/async-function/f", "X-Callback-Url: gopher://example.com/\r\n", "x").status, 400u);
    EXPECT_TRUE(logged().empty());
}

TEST_F(gateway_async, an_allowed_callback_goes_with_the_call)
{
    options_.callback_allow = {"127.0.0.1"};
    start();
    deploy({"f", "openfaas-fn"});
    EXPECT_EQ(ask("POST", "/async-function/f", "X-Callback-Url: http://127.0.0.1:9/x\r\n").status, 202u);
    const auto messages = logged();
    ASSERT_EQ(messages.size(), 1u);
    EXPECT_EQ(*find(messages[0].fields, wire::callback_header), "http://127.0.0.1:9/x");
}

TEST_F(gateway_async, bodies_have_a_bound_that_the_answer_names)
{
    options_.body_bytes_max = 2000;
    start();
    deploy({"f", "openfaas-fn"});
    EXPECT_EQ(ask("POST", "/async-function/f", "", std::string(2000, 'x')).status, 202u);
    const auto got = ask("POST", "/async-function/f", "", std::string(2001, 'x'));
    EXPECT_EQ(got.status, 413u);
    EXPECT_THAT(got.body, ::testing::AllOf(HasSubstr("body_bytes_max"), HasSubstr("2000")));
    application_->set_message_bytes_max(1024); // a foreign server's max_payload
    EXPECT_EQ(ask("POST", "/async-function/f", "", std::string(600, 'x')).status, 413u);
}

TEST_F(gateway_async, without_the_store_the_answer_is_503_and_never_202)
{
    start();
    deploy({"f", "openfaas-fn"});
    memory_.set_down(true);
    const auto got = ask("POST", "/async-function/f", "", "x");
    EXPECT_EQ(got.status, 503u);
    EXPECT_NE(field(got, "Retry-After"), "");
    memory_.set_down(false);
    EXPECT_EQ(ask("POST", "/async-function/f", "", "x").status, 202u);
    EXPECT_EQ(logged().size(), 1u);
}

TEST_F(gateway_async, an_unknown_outcome_is_asked_again_with_the_same_id)
{
    start();
    deploy({"f", "openfaas-fn"});
    script_ = {log_errc::unknown, log_errc::unknown};
    const auto got = ask("POST", "/async-function/f", "", "x");
    EXPECT_EQ(got.status, 202u);
    ASSERT_EQ(ids_.size(), 3u);
    EXPECT_EQ(ids_[0], ids_[1]);
    EXPECT_EQ(ids_[0], ids_[2]);
    EXPECT_EQ(field(got, "X-Call-Id"), ids_[0]);
    EXPECT_EQ(logged().size(), 1u);
}

TEST_F(gateway_async, each_failure_of_the_log_has_its_status)
{
    start();
    deploy({"f", "openfaas-fn"});
    for (auto [failure, status] : {std::pair{log_errc::full, 503u}, {log_errc::unavailable, 503u}, {log_errc::too_large, 413u}}) {
        script_ = {failure};
        const auto got = ask("POST", "/async-function/f", "", "x");
        EXPECT_EQ(got.status, status);
        EXPECT_EQ(field(got, "Retry-After").empty(), status == 413);
    }
    EXPECT_TRUE(logged().empty());
}

TEST_F(gateway_async, stops_accepting_before_the_log_is_full)
{
    options_.partitions = 1;
    log_bytes_max_ = 100'000;
    start();
    deploy({"f", "openfaas-fn"});
    unsigned accepted = 0;
    answer last;
    for (int i = 0; i < 200 && last.status != 503; ++i) {
        last = ask("POST", "/async-function/f", "", std::string(1000, 'x'));
        accepted += last.status == 202;
    }
    EXPECT_EQ(last.status, 503u);
    EXPECT_NE(field(last, "Retry-After"), "");
    EXPECT_THAT(last.body, HasSubstr("80 %"));
    EXPECT_EQ(logged().size(), accepted);
    EXPECT_GT(accepted, 40u);
    const auto log = memory_.open_log("log0", log_bytes_max_);
    const auto info = test::wait_for<message_log::result<log_info>>(loop_, [&](auto done) { log->info(done); });
    EXPECT_LT((*info)->bytes, 90'000u);
    // With room again, accepting goes on.
    test::wait_for<message_log::result<void>>(loop_, [&](auto done) { log->purge_below((*info)->last_sequence + 1, done); });
    EXPECT_TRUE(test::loop_until(loop_, [&] { return ask("POST", "/async-function/f", "", "x").status == 202; }));
}

TEST_F(gateway_async, calls_that_wait_for_the_log_are_bounded)
{
    options_.publishes_max = 2;
    start();
    deploy({"f", "openfaas-fn"});
    std::vector<unsigned> statuses;
    for (int i = 0; i < 3; ++i) {
        auto what = request("POST", "/async-function/f", "", "x");
        client_->call(std::move(what), [&](outcome got) { statuses.push_back(got.reply.status); });
    }
    ASSERT_TRUE(test::loop_until(loop_, [&] { return statuses.size() == 3; }));
    // How many overlap is the loop's business; what was accepted is stored, the rest was told to come again.
    const auto accepted = static_cast<std::size_t>(std::count(statuses.begin(), statuses.end(), 202u));
    EXPECT_EQ(static_cast<std::size_t>(std::count(statuses.begin(), statuses.end(), 503u)), 3 - accepted);
    EXPECT_GE(accepted, 2u);
    EXPECT_EQ(logged().size(), accepted);
}

TEST_F(gateway_async, counts_what_it_accepts)
{
    start();
    deploy({"f", "openfaas-fn"});
    ask("POST", "/async-function/f", "", "x");
    ask("POST", "/async-function/nobody", "", "x");
    const auto text = metrics();
    EXPECT_THAT(text, HasSubstr(R"(http_requests_total{method="POST",path="/async-function",status="202"} 1)"));
    EXPECT_THAT(text, HasSubstr(R"(http_requests_total{method="POST",path="/async-function",status="404"} 1)"));
    EXPECT_THAT(text, HasSubstr("http_request_duration_seconds_count"));
    EXPECT_THAT(text, ::testing::Not(HasSubstr("nobody")));
    EXPECT_THAT(ask("GET", "/system/functions").body, HasSubstr("\"invocationCount\":1"));
}

}
}
