#include "core/accept_http.hpp"
#include "core/function_codec.hpp"
#include "core/ids.hpp"
#include "core/invocation.hpp"
#include "core/layout.hpp"
#include "sluice/wire.hpp"
#include "tests/support/hand_fed_bucket.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace sluice;
using namespace sluice::core;
using sluice::test::hand_fed_bucket;
using testing::HasSubstr;

namespace {

struct accept_test : testing::Test {
    hand_fed_bucket functions, endpoints, spaces;
    directory known{functions, endpoints, spaces, nullptr};
    accept_policy policy;
    accept_moment now{1'790'000'000'123'456'789, 42};
    std::string target = "/async-function/f.shop/path?q=1";
    std::vector<header_view> fields{{"Host", "gw:8080"}, {"Content-Type", "text/plain"}, {"Content-Length", "5"}};
    std::string body = "hello";

    accept_test()
    {
        policy.partitions = 16;
        function_spec spec;
        for (auto name : {function_name{"f", "shop"}, function_name{"g", "openfaas-fn"}}) {
            spec.name = name;
            functions.feed(name.key(), encode(spec));
        }
        functions.on_end();
        endpoints.on_end();
        spaces.on_end();
    }
    accept_result<accepted> run() { return accept({"POST", target, fields, body, "10.0.0.9:55"}, known, policy, now); }
    refusal refused()
    {
        const auto result = run();
        return result ? refusal{0, "accepted"} : result.error();
    }
};

}

TEST_F(accept_test, a_call_becomes_a_message_that_reads_back_as_the_call)
{
    const auto result = run();
    ASSERT_TRUE(result);
    const auto& message = result->message;
    EXPECT_EQ(result->partition, partition_of("shop", 16));
    const auto id = parse_id(message.id);
    ASSERT_TRUE(id);
    EXPECT_EQ(id->partition, result->partition);
    EXPECT_EQ(message.payload,
              "POST /path?q=1 HTTP/1.1\r\nContent-Type: text/plain\r\nX-Call-Id: " + message.id
                  + "\r\nX-Start-Time: 1790000000123456789\r\nX-Forwarded-For: 10.0.0.9:55\r\nX-Forwarded-Host: gw:8080\r\ntraceparent: 00-"
                  + std::string(field_of(message.payload, "traceparent")).substr(3) + "\r\n\r\nhello");
    EXPECT_EQ(message.deadline, policy.publish_deadline);

    log_message stored{7, message.fields, message.payload};
    stored.fields.push_back({"Nats-Msg-Id", message.id});
    const auto call = parse_invocation(stored);
    ASSERT_TRUE(call);
    EXPECT_EQ(call->tenant, "shop");
    EXPECT_EQ(call->function, (function_name{"f", "shop"}));
    EXPECT_EQ(call->accepted_at, 1'790'000'000'123);
    EXPECT_TRUE(call->callback_url.empty());
    EXPECT_EQ(call->payload->substr(call->body_at), "hello");
}

TEST_F(accept_test, answers_the_callers_call_id_else_the_invocations)
{
    const auto call_id = [this](const accepted& call) {
        const auto answer = accept_answer({"POST", target, fields, body, ""}, call.partition, now);
        EXPECT_EQ(*find(answer, "X-Start-Time"), "1790000000123456789");
        return *find(answer, "X-Call-Id");
    };
    auto result = run();
    ASSERT_TRUE(result);
    EXPECT_EQ(call_id(*result), result->message.id);
    fields.push_back({"X-Call-Id", "my-chain"});
    result = run();
    ASSERT_TRUE(result);
    EXPECT_EQ(call_id(*result), "my-chain");
    EXPECT_NE(result->message.id, "my-chain") << "a correlation id is no identity";
}

TEST_F(accept_test, the_same_moment_gives_the_same_message)
{
    EXPECT_EQ(run()->message.id, run()->message.id);
    EXPECT_EQ(run()->message.payload, run()->message.payload);
    const auto first = run()->message.id;
    ++now.random;
    EXPECT_NE(run()->message.id, first);
}

TEST_F(accept_test, the_target_is_at_least_a_slash_and_keeps_its_query)
{
    for (auto [asked, seen] : {std::pair{"/async-function/g", "/"},
                               {"/async-function/g/", "/"},
                               {"/async-function/g?a=b", "/?a=b"},
                               {"/async-function/g.openfaas-fn//x/%2e%2e/y?", "//x/%2e%2e/y?"}})
    {
        target = asked;
        const auto result = run();
        ASSERT_TRUE(result) << asked;
        EXPECT_EQ(target_of(result->message.payload), seen);
    }
}

TEST_F(accept_test, tenants_decide_the_partition)
{
    spaces.on_entry({"shop", encode(namespace_spec{"shop", {}, {{"sluice/tenant", "acme"}}}), 1, false});
    const auto result = run();
    ASSERT_TRUE(result);
    EXPECT_EQ(result->partition, partition_of("acme", 16));
    EXPECT_THAT(*find(result->message.fields, wire::call_header), testing::StartsWith("1 acme f.shop 1790000000123"));
}

TEST_F(accept_test, a_callback_goes_with_the_call_if_it_could_be_allowed)
{
    policy.callback_refusal = [](std::string_view url) { return url == "http://ok/" ? "" : "host: no"; };
    fields.push_back({"X-Callback-Url", "http://ok/"});
    const auto result = run();
    ASSERT_TRUE(result);
    EXPECT_EQ(*find(result->message.fields, wire::callback_header), "http://ok/");
    fields.back().value = "http://bad/";
    EXPECT_EQ(refused().status, 400u);
    EXPECT_EQ(refused().text, "X-Callback-Url: host: no");
    fields.back().value = "";
    EXPECT_TRUE(run());
}

TEST_F(accept_test, unknown_functions_are_404_only_once_the_list_is_known)
{
    target = "/async-function/nobody";
    EXPECT_EQ(refused().status, 404u);
    EXPECT_THAT(refused().text, HasSubstr("nobody.openfaas-fn"));
    target = "/async-function/NOT_A_NAME";
    EXPECT_EQ(refused().status, 404u);
    hand_fed_bucket a, b, c;
    directory young(a, b, c, nullptr);
    const auto early = accept({"POST", "/async-function/f", fields, body, ""}, young, policy, now);
    ASSERT_FALSE(early);
    EXPECT_EQ(early.error().status, 503u);
    EXPECT_GT(early.error().retry_after_s, 0u);
    functions.feed("openfaas-fn.damaged", "damage");
    target = "/async-function/damaged";
    EXPECT_EQ(refused().status, 503u);
    EXPECT_THAT(refused().text, HasSubstr("damaged.openfaas-fn cannot be read"));
}

TEST_F(accept_test, too_large_names_the_bound)
{
    policy.body_bytes_max = 5;
    EXPECT_TRUE(run());
    body = "hello!";
    EXPECT_EQ(refused().status, 413u);
    EXPECT_THAT(refused().text, testing::AllOf(HasSubstr("body_bytes_max"), HasSubstr("5 bytes")));
    policy.body_bytes_max = 1 << 20;
    policy.message_bytes_max = 4096;
    body.assign(4000, 'x');
    EXPECT_EQ(refused().status, 413u);
    EXPECT_THAT(refused().text, HasSubstr("max_payload"));
}
