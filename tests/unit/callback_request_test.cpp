#include "core/callback_request.hpp"

#include "sluice/version.hpp"

#include <gtest/gtest.h>

using namespace sluice;
using namespace sluice::core;

namespace {

invocation call(const std::string& fields = "X-Call-Id: call-1\r\ntraceparent: 00-aa-bb-01\r\n")
{
    log_message sent{9, {}, "POST / HTTP/1.1\r\n" + fields + "\r\nquestion"};
    sent.fields = {{"Nats-Msg-Id", "id-9"}, {"Sluice-Call", "1 t env.space 5"}, {"Sluice-Callback", "http://127.0.0.1/cb"}};
    return *parse_invocation(std::move(sent));
}

outcome answer_of(unsigned status, headers fields, std::string body)
{
    outcome result;
    result.kind = outcome_kind::delivered;
    result.reply.status = status;
    result.reply.fields = std::move(fields);
    result.reply.body_bytes = body.size();
    result.reply.body = std::move(body);
    result.took = std::chrono::microseconds(1'234'567);
    return result;
}

std::size_t count_of(const std::string& head, const std::string& line)
{
    std::size_t count = 0;
    for (auto at = head.find(line); at != std::string::npos; at = head.find(line, at + 1))
        ++count;
    return count;
}

}

TEST(callback_request_test, carries_the_answer_and_openfaas_fields)
{
    const auto made =
        make_callback(call(), {verdict_kind::done, {}, 201, {}}, answer_of(201, {{"Content-Type", "a/b"}}, "answer"), {2, 10});
    EXPECT_EQ(made.call, (journal::call_ref{9, hash_id("id-9")}));
    EXPECT_EQ(made.attempts, 2u);
    EXPECT_EQ(made.status, 201u);
    EXPECT_FALSE(made.dead);
    EXPECT_EQ(made.url, "http://127.0.0.1/cb");
    EXPECT_EQ(made.body, "answer");
    EXPECT_EQ(field_of(made.head, "Content-Type"), "a/b");
    EXPECT_EQ(field_of(made.head, "X-Call-Id"), "call-1");
    EXPECT_EQ(field_of(made.head, "X-Function-Name"), "env.space");
    EXPECT_EQ(field_of(made.head, "X-Function-Status"), "201");
    EXPECT_EQ(field_of(made.head, "X-Duration-Seconds"), "1.234567");
    EXPECT_EQ(field_of(made.head, "User-Agent"), std::string("sluice-queue-worker/") + release);
    EXPECT_EQ(field_of(made.head, "traceparent"), "00-aa-bb-01");
    EXPECT_EQ(field_of(made.head, "X-Retry"), "1");
    EXPECT_EQ(field_of(made.head, "X-Retry-Max"), "10");
    EXPECT_EQ(count_of(made.head, "X-Sluice-Truncated"), 0u);
}

TEST(callback_request_test, a_function_cannot_speak_in_our_name)
{
    const headers forged{{"x-call-id", "forged"},
                         {"X-FUNCTION-STATUS", "200"},
                         {"X-Function-Name", "other"},
                         {"X-Duration-Seconds", "0"},
                         {"user-agent", "forged"},
                         {"traceparent", "forged"},
                         {"Content-Length", "999"},
                         {"Host", "forged"},
                         {"Transfer-Encoding", "chunked"},
                         {"Connection", "close"},
                         {"X-Retry", "forged"},
                         {"X-Retry-Max", "forged"},
                         {"X-Own", "kept"}};
    const auto made = make_callback(call(), {verdict_kind::done, {}, 500, {}}, answer_of(500, forged, "b"), {1, 10});
    EXPECT_EQ(count_of(made.head, "forged"), 0u);
    EXPECT_EQ(field_of(made.head, "X-Function-Status"), "500");
    EXPECT_EQ(field_of(made.head, "Content-Length"), "");
    EXPECT_EQ(field_of(made.head, "Transfer-Encoding"), "");
    EXPECT_EQ(field_of(made.head, "Connection"), "");
    EXPECT_EQ(count_of(made.head, "X-Retry:"), 0u) << "there was none";
    EXPECT_EQ(field_of(made.head, "X-Own"), "kept");
}

TEST(callback_request_test, a_cut_answer_says_so_with_both_sizes)
{
    auto cut = answer_of(200, {}, "12345");
    cut.reply.truncated = true;
    cut.reply.body_bytes = 99;
    const auto made = make_callback(call(), {verdict_kind::done, {}, 200, {}}, cut, {1, 10});
    EXPECT_EQ(field_of(made.head, "X-Sluice-Truncated"), "sent=5 of=99");
    EXPECT_EQ(made.body, "12345");
}

TEST(callback_request_test, without_an_answer_the_body_says_why)
{
    const auto made = make_callback(call("\r\n"), {verdict_kind::dead, {}, 504, "no answer in time"},
                                    {outcome_kind::timed_out, answer_of(200, {{"X-Stale", "1"}}, "stale").reply, "late", {}}, {1, 10});
    EXPECT_TRUE(made.dead);
    EXPECT_EQ(made.status, 504u);
    EXPECT_EQ(made.body, "no answer in time\n");
    EXPECT_EQ(field_of(made.head, "X-Function-Status"), "504");
    EXPECT_EQ(field_of(made.head, "Content-Type"), "text/plain; charset=utf-8");
    EXPECT_EQ(count_of(made.head, "X-Stale"), 0u);
    EXPECT_EQ(count_of(made.head, "traceparent"), 0u);
    EXPECT_EQ(field_of(made.head, "X-Call-Id"), "");
}

TEST(callback_request_test, when_retries_are_exhausted_the_last_answer_is_posted)
{
    // As OpenFaaS documents it: the last response is posted.
    const auto made =
        make_callback(call(), {verdict_kind::dead, {}, 502, "watchdog reports status 502"}, answer_of(502, {}, "exec failed"), {3, 2});
    EXPECT_TRUE(made.dead);
    EXPECT_EQ(made.status, 502u);
    EXPECT_EQ(made.body, "exec failed");
    EXPECT_EQ(field_of(made.head, "X-Retry"), "2");
    EXPECT_EQ(field_of(made.head, "X-Retry-Max"), "2");
}
