#include "gateway/balancer.hpp"
#include "gateway/basic_auth.hpp"
#include "gateway/gateway.hpp"
#include "gateway/mirror_wait.hpp"
#include "gateway/rest.hpp"
#include "tests/support/loop_until.hpp"
#include "tests/support/temp_folder.hpp"

#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

// The gateway's small parts, each by itself.
namespace sluice {
namespace {

using ::testing::HasSubstr;

gateway::route_id id_of(std::string_view method, std::string_view path)
{
    const auto found = gateway::find_route(method, path);
    EXPECT_TRUE(found.to && found.method_allowed) << method << ' ' << path;
    return found.to ? found.to->id : gateway::route_id::root;
}

TEST(gateway_routes, know_openfaas_paths)
{
    EXPECT_EQ(id_of("POST", "/async-function/f"), gateway::route_id::async_function);
    EXPECT_EQ(id_of("POST", "/async-function/f.ns/a/b"), gateway::route_id::async_function);
    EXPECT_EQ(id_of("PATCH", "/function/f/"), gateway::route_id::function);
    EXPECT_EQ(id_of("DELETE", "/system/functions"), gateway::route_id::functions);
    EXPECT_EQ(id_of("GET", "/system/function/f"), gateway::route_id::function_status);
    EXPECT_EQ(id_of("GET", "/system/namespaces"), gateway::route_id::namespaces);
    EXPECT_EQ(id_of("POST", "/system/namespace"), gateway::route_id::namespaces);
    EXPECT_EQ(id_of("POST", "/system/namespace/"), gateway::route_id::one_namespace);
    EXPECT_EQ(id_of("PUT", "/system/namespaces/shop"), gateway::route_id::one_namespace);
    EXPECT_EQ(id_of("GET", "/"), gateway::route_id::root);
    EXPECT_EQ(gateway::find_route("GET", "/function/f.ns/rest").name, "f.ns");
    EXPECT_EQ(gateway::find_route("GET", "/system/namespace/").name, "");
}

TEST(gateway_routes, tell_404_from_405)
{
    for (auto path :
         {"", "/x", "/function", "/function/", "/function//f", "/async-function/", "/system", "/system/function/", "/system/function/f/x",
          "/system/functions/", "/system/namespace/a/b", "/system/../system/info", "//", "/metrics/", "system/info"})
        EXPECT_EQ(gateway::find_route("GET", path).to, nullptr) << path;
    for (auto [method, path] : {std::pair{"GET", "/async-function/f"},
                                {"PATCH", "/system/functions"},
                                {"POST", "/system/function/f"},
                                {"POST", "/healthz"},
                                {"get", "/system/info"},
                                {"", "/system/info"},
                                {"GET POST", "/system/functions"}})
    {
        const auto found = gateway::find_route(method, path);
        EXPECT_NE(found.to, nullptr) << path;
        EXPECT_FALSE(found.method_allowed) << method;
    }
    EXPECT_EQ(gateway::allow_of(*gateway::find_route("GET", "/healthz").to), "GET, HEAD");
}

TEST(gateway_basic_auth, lets_everybody_in_only_without_credentials)
{
    EXPECT_TRUE(gateway::basic_auth().allows(""));
    const gateway::basic_auth one("Aladdin", "open sesame");
    EXPECT_TRUE(one.allows("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")); // RFC 7617 § 2
    for (auto wrong : {"", "Basic", "Basic ", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ",
                       "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ===", "Basic qWxhZGRpbjpvcGVuIHNlc2FtZQ=="})
        EXPECT_FALSE(one.allows(wrong)) << wrong;
    EXPECT_TRUE(gateway::basic_auth("", "").required());
}

TEST(gateway_basic_auth, files_that_are_missing_or_empty_are_named)
{
    const test::temp_folder folder;
    std::ofstream(folder / "user") << "u\n";
    std::ofstream(folder / "blank") << " \n";
    const auto message = [](const std::string& user, const std::string& password) -> std::string {
        try {
            gateway::basic_auth::from_files(user, password);
        } catch (const config::error& wrong) {
            return wrong.what();
        }
        return "";
    };
    EXPECT_THAT(message(folder / "user", ""), HasSubstr("basic_auth_password_file"));
    EXPECT_THAT(message("", folder / "user"), HasSubstr("basic_auth_user_file"));
    EXPECT_THAT(message(folder / "user", folder / "none"), HasSubstr("basic_auth_password_file"));
    EXPECT_THAT(message(folder / "blank", folder / "user"), HasSubstr("basic_auth_user_file"));
    EXPECT_EQ(message(folder / "user", folder / "user"), "");
    EXPECT_FALSE(gateway::basic_auth::from_files("", "").required());
}

TEST(gateway_balancer, takes_the_least_loaded_ready_replica_in_turn)
{
    gateway::balancer some;
    const function_endpoints among{
        {"f", "n"}, 3, {{"a", "127.0.0.1", 1, 0, "", true}, {"b", "127.0.0.1", 2, 0, "", true}, {"c", "127.0.0.1", 3, 0, "", false}}};
    std::map<std::string, int> seen;
    for (int i = 0; i < 10; ++i) {
        const auto* taken = some.start(among, {});
        ASSERT_TRUE(taken);
        ++seen[taken->replica];
    }
    EXPECT_EQ(seen["a"], 5);
    EXPECT_EQ(seen["b"], 5);
    for (int i = 0; i < 5; ++i)
        some.finished({"f", "n"}, "a");
    EXPECT_EQ(some.under_way({"f", "n"}, "a"), 0u);
    for (int i = 0; i < 5; ++i)
        EXPECT_EQ(some.start(among, {})->replica, "a");
    EXPECT_EQ(some.start(among, {"a"})->replica, "b");
    EXPECT_EQ(some.start(among, {"a", "b"}), nullptr);
    EXPECT_EQ(some.start({{"g", "n"}, 0, {}}, {}), nullptr);
}

TEST(gateway_mirror_wait, answers_when_both_have_happened)
{
    loop on;
    gateway::mirror_wait some(on, test::generous);
    int told = 0;
    const auto early = some.expect("k");
    some.heard("k");
    some.when_heard(early, [&] { ++told; });
    EXPECT_EQ(told, 1);
    auto late = some.expect("k");
    some.heard("other");
    some.when_heard(late, [&] { ++told; });
    late.reset();
    EXPECT_EQ(told, 1);
    some.heard("k");
    EXPECT_EQ(told, 2);
    some.heard("k");
    EXPECT_EQ(told, 2);
    some.when_heard(some.expect("never"), [&] { ++told; });
    some.close();
    EXPECT_EQ(told, 3);
    EXPECT_TRUE(test::loop_runs_dry(on));
}

TEST(gateway_mirror_wait, a_lagging_mirror_does_not_hold_the_answer_up)
{
    loop on;
    gateway::mirror_wait some(on, milliseconds(1));
    bool told = false;
    some.when_heard(some.expect("k"), [&] { told = true; });
    EXPECT_TRUE(test::loop_until(on, [&] { return told; }));
}

TEST(gateway_rest, reads_query_values)
{
    EXPECT_EQ(gateway::query_value("namespace=shop&usage=1", "namespace"), "shop");
    EXPECT_EQ(gateway::query_value("a=b&namespace=a%2Db+c%zz", "namespace"), "a-b c%zz");
    EXPECT_EQ(gateway::query_value("namespace", "namespace"), "");
    EXPECT_EQ(gateway::query_value("xnamespace=a", "namespace"), "");
}

TEST(gateway_options, keep_the_publish_deadline_below_the_logs_memory_of_ids)
{
    gateway::options values;
    config::table table;
    gateway::add_to(table, values);
    table.read({{"--publish-deadline", "15s"}, {}, "", ""});
    EXPECT_EQ(values.publish_deadline, milliseconds(15'000));
    EXPECT_THROW(table.read({{"--publish-deadline", "20s"}, {}, "", ""}), config::error);
}

}
}
