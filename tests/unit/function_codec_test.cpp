#include "core/function_codec.hpp"

#include <boost/json/parse.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace sluice;
using namespace sluice::core;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

namespace {

constexpr auto full_deployment = R"({
  "service": "resize", "image": "ghcr.io/x/resize:1", "namespace": "shop", "envProcess": "convert - -",
  "envVars": {"A": "1", "B": "two"}, "constraints": ["b=1", "a=2"], "secrets": ["z-key", "a.key"],
  "labels": {"com.openfaas.scale.min": "2"}, "annotations": {"topic": "t"},
  "limits": {"memory": "128Mi", "cpu": "1000m"}, "requests": {"memory": "64Mi"},
  "readOnlyRootFilesystem": true, "registryAuth": "ignored", "network": "ignored", "madeUp": 7})";

std::string wrong_field(const parsed<function_spec>& result) { return result ? "" : result.error().field; }
boost::json::object object(const std::string& text) { return boost::json::parse(text).as_object(); }

}

TEST(function_codec_test, reads_a_full_deployment)
{
    const auto spec = parse_deployment(full_deployment);
    ASSERT_TRUE(spec);
    EXPECT_EQ(spec->name, (function_name{"resize", "shop"}));
    EXPECT_EQ(spec->image, "ghcr.io/x/resize:1");
    EXPECT_EQ(spec->env_process, "convert - -");
    EXPECT_THAT(spec->env_vars, ElementsAre(Pair("A", "1"), Pair("B", "two")));
    EXPECT_THAT(spec->constraints, ElementsAre("b=1", "a=2"));
    EXPECT_THAT(spec->secrets, ElementsAre("z-key", "a.key"));
    EXPECT_THAT(spec->labels, ElementsAre(Pair("com.openfaas.scale.min", "2")));
    EXPECT_THAT(spec->limits->values, ElementsAre(Pair("cpu", "1000m"), Pair("memory", "128Mi")));
    EXPECT_THAT(spec->requests->values, ElementsAre(Pair("memory", "64Mi")));
    EXPECT_TRUE(spec->read_only_root_filesystem);
    EXPECT_TRUE(spec->static_url.empty());
}

TEST(function_codec_test, what_is_absent_or_null_stays_absent)
{
    const auto spec = parse_deployment(R"({"service":"f","image":"i","labels":null,"envVars":null,"limits":{},"secrets":null})");
    ASSERT_TRUE(spec);
    EXPECT_EQ(spec->name.space, "openfaas-fn");
    EXPECT_FALSE(spec->limits);
    EXPECT_FALSE(spec->requests);
    EXPECT_TRUE(spec->labels.empty());
}

TEST(function_codec_test, a_static_endpoint_cannot_be_deployed)
{
    const auto spec = parse_deployment(R"({"service":"f","staticUrl":"http://127.0.0.1:1","staticMaxInflight":3,"createdAt":"x"})");
    ASSERT_TRUE(spec);
    EXPECT_TRUE(spec->static_url.empty());
    EXPECT_EQ(spec->static_max_inflight, 0u);
    EXPECT_TRUE(spec->created_at.empty());
}

TEST(function_codec_test, names_the_field_that_is_wrong)
{
    EXPECT_EQ(wrong_field(parse_deployment("")), "body");
    EXPECT_EQ(wrong_field(parse_deployment("[]")), "body");
    EXPECT_EQ(wrong_field(parse_deployment("{\"service\":\"f\"} x")), "body");
    EXPECT_EQ(wrong_field(parse_deployment("{}")), "service");
    EXPECT_EQ(wrong_field(parse_deployment(R"({"service":"No"})")), "service");
    EXPECT_EQ(wrong_field(parse_deployment(R"({"service":"a/../b"})")), "service");
    EXPECT_EQ(wrong_field(parse_deployment(R"({"service":"a.b"})")), "service");
    EXPECT_EQ(wrong_field(parse_deployment(R"({"service":7})")), "service");
    EXPECT_EQ(wrong_field(parse_deployment(R"({"service":"f","namespace":"A"})")), "namespace");
    EXPECT_EQ(wrong_field(parse_deployment(R"({"service":"f","labels":{"a":1}})")), "labels.a");
    EXPECT_EQ(wrong_field(parse_deployment(R"({"service":"f","labels":[]})")), "labels");
    EXPECT_EQ(wrong_field(parse_deployment(R"({"service":"f","secrets":["ok",1]})")), "secrets[1]");
    EXPECT_EQ(wrong_field(parse_deployment(R"({"service":"f","secrets":["../etc"]})")), "secrets");
    EXPECT_EQ(wrong_field(parse_deployment(R"({"service":"f","secrets":["a."]})")), "secrets");
    EXPECT_EQ(wrong_field(parse_deployment(R"({"service":"f","envVars":{"A=B":"x"}})")), "envVars");
    EXPECT_EQ(wrong_field(parse_deployment("{\"service\":\"f\",\"envVars\":{\"A\":\"x\\u0000y\"}}")), "envVars.A");
    EXPECT_EQ(wrong_field(parse_deployment(R"({"service":"f","limits":{"memory":128}})")), "limits.memory");
    EXPECT_EQ(wrong_field(parse_deployment(R"({"service":"f","readOnlyRootFilesystem":"yes"})")), "readOnlyRootFilesystem");
    EXPECT_EQ(wrong_field(parse_deployment(R"({"service":"f","image":")" + std::string(5000, 'x') + "\"}")), "image");
}

TEST(function_codec_test, deep_nesting_is_refused)
{
    std::string deep = R"({"service":"f","x":)" + std::string(100'000, '[');
    EXPECT_EQ(wrong_field(parse_deployment(deep)), "body");
}

TEST(function_codec_test, a_spec_survives_the_bucket)
{
    auto spec = *parse_deployment(full_deployment);
    spec.created_at = "2026-01-02T03:04:05Z";
    spec.static_url = "http://127.0.0.1:9000";
    spec.static_max_inflight = 12;
    const auto again = decode_function(encode(spec));
    ASSERT_TRUE(again);
    EXPECT_EQ(encode(*again), encode(spec));
    EXPECT_EQ(again->created_at, spec.created_at);
    EXPECT_EQ(again->static_url, spec.static_url);
    EXPECT_EQ(again->static_max_inflight, 12u);
    EXPECT_EQ(again->constraints, spec.constraints);
    EXPECT_EQ(again->labels, spec.labels);
}

TEST(function_codec_test, endpoints_survive_the_bucket)
{
    function_endpoints endpoints{{"f", "shop"}, 2, {{"r1", "127.0.0.1", 4001, 3, "tok", true}, {"r2", "127.0.0.1", 4002, 0, "", false}}};
    const auto again = decode_endpoints(encode(endpoints));
    ASSERT_TRUE(again);
    EXPECT_EQ(again->name, endpoints.name);
    EXPECT_EQ(again->desired, 2u);
    EXPECT_EQ(again->replicas, endpoints.replicas);
}

TEST(function_codec_test, namespaces_survive_the_bucket)
{
    namespace_spec space{"shop", {{"openfaas", "1"}}, {{"sluice/tenant", "acme"}}};
    const auto again = decode_namespace(encode(space));
    ASSERT_TRUE(again);
    EXPECT_EQ(again->name, "shop");
    EXPECT_EQ(again->tenant(), "acme");
    EXPECT_EQ(again->labels, space.labels);
    EXPECT_EQ(object(namespace_json(space)).contains("version"), false);
    EXPECT_TRUE(parse_namespace(namespace_json(space)));
}

TEST(function_codec_test, a_newer_version_is_refused_with_a_clear_text)
{
    for (auto text : {R"({"version":2,"name":"f","namespace":"n"})", R"({"version":2,"name":"f"})"}) {
        const auto spec = decode_function(text);
        ASSERT_FALSE(spec);
        EXPECT_EQ(spec.error().field, "version");
        EXPECT_THAT(spec.error().message, HasSubstr("newer"));
    }
    EXPECT_EQ(decode_endpoints(R"({"version":2,"name":"f"})").error().field, "version");
    EXPECT_EQ(decode_namespace(R"({"version":9,"name":"f"})").error().field, "version");
    EXPECT_EQ(decode_namespace(R"({"name":"f"})").error().field, "version");
}

TEST(function_codec_test, damaged_values_are_refused)
{
    const auto whole = encode(*parse_deployment(full_deployment));
    for (std::size_t length = 0; length < whole.size(); ++length)
        EXPECT_FALSE(decode_function(std::string_view(whole).substr(0, length))) << length;
    auto wrong = [](std::string replica) {
        const auto result = decode_endpoints(R"({"version":1,"name":"f","desired":1,"replicas":[)" + replica + "]}");
        return result ? "" : result.error().field;
    };
    EXPECT_EQ(wrong(R"({"replica":"r","host":"127.0.0.1","port":1,"ready":true})"), "");
    EXPECT_EQ(wrong(R"({"replica":"r","host":"127.0.0.1","port":65536})"), "replicas[0].port");
    EXPECT_EQ(wrong(R"({"replica":"r","host":"127.0.0.1"})"), "replicas[0].port");
    EXPECT_EQ(wrong(R"({"host":"127.0.0.1","port":1})"), "replicas[0].replica");
    EXPECT_EQ(wrong(R"({"replica":"r","host":"127.0.0.1","port":1,"token":"a\r\nb: c"})"), "replicas[0].token");
    EXPECT_EQ(wrong("3"), "replicas[0]");
    EXPECT_EQ(decode_endpoints(R"({"version":1,"name":"f","desired":-1})").error().field, "desired");
    // A tenant is a word of the call header.
    EXPECT_EQ(decode_namespace(R"({"version":1,"name":"f","annotations":{"sluice/tenant":"a b"}})").error().field,
              "annotations.sluice/tenant");
}

TEST(function_codec_test, status_has_what_clients_dereference_and_omits_what_was_not_sent)
{
    const auto spec = *parse_deployment(R"({"service":"f","image":"i"})");
    const auto status = object(status_json(spec, nullptr, 0));
    EXPECT_EQ(status.at("name").as_string(), "f");
    EXPECT_EQ(status.at("namespace").as_string(), "openfaas-fn");
    EXPECT_EQ(status.at("image").as_string(), "i");
    EXPECT_EQ(status.at("labels").as_object().at("faas_function").as_string(), "f");
    EXPECT_TRUE(status.at("annotations").as_object().empty());
    EXPECT_EQ(status.at("createdAt").as_string(), "0001-01-01T00:00:00Z");
    EXPECT_EQ(status.at("replicas").to_number<int>(), 1);
    for (auto key : {"envVars", "limits", "requests", "constraints", "secrets", "invocationCount", "availableReplicas", "version",
                     "service", "staticUrl"})
        EXPECT_FALSE(status.contains(key)) << key;
}

TEST(function_codec_test, status_echoes_what_was_deployed)
{
    auto spec = *parse_deployment(full_deployment);
    spec.created_at = "2026-01-02T03:04:05Z";
    EXPECT_EQ(object(status_json(spec, nullptr, 0)).at("replicas").to_number<int>(), 2) << "the minimum, before a provider said more";
    function_endpoints endpoints{spec.name, 3, {{"a", "127.0.0.1", 1, 0, "", true}, {"b", "127.0.0.1", 2, 0, "", false}}};
    const auto text = status_json(spec, &endpoints, 42);
    const auto status = object(text);
    EXPECT_EQ(status.at("replicas").to_number<int>(), 3);
    EXPECT_EQ(status.at("availableReplicas").to_number<int>(), 1);
    EXPECT_THAT(text, HasSubstr("\"invocationCount\":42"));
    EXPECT_EQ(status.at("limits").as_object().at("cpu").as_string(), "1000m");
    EXPECT_EQ(status.at("requests").as_object().at("memory").as_string(), "64Mi");
    EXPECT_EQ(status.at("envVars").as_object().at("B").as_string(), "two");
    EXPECT_EQ(status.at("constraints").as_array().at(0).as_string(), "b=1");
    EXPECT_EQ(status.at("readOnlyRootFilesystem").as_bool(), true);
    EXPECT_EQ(status.at("createdAt").as_string(), "2026-01-02T03:04:05Z");
    EXPECT_FALSE(status.contains("status"));
    endpoints.trouble = {"no\n\xff program", 4};
    const auto trouble = object(status_json(spec, &endpoints, 0)).at("status").as_object();
    EXPECT_EQ(trouble.at("state").as_string(), "degraded");
    EXPECT_EQ(trouble.at("reason").as_string(), "no ? program");
    EXPECT_EQ(trouble.at("restarts").to_number<int>(), 4);
    endpoints.replicas.clear();
    EXPECT_EQ(object(status_json(spec, &endpoints, 0)).at("status").as_object().at("state").as_string(), "failing");
    endpoints.trouble->reason = "no program";
    EXPECT_EQ(decode_endpoints(encode(endpoints))->trouble, endpoints.trouble);
    EXPECT_EQ(decode_endpoints(R"({"version":1,"name":"f","trouble":{"restarts":"x"}})").error().field, "trouble.restarts");
    endpoints = {spec.name, 0, {}};
    EXPECT_EQ(decode_endpoints(encode(endpoints))->trouble, std::nullopt);
    EXPECT_FALSE(object(status_json(spec, &endpoints, 0)).contains("replicas"));
}

TEST(function_codec_test, reads_delete_requests)
{
    EXPECT_EQ(*parse_delete_request(R"({"functionName":"f","namespace":"n"})"), (function_name{"f", "n"}));
    EXPECT_EQ(parse_delete_request(R"({"functionName":"f"})")->space, "openfaas-fn");
    EXPECT_EQ(parse_delete_request(R"({"functionName":""})").error().field, "functionName");
    EXPECT_EQ(parse_delete_request("").error().field, "body");
}
