#include "core/replica_plan.hpp"
#include "core/replica_records.hpp"
#include "core/replica_setup.hpp"
#include "core/watchdog_config.hpp"

#include <gtest/gtest.h>

namespace sluice::core {

namespace {

function_spec make_spec()
{
    function_spec spec;
    spec.name = {"fn", "openfaas-fn"};
    spec.image = "ghcr.io/an/image:1";
    spec.env_process = "cat -";
    spec.env_vars = {{"max_inflight", "7"}, {"fprocess", "overridden"}};
    return spec;
}

}

TEST(replica_plan, the_environment_is_the_functions_own)
{
    const auto plan = plan_replicas(make_spec());
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->environment, (string_map{{"PATH", function_path}, {"fprocess", "cat -"}, {"max_inflight", "7"}}));
    EXPECT_EQ(plan->max_inflight, 7U);
    EXPECT_EQ(plan->folder, "");
}

TEST(replica_plan, an_image_may_be_a_folder)
{
    auto spec = make_spec();
    spec.image = "/srv/fn";
    EXPECT_EQ(plan_replicas(spec)->folder, "/srv/fn");
    spec.image = "file:/srv/fn";
    EXPECT_EQ(plan_replicas(spec)->folder, "/srv/fn");
}

TEST(replica_plan, labels_do_not_change_the_process_and_the_rest_does)
{
    const auto hash = [](auto change) {
        auto spec = make_spec();
        change(spec);
        return plan_replicas(spec)->spec_hash;
    };
    const auto base = hash([](auto&) {});
    EXPECT_EQ(base, hash([](auto& spec) { spec.labels["com.openfaas.scale.min"] = "4"; }));
    EXPECT_EQ(base, hash([](auto& spec) { spec.created_at = "2026-01-01T00:00:00Z"; }));
    EXPECT_NE(base, hash([](auto& spec) { spec.image += "0"; }));
    EXPECT_NE(base, hash([](auto& spec) { spec.env_process += " x"; }));
    EXPECT_NE(base, hash([](auto& spec) { spec.env_vars["a"] = "b"; }));
    EXPECT_NE(base, hash([](auto& spec) { spec.limits = resources{{{"cpu", "1"}}}; }));
    EXPECT_NE(hash([](auto& spec) {
                  spec.limits = resources{{{"cpu", "1"}}};
              }),
              hash([](auto& spec) {
                  spec.requests = resources{{{"cpu", "1"}}};
              }));
}

TEST(replica_plan, what_cannot_be_run_names_its_field)
{
    auto spec = make_spec();
    spec.secrets = {"key"};
    EXPECT_EQ(plan_replicas(spec).error().field, "secrets");
    spec = make_spec();
    spec.env_vars["mode"] = "static";
    EXPECT_NE(plan_replicas(spec).error().message.find("mode"), std::string::npos);
    spec = make_spec();
    spec.env_vars["a=b"] = "c";
    EXPECT_EQ(plan_replicas(spec).error().field, "envVars");
    spec = make_spec();
    spec.env_vars["nul"] = std::string("a\0b", 3);
    EXPECT_EQ(plan_replicas(spec).error().field, "envVars");
    spec = make_spec();
    spec.env_vars["large"] = std::string(replica_setup_bytes_max, 'x');
    EXPECT_EQ(plan_replicas(spec).error().field, "envVars");
}

TEST(replica_plan, a_deployment_that_can_never_start_is_refused_before_it_is_stored)
{
    const auto wrong = [](const std::string& rest) {
        const auto spec = parse_runnable_deployment(R"({"service":"f")" + rest + "}");
        return spec ? std::string() : spec.error().field + ' ' + spec.error().message;
    };
    EXPECT_EQ(wrong(R"(,"envProcess":"cat")"), "");
    EXPECT_EQ(wrong(R"(,"envVars":{"fprocess":"cat"})"), "");
    EXPECT_EQ(wrong(R"(,"envProcess":"cat","secrets":["key"])"), "") << "only the provider knows its secrets";
    EXPECT_EQ(wrong(R"(,"envProcess":"cat","labels":{"com.openfaas.scale.min":"256"})"), "");
    EXPECT_EQ(wrong(R"(,"envProcess":"cat","labels":{"com.openfaas.scale.min":"99999999"})"),
              "labels.com.openfaas.scale.min is more than function_replicas_max, 256");
    EXPECT_TRUE(wrong("").starts_with("envProcess must be set"));
    EXPECT_TRUE(wrong(R"(,"envProcess":"cat","envVars":{"mode":"inproc"})").starts_with("envVars mode"));
    EXPECT_TRUE(wrong(R"(,"envProcess":"cat","envVars":{"exec_timeout":"soon"})").starts_with("envVars exec_timeout"));
    EXPECT_TRUE(wrong(R"(,"envProcess":7)").starts_with("envProcess"));
    EXPECT_TRUE(wrong(R"(,"envProcess":"cat","annotations":{"com.openfaas.retry.min_wait":"soon"})")
                    .starts_with("annotations com.openfaas.retry.min_wait"));
}

TEST(replica_plan, a_static_function_is_read)
{
    const auto fixed = parse_static_function("fn.space=http://127.0.0.1:8081,max_inflight=4");
    EXPECT_EQ(fixed.name, (function_name{"fn", "space"}));
    EXPECT_EQ(fixed.url, "http://127.0.0.1:8081");
    EXPECT_EQ(fixed.replica.port, 8081);
    EXPECT_EQ(fixed.replica.max_inflight, 4U);
    EXPECT_TRUE(fixed.replica.ready);
    EXPECT_EQ(parse_static_function("fn=http://localhost:1").name.space, default_namespace);
    for (const char* wrong :
         {"fn", "=http://127.0.0.1:1", "FN=http://127.0.0.1:1", "fn=https://127.0.0.1:1", "fn=http://name:1", "fn=http://127.0.0.1:1/path",
          "fn=http://127.0.0.1:1,max_inflight=", "fn=http://127.0.0.1:1,max_inflight=x", "fn=http://127.0.0.1:1,other=1"})
        EXPECT_THROW(parse_static_function(wrong), config::error) << wrong;
    EXPECT_EQ(parse_static_functions({"fn=http://localhost:1", "fn.space=http://localhost:1"}).size(), 2u);
    EXPECT_THROW(parse_static_functions({"fn=http://localhost:1", "fn.openfaas-fn=http://localhost:2"}), config::error);
}

TEST(replica_records, survive_being_written_and_read)
{
    const std::vector<replica_record> records{
        {{"fn", "space"}, "abc", 123, 18446744073709551615ULL, 65535, "token", 18446744073709551614ULL, 5, "/a \"folder\"\n"},
        {{"gn", "space"}, "def", 2, 1, 1, "", 0, 0, ""}};
    EXPECT_EQ(decode_replica_records(encode(records)), records);
    EXPECT_EQ(decode_replica_records(encode(std::vector<replica_record>{})), std::vector<replica_record>{});
}

TEST(replica_records, damage_and_newer_versions_are_refused)
{
    const auto good = encode(std::vector<replica_record>{{{"fn", "space"}, "abc", 123, 1, 1, "token", 2, 5, ""}});
    for (std::size_t length = 0; length < good.size(); ++length)
        EXPECT_FALSE(decode_replica_records(good.substr(0, length)));
    auto newer = good;
    newer.replace(newer.find("\"version\":1"), 11, "\"version\":2");
    EXPECT_FALSE(decode_replica_records(newer));
    auto negative = good;
    negative.replace(negative.find("123"), 3, "-12");
    EXPECT_FALSE(decode_replica_records(negative));
}

TEST(replica_setup, survives_the_pipe_whole_or_not_at_all)
{
    const replica_setup setup{"token", {{"a", "1"}, {"b", "\"\n\\"}}};
    const auto text = encode(setup);
    const auto read = decode_replica_setup(text);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->token, setup.token);
    EXPECT_EQ(read->environment, setup.environment);
    for (std::size_t length = 0; length < text.size(); ++length)
        EXPECT_FALSE(decode_replica_setup(text.substr(0, length)));
}

}
