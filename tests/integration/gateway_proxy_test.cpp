#include "tests/support/gateway_fixture.hpp"

// /function: what reaches a replica, and what comes back.
namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class gateway_proxy : public test::gateway_fixture {
protected:
    endpoint replica(const std::string& id, std::uint16_t port, const std::string& token = "")
    {
        return {id, "127.0.0.1", port, 0, token, true};
    }
    void start_with_replica(const std::string& token = "")
    {
        start();
        deploy({"f", "openfaas-fn"});
        publish({{"f", "openfaas-fn"}, 1, {replica("r", function_.port(), token)}});
    }
    // A port that nobody listens on.
    std::uint16_t dead_port()
    {
        http::server gone(loop_, {}, service_);
        return gone.port();
    }
    test::http_service service_;
    http::server function_{loop_, {}, service_};
};

TEST_F(gateway_proxy, a_call_arrives_as_sent)
{
    start_with_replica("secret-token");
    const auto got =
        ask("PUT", "/function/f/a%2Fb/../c?x=%3F", "Content-Type: image/png\r\nX-Mine: 1\r\nSluice-Replica-Token: forged\r\n", "body");
    EXPECT_EQ(got.status, 200u);
    EXPECT_EQ(got.body, "PUT /a%2Fb/../c?x=%3F\nbody");
    ASSERT_EQ(service_.requests.size(), 1u);
    const auto& seen = service_.requests[0];
    EXPECT_EQ(*find(seen.fields, "X-Mine"), "1");
    EXPECT_EQ(*find(seen.fields, "Content-Type"), "image/png");
    EXPECT_EQ(*find(seen.fields, "Sluice-Replica-Token"), "secret-token");
    EXPECT_EQ(
        std::count_if(seen.fields.begin(), seen.fields.end(), [](const auto& f) { return same_name(f.name, "Sluice-Replica-Token"); }), 1);
    EXPECT_EQ(*find(seen.fields, "X-Forwarded-Host"), "gw.example:8080");
    EXPECT_EQ(*find(seen.fields, "Host"), "127.0.0.1:" + std::to_string(function_.port()));
    EXPECT_EQ(*find(seen.fields, "X-Call-Id"), field(got, "X-Call-Id"));
    EXPECT_EQ(*find(seen.fields, "X-Start-Time"), field(got, "X-Start-Time"));
    EXPECT_EQ(find(seen.fields, "traceparent")->size(), 55u);
    EXPECT_THAT(*find(seen.fields, "User-Agent"), HasSubstr("sluice-gateway/"));
}

TEST_F(gateway_proxy, the_callers_call_id_is_passed_on_and_not_echoed)
{
    start_with_replica();
    const auto got = ask("GET", "/function/f.openfaas-fn", "X-Call-Id: mine\r\n");
    EXPECT_EQ(got.body, "GET /\n");
    EXPECT_EQ(*find(service_.requests.at(0).fields, "X-Call-Id"), "mine");
    EXPECT_EQ(field(got, "X-Call-Id"), "");
}

TEST_F(gateway_proxy, the_answer_comes_back_as_it_is)
{
    start_with_replica("t");
    service_.on_call = [](http::exchange_ptr call) {
        call->reply({302,
                     {{"Location", "http://elsewhere/"}, {"Set-Cookie", "a=1"}, {"Set-Cookie", "b=2"}, {"Sluice-Replica-Token", "t"}},
                     "gone"});
    };
    const auto got = ask("GET", "/function/f", "Content-Type: text/x\r\n");
    EXPECT_EQ(got.status, 302u);
    EXPECT_EQ(got.body, "gone");
    EXPECT_EQ(field(got, "Location"), "http://elsewhere/");
    EXPECT_EQ(std::count_if(got.fields.begin(), got.fields.end(), [](const auto& f) { return f.name == "Set-Cookie"; }), 2);
    EXPECT_EQ(field(got, "Sluice-Replica-Token"), "");
    EXPECT_EQ(field(got, "Content-Type"), "text/x");
    EXPECT_EQ(field(got, "X-OpenFaaS-Internal"), "");
}

TEST_F(gateway_proxy, each_failure_has_its_status)
{
    options_.upstream_timeout = milliseconds(300);
    options_.function_answer_bytes_max = 1024;
    start();
    EXPECT_EQ(ask("GET", "/function/nobody").status, 404u);
    deploy({"f", "openfaas-fn"});
    const auto none = ask("GET", "/function/f");
    EXPECT_EQ(none.status, 503u);
    EXPECT_NE(field(none, "Retry-After"), "");
    EXPECT_EQ(none.body.find("says why"), std::string::npos);
    publish({{"f", "openfaas-fn"}, 1, {}, function_trouble{"it ended: secret", 1}});
    const std::string hint = "no replica of f.openfaas-fn is ready; GET /system/function/f.openfaas-fn says why";
    EXPECT_TRUE(sluice::test::loop_until(loop_, [&] { return ask("GET", "/function/f").body.starts_with(hint); }));
    publish({{"f", "openfaas-fn"}, 1, {replica("dead", dead_port())}});
    const auto refused = ask("GET", "/function/f");
    EXPECT_EQ(refused.status, 502u);
    EXPECT_EQ(field(refused, "X-OpenFaaS-Internal"), "gateway");

    publish({{"f", "openfaas-fn"}, 1, {replica("r", function_.port())}});
    ASSERT_TRUE(test::loop_until(loop_, [&] { return ask("GET", "/function/f").status == 200; }));
    service_.on_call = [](http::exchange_ptr call) { call->reply({200, {}, std::string(1025, 'x')}); };
    EXPECT_EQ(ask("GET", "/function/f").status, 502u);
    service_.on_call = [](http::exchange_ptr) {}; // dropped: the connection breaks
    EXPECT_EQ(ask("POST", "/function/f", "", "x").status, 502u);
    std::vector<http::exchange_ptr> held;
    service_.on_call = [&](http::exchange_ptr call) { held.push_back(std::move(call)); };
    EXPECT_EQ(ask("POST", "/function/f", "", "x").status, 504u);
    EXPECT_EQ(ask("BREW", "/function/f").status, 405u);
    EXPECT_THAT(metrics(), ::testing::AllOf(HasSubstr(R"(gateway_function_invocation_total{code="504",function_name="f.openfaas-fn"} 1)")));
    held.clear();
}

TEST_F(gateway_proxy, another_replica_is_tried_when_one_refuses)
{
    start();
    deploy({"f", "openfaas-fn"});
    publish({{"f", "openfaas-fn"}, 2, {replica("dead", dead_port()), replica("r", function_.port())}});
    for (int i = 0; i < 4; ++i)
        EXPECT_EQ(ask("POST", "/function/f", "", "body").body, "POST /\nbody");
    EXPECT_EQ(service_.requests.size(), 4u);
}

TEST_F(gateway_proxy, calls_go_to_the_least_loaded_ready_replica)
{
    test::http_service other_service;
    http::server other{loop_, {}, other_service};
    start();
    deploy({"f", "openfaas-fn"});
    auto resting = replica("resting", dead_port());
    resting.ready = false;
    publish({{"f", "openfaas-fn"}, 3, {replica("a", function_.port()), resting, replica("b", other.port())}});
    std::vector<http::exchange_ptr> held;
    service_.on_call = other_service.on_call = [&](http::exchange_ptr call) { held.push_back(std::move(call)); };
    std::size_t answered = 0;
    for (int i = 0; i < 6; ++i)
        client_->call(request("POST", "/function/f", "", "x"), [&](outcome) { ++answered; });
    ASSERT_TRUE(test::loop_until(loop_, [&] { return held.size() == 6; }));
    EXPECT_EQ(service_.requests.size(), 3u);
    EXPECT_EQ(other_service.requests.size(), 3u);
    EXPECT_THAT(metrics(), HasSubstr(R"(gateway_function_invocation_inflight{function_name="f.openfaas-fn"} 6)"));
    for (auto& call : held)
        call->reply({200, {}, ""});
    EXPECT_TRUE(test::loop_until(loop_, [&] { return answered == 6; }));
}

TEST_F(gateway_proxy, synchronous_calls_and_their_bodies_are_bounded)
{
    options_.function_body_bytes_max = 1024;
    options_.function_calls_max = 1;
    start_with_replica();
    const auto large = ask("POST", "/function/f", "", std::string(1025, 'x'));
    EXPECT_EQ(large.status, 413u);
    EXPECT_THAT(large.body, HasSubstr("function_body_bytes_max"));
    http::exchange_ptr held;
    service_.on_call = [&](http::exchange_ptr call) { held = std::move(call); };
    std::optional<outcome> first;
    client_->call(request("POST", "/function/f", "", "x"), [&](outcome got) { first = std::move(got); });
    ASSERT_TRUE(test::loop_until(loop_, [&] { return held != nullptr; }));
    const auto second = ask("POST", "/function/f", "", "x");
    EXPECT_EQ(second.status, 503u);
    EXPECT_THAT(second.body, HasSubstr("function_calls_max"));
    held->reply({200, {}, ""});
    held.reset();
    EXPECT_TRUE(test::loop_until(loop_, [&] { return first.has_value(); }));
}

TEST_F(gateway_proxy, metrics_follow_what_is_deployed)
{
    function_spec spec;
    spec.labels = {{"com.openfaas.scale.min", "2"}};
    start();
    deploy({"f", "openfaas-fn"}, spec);
    publish({{"f", "openfaas-fn"}, 3, {replica("r", function_.port())}});
    ask("GET", "/function/f");
    auto text = metrics();
    for (auto line :
         {R"(gateway_function_invocation_total{code="200",function_name="f.openfaas-fn"} 1)",
          R"(gateway_functions_seconds_count{code="200",function_name="f.openfaas-fn"} 1)",
          R"(gateway_function_invocation_started{function_name="f.openfaas-fn"} 1)",
          R"(gateway_service_count{function_name="f.openfaas-fn"} 3)", R"(gateway_service_ready_count{function_name="f.openfaas-fn"} 1)",
          R"(gateway_service_min{function_name="f.openfaas-fn"} 2)"})
        EXPECT_THAT(text, HasSubstr(line));
    EXPECT_EQ(ask("DELETE", "/system/functions", "", R"({"functionName":"f"})").status, 202u);
    EXPECT_THAT(metrics(), Not(HasSubstr("f.openfaas-fn")));
}

}
}
