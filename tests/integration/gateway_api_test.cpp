#include "tests/support/gateway_fixture.hpp"
#include "tests/support/raw_socket.hpp"
#include "tests/support/temp_folder.hpp"

#include <boost/json/parse.hpp>
#include <fstream>

// The REST API as faas-cli and the SDKs use it.
namespace sluice {
namespace {

using ::testing::HasSubstr;

constexpr auto deployment = R"({"service":"f","image":"i:1","envProcess":"cat","labels":{},"annotations":{},"limits":{"memory":"64Mi"}})";

class gateway_api : public test::gateway_fixture {
protected:
    boost::json::value json(const std::string& target) { return boost::json::parse(ask("GET", target).body); }
};

TEST_F(gateway_api, a_function_is_deployed_shown_listed_replaced_and_removed)
{
    start();
    EXPECT_EQ(ask("GET", "/system/functions").body, "[]");
    EXPECT_EQ(ask("PUT", "/system/functions", "", deployment).status, 404u) << "faas-cli then tries POST";
    const auto created = ask("POST", "/system/functions", "", deployment);
    EXPECT_EQ(created.status, 202u);
    EXPECT_EQ(created.body, "");
    // At once: the answer waited for the mirror.
    const auto shown = json("/system/function/f").as_object();
    EXPECT_EQ(shown.at("name").as_string(), "f");
    EXPECT_EQ(shown.at("namespace").as_string(), "openfaas-fn");
    EXPECT_EQ(shown.at("envProcess").as_string(), "cat");
    EXPECT_EQ(shown.at("limits").as_object().at("memory").as_string(), "64Mi");
    EXPECT_THAT(std::string(shown.at("createdAt").as_string()), ::testing::MatchesRegex("20..-..-..T..:..:..Z"));
    EXPECT_EQ(json("/system/functions").as_array().size(), 1u);
    EXPECT_EQ(ask("POST", "/system/functions", "", deployment).status, 500u);

    EXPECT_EQ(ask("PUT", "/system/functions", "", R"({"service":"f","image":"i:2","envVars":{"fprocess":"cat"}})").status, 202u);
    const auto replaced = json("/system/function/f").as_object();
    EXPECT_EQ(replaced.at("image").as_string(), "i:2");
    EXPECT_EQ(replaced.at("createdAt"), shown.at("createdAt"));
    EXPECT_FALSE(replaced.contains("envProcess"));

    EXPECT_EQ(ask("DELETE", "/system/functions", "", R"({"functionName":"f"})").status, 202u);
    EXPECT_EQ(ask("GET", "/system/function/f").status, 404u);
    EXPECT_EQ(ask("DELETE", "/system/functions", "", R"({"functionName":"f"})").status, 404u);
    EXPECT_EQ(ask("POST", "/system/functions", "", deployment).status, 202u) << "a removed name can be used again";
}

TEST_F(gateway_api, bad_deployments_are_400_naming_the_field)
{
    start();
    for (auto [body, field] : {std::pair{"", "body"},
                               {"{", "body"},
                               {R"({"service":"Bad_Name"})", "service"},
                               {R"({"service":"f","labels":7})", "labels"},
                               {R"({"service":"f","image":"i"})", "envProcess"},
                               {R"({"service":"f","envProcess":"cat","envVars":{"mode":"inproc"}})", "envVars mode"},
                               {R"({"service":"f","envProcess":"cat","envVars":{"exec_timeout":"soon"}})", "envVars exec_timeout"},
                               {R"({"service":"f","envProcess":"cat","namespace":"nowhere"})", "namespace"}})
    {
        const auto got = ask("POST", "/system/functions", "", body);
        EXPECT_EQ(got.status, 400u) << body;
        EXPECT_THAT(got.body, HasSubstr(field));
    }
    EXPECT_EQ(ask("PUT", "/system/functions", "", "{").status, 400u);
    EXPECT_EQ(ask("DELETE", "/system/functions", "", R"({"functionName":""})").status, 400u);
    EXPECT_EQ(ask("POST", "/system/functions", "", std::string(1'100'000, ' ')).status, 413u);
    EXPECT_EQ(ask("GET", "/system/functions").body, "[]");
}

TEST_F(gateway_api, a_deployment_may_ask_for_as_many_replicas_as_configured)
{
    options_.function_replicas_max = 3;
    start();
    const auto asking_for = [&](const std::string& count) {
        return ask("POST", "/system/functions", "",
                   R"({"service":"f","image":"i","envProcess":"cat","labels":{"com.openfaas.scale.min":")" + count + R"("}})");
    };
    const auto refused = asking_for("4");
    EXPECT_EQ(refused.status, 400u);
    EXPECT_THAT(refused.body, testing::HasSubstr("function_replicas_max, 3"));
    EXPECT_EQ(asking_for("3").status, 202u);
}

TEST_F(gateway_api, a_static_endpoint_cannot_be_changed)
{
    function_spec spec;
    spec.static_url = "http://127.0.0.1:9";
    start();
    deploy({"f", "openfaas-fn"}, spec);
    EXPECT_EQ(ask("PUT", "/system/functions", "", deployment).status, 409u);
    const auto got = ask("DELETE", "/system/functions", "", R"({"functionName":"f"})");
    EXPECT_EQ(got.status, 409u);
    EXPECT_THAT(got.body, HasSubstr("operator"));
    EXPECT_EQ(ask("GET", "/system/function/f").status, 200u);
}

// A function must not be left in a namespace that is gone: of a deployment and a removal at once, one loses.
TEST_F(gateway_api, a_namespace_that_gets_a_function_while_it_is_removed_stays_or_the_function_goes)
{
    start();
    const auto request = [](const std::string& method, const std::string& target, const std::string& body) {
        return method + ' ' + target + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size())
            + "\r\n\r\n" + body;
    };
    for (int i = 0; i < 20; ++i) {
        const auto name = "race" + std::to_string(i);
        ASSERT_EQ(ask("POST", "/system/namespace/", "", R"({"name":")" + name + R"(","labels":{"openfaas":"1"}})").status, 201u);
        const auto deploys = test::raw_socket::connect(loop_, server_->port()), removes = test::raw_socket::connect(loop_, server_->port());
        const auto deploy =
            request("POST", "/system/functions", R"({"service":"f","image":"i","envProcess":"cat","namespace":")" + name + "\"}");
        const auto remove = request("DELETE", "/system/namespace/" + name, "");
        (i % 2 ? deploys : removes)->send(i % 2 ? deploy : remove);
        (i % 2 ? removes : deploys)->send(i % 2 ? remove : deploy);
        ASSERT_TRUE(test::loop_until(loop_, [&] { return deploys->ended && removes->ended; }));
        const bool deployed = deploys->received.starts_with("HTTP/1.1 202"), removed = removes->received.starts_with("HTTP/1.1 202");
        EXPECT_FALSE(deployed && removed) << name;
        EXPECT_EQ(ask("GET", "/system/function/f?namespace=" + name).status, deployed ? 200u : 404u);
        EXPECT_EQ(ask("GET", "/system/namespace/" + name).status, removed ? 404u : 200u);
    }
}

TEST_F(gateway_api, functions_live_in_namespaces)
{
    start();
    EXPECT_EQ(ask("GET", "/system/namespaces").body, R"(["openfaas-fn"])");
    EXPECT_EQ(ask("POST", "/system/namespace/", "", R"({"name":"shop"})").status, 400u) << "without the label openfaas=1";
    const auto labelled = R"({"name":"shop","labels":{"openfaas":"1"},"annotations":{"openfaas":"1","sluice/tenant":"acme"}})";
    EXPECT_EQ(ask("POST", "/system/namespace/", "", labelled).status, 201u);
    EXPECT_EQ(ask("POST", "/system/namespace/", "", labelled).status, 409u);
    EXPECT_EQ(ask("GET", "/system/namespaces").body, R"(["openfaas-fn","shop"])");
    EXPECT_EQ(json("/system/namespace/shop").as_object().at("annotations").as_object().at("sluice/tenant").as_string(), "acme");

    EXPECT_EQ(ask("POST", "/system/functions", "", R"({"service":"f","image":"i","envProcess":"cat","namespace":"shop"})").status, 202u);
    EXPECT_EQ(json("/system/functions?namespace=shop").as_array().size(), 1u);
    EXPECT_EQ(ask("GET", "/system/functions").body, "[]");
    EXPECT_EQ(ask("GET", "/system/function/f?namespace=shop").status, 200u);
    EXPECT_EQ(ask("GET", "/system/function/f.shop").status, 200u);
    EXPECT_EQ(ask("GET", "/system/function/f").status, 404u);

    EXPECT_EQ(ask("DELETE", "/system/namespace/shop", "", labelled).status, 409u) << "it still has a function";
    EXPECT_EQ(ask("DELETE", "/system/functions", "", R"({"functionName":"f","namespace":"shop"})").status, 202u);
    EXPECT_EQ(ask("PUT", "/system/namespaces/shop", "", R"({"name":"shop","labels":{"openfaas":"1","team":"x"}})").status, 202u);
    EXPECT_EQ(json("/system/namespaces/shop").as_object().at("labels").as_object().at("team").as_string(), "x");
    EXPECT_EQ(ask("PUT", "/system/namespace/other", "", labelled).status, 400u) << "not the name in the path";
    EXPECT_EQ(ask("PUT", "/system/namespace/other", "", R"({"name":"other","labels":{"openfaas":"1"}})").status, 404u);
    EXPECT_EQ(ask("DELETE", "/system/namespaces/shop").status, 202u);
    EXPECT_EQ(ask("GET", "/system/namespace/shop").status, 404u);
    EXPECT_EQ(ask("DELETE", "/system/namespace/shop").status, 404u);
    EXPECT_EQ(ask("DELETE", "/system/namespace/openfaas-fn").status, 400u);
    EXPECT_EQ(ask("POST", "/system/namespace/", "", R"({"name":"openfaas-fn","labels":{"openfaas":"1"}})").status, 409u);
}

TEST_F(gateway_api, a_namespace_that_a_newer_release_stored_is_not_overwritten)
{
    start();
    const auto of_tomorrow = R"({"version":1000,"name":"shop","labels":{"openfaas":"1"},"quota":"of tomorrow"})";
    const auto namespaces = memory_.open_bucket("namespaces");
    test::wait_for<key_value::result<std::uint64_t>>(loop_, [&](auto done) { namespaces->put("shop", of_tomorrow, done); });
    ASSERT_TRUE(test::loop_until(loop_, [&] { return ask("GET", "/system/namespace/shop").status == 503; })) << "there, and not to be read";
    const auto refused = ask("PUT", "/system/namespace/shop", "", R"({"name":"shop","labels":{"openfaas":"1"}})");
    EXPECT_EQ(refused.status, 409u);
    EXPECT_THAT(refused.body, HasSubstr("version"));
    const auto kept = test::wait_for<key_value::result<kv_entry>>(loop_, [&](auto done) { namespaces->get("shop", done); });
    EXPECT_EQ((*kept)->value, of_tomorrow);
}

TEST_F(gateway_api, info_names_provider_and_versions)
{
    start();
    const auto info = json("/system/info").as_object();
    EXPECT_FALSE(info.at("arch").as_string().empty());
    for (const auto* version : {&info.at("version").as_object(), &info.at("provider").as_object().at("version").as_object()}) {
        EXPECT_FALSE(version->at("release").as_string().empty());
        EXPECT_FALSE(version->at("sha").as_string().empty());
    }
    EXPECT_FALSE(info.at("provider").as_object().at("provider").as_string().empty());
    EXPECT_FALSE(info.at("provider").as_object().at("orchestration").as_string().empty());
}

TEST_F(gateway_api, paths_and_methods_have_openfaas_statuses)
{
    start();
    const auto root = ask("GET", "/");
    EXPECT_EQ(root.status, 307u);
    EXPECT_EQ(field(root, "Location"), "/ui/");
    EXPECT_EQ(ask("GET", "/healthz").status, 200u);
    EXPECT_EQ(ask("GET", "/nothing").status, 404u);
    EXPECT_EQ(ask("GET", "/system/functions/").status, 404u);
    const auto got = ask("PATCH", "/system/functions");
    EXPECT_EQ(got.status, 405u);
    EXPECT_EQ(field(got, "Allow"), "GET, POST, PUT, DELETE");
    EXPECT_THAT(metrics(), HasSubstr(R"(http_requests_total{method="PATCH",path="/system/functions",status="405"} 1)"));
}

TEST_F(gateway_api, is_ready_only_with_a_connection)
{
    start();
    EXPECT_EQ(ask("GET", "/readyz").status, 200u);
    store_illness_ = "no connection to NATS";
    EXPECT_EQ(ask("GET", "/readyz").status, 503u);
}

TEST_F(gateway_api, changes_need_the_store)
{
    start();
    deploy({"g", "openfaas-fn"});
    memory_.set_down(true);
    for (auto [method, body] : {std::pair{"POST", deployment}, {"PUT", deployment}, {"DELETE", R"({"functionName":"g"})"}}) {
        const auto got = ask(method, "/system/functions", "", body);
        EXPECT_EQ(got.status, 503u) << method;
        EXPECT_NE(field(got, "Retry-After"), "");
    }
    EXPECT_EQ(ask("GET", "/system/function/g").status, 200u) << "what is known is still answered";
}

TEST_F(gateway_api, the_system_needs_credentials_and_functions_do_not)
{
    const test::temp_folder folder;
    std::ofstream(folder / "user") << "admin\n";
    std::ofstream(folder / "password") << " open sesame \n";
    options_.basic_auth_user_file = folder / "user";
    options_.basic_auth_password_file = folder / "password";
    start();
    const auto refused = ask("GET", "/system/functions");
    EXPECT_EQ(refused.status, 401u);
    EXPECT_EQ(field(refused, "WWW-Authenticate"), "Basic realm=\"Restricted\"");
    EXPECT_THAT(refused.body, HasSubstr("invalid credentials"));
    for (auto wrong : {"Basic YWRtaW46", "Basic YWRtaW46b3BlbiBzZXNhbWV", "Basic YWRtaW46b3BlbiBzZXNhbWU=x",
                       "Bearer YWRtaW46b3BlbiBzZXNhbWU=", "Basic", ""})
        EXPECT_EQ(ask("GET", "/system/info", std::string("Authorization: ") + wrong + "\r\n").status, 401u) << wrong;
    EXPECT_EQ(ask("GET", "/system/info", "Authorization: Basic YWRtaW46b3BlbiBzZXNhbWU=\r\n").status, 200u);
    EXPECT_EQ(ask("GET", "/system/info", "Authorization: basic  YWRtaW46b3BlbiBzZXNhbWU=\r\n").status, 200u);
    EXPECT_EQ(ask("GET", "/function/nobody").status, 404u);
    EXPECT_EQ(ask("POST", "/async-function/nobody", "", "x").status, 404u);
    EXPECT_EQ(ask("GET", "/healthz").status, 200u);
}

}
}
