#include "core/directory.hpp"
#include "core/function_codec.hpp"
#include "tests/support/hand_fed_bucket.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace sluice;
using namespace sluice::core;
using sluice::test::hand_fed_bucket;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

std::string spec_of(const std::string& name, const std::string& space, const std::string& image = "i")
{
    function_spec spec;
    spec.name = {name, space};
    spec.image = image;
    return encode(spec);
}

struct directory_test : testing::Test {
    hand_fed_bucket functions, endpoints, spaces;
    std::vector<std::string> reports, changed;
    std::optional<directory> known;

    directory_test()
    {
        known.emplace(functions, endpoints, spaces, [this](std::string_view message) { reports.emplace_back(message); });
        known->on_function([this](const function_name& name) { changed.push_back("function " + name.full()); });
        known->on_space([this](const std::string& name) { changed.push_back("space " + name); });
        known->on_endpoints([this](const function_name& name) { changed.push_back("endpoints " + name.full()); });
    }
};

}

TEST_F(directory_test, is_current_once_each_bucket_was_read_to_its_end)
{
    int told = 0;
    known->on_current([&] { ++told; });
    functions.on_end();
    endpoints.on_end();
    EXPECT_FALSE(known->current());
    EXPECT_EQ(told, 0);
    spaces.on_end();
    EXPECT_TRUE(known->current());
    EXPECT_EQ(told, 1);
}

TEST_F(directory_test, mirrors_functions)
{
    functions.feed("shop.b", spec_of("b", "shop"));
    functions.feed("shop.a", spec_of("a", "shop", "old"));
    functions.feed("shop.a", spec_of("a", "shop", "new"));
    functions.feed("other.c", spec_of("c", "other"));
    ASSERT_TRUE(known->find({"a", "shop"}));
    EXPECT_EQ(known->find({"a", "shop"})->image, "new");
    EXPECT_FALSE(known->find({"a", "other"}));
    ASSERT_EQ(known->functions_in("shop").size(), 2u);
    EXPECT_EQ(known->functions_in("shop")[0]->name.name, "a");
    functions.feed_erased("shop.a");
    EXPECT_FALSE(known->find({"a", "shop"}));
    EXPECT_THAT(changed, ElementsAre("function b.shop", "function a.shop", "function a.shop", "function c.other", "function a.shop"));
    functions.feed_erased("shop.never");
    EXPECT_EQ(changed.size(), 5u);
}

TEST_F(directory_test, mirrors_endpoints_apart_from_functions)
{
    endpoints.feed("shop.a", encode(function_endpoints{{"a", "shop"}, 1, {{"r", "127.0.0.1", 80, 1, "t", true}}}));
    EXPECT_FALSE(known->find({"a", "shop"}));
    ASSERT_TRUE(known->endpoints({"a", "shop"}));
    EXPECT_EQ(known->endpoints({"a", "shop"})->replicas.size(), 1u);
    functions.feed("shop.a", spec_of("a", "shop"));
    functions.feed_erased("shop.a");
    EXPECT_TRUE(known->endpoints({"a", "shop"}));
    endpoints.feed_erased("shop.a");
    EXPECT_FALSE(known->endpoints({"a", "shop"}));
    EXPECT_THAT(changed, ElementsAre("endpoints a.shop", "function a.shop", "function a.shop", "endpoints a.shop"));
}

TEST_F(directory_test, a_bad_value_is_reported_and_the_last_good_one_stays)
{
    functions.feed("shop.a", spec_of("a", "shop", "good"));
    functions.feed("shop.a", "{\"version\":2,\"name\":\"a\",\"namespace\":\"shop\"}");
    functions.feed("shop.a", "damage");
    functions.feed("shop.a", spec_of("b", "shop", "under another's key"));
    functions.feed("nodot", spec_of("a", "shop"));
    endpoints.feed("shop.a", "{}");
    spaces.feed("shop", "{}");
    EXPECT_EQ(known->find({"a", "shop"})->image, "good");
    ASSERT_EQ(reports.size(), 6u);
    EXPECT_THAT(reports[0], testing::AllOf(HasSubstr("shop.a"), HasSubstr("revision 2"), HasSubstr("version"), HasSubstr("newer")));
    EXPECT_THAT(changed, ElementsAre("function a.shop", "endpoints a.shop")) << "where nothing was known before";
}

TEST_F(directory_test, what_cannot_be_read_is_unknown_and_not_absent)
{
    EXPECT_THAT(known->unknown().value_or(""), HasSubstr("not known yet"));
    EXPECT_TRUE(known->unknown(function_name{"a", "shop"}));
    functions.feed("shop.newer", "{\"version\":2}");
    functions.feed("shop.good", spec_of("good", "shop"));
    functions.feed("shop.good", "damage");
    endpoints.feed("shop.endpoints", "damage");
    spaces.feed("closed", "damage");
    for (auto* bucket : {&functions, &endpoints, &spaces})
        bucket->on_end();
    EXPECT_EQ(known->unknown(), std::nullopt);
    EXPECT_THAT(known->unknown(function_name{"newer", "shop"}).value_or(""), HasSubstr("newer.shop"));
    for (const auto* sure : {"good", "endpoints", "never"})
        EXPECT_EQ(known->unknown(function_name{sure, "shop"}), std::nullopt) << sure;
    EXPECT_THAT(known->unknown(function_name{"any", "closed"}).value_or(""), HasSubstr("namespace closed")) << "whose it is, is unknown";

    functions.feed("shop.newer", spec_of("newer", "shop"));
    EXPECT_EQ(known->unknown(function_name{"newer", "shop"}), std::nullopt);
    functions.feed("shop.gone", "damage");
    functions.feed_erased("shop.gone");
    EXPECT_EQ(known->unknown(function_name{"gone", "shop"}), std::nullopt);
    spaces.feed_erased("closed");
    EXPECT_EQ(known->unknown(std::string("closed")), std::nullopt);
}

TEST_F(directory_test, who_listens_hears_of_what_cannot_be_read_where_nothing_was_known_and_of_its_end)
{
    functions.feed("shop.a", "damage");
    EXPECT_THAT(changed, ElementsAre("function a.shop"));
    functions.feed("shop.a", "other damage");
    EXPECT_THAT(changed, ElementsAre("function a.shop")) << "as unknown as before";
    functions.feed_erased("shop.a");
    EXPECT_THAT(changed, ElementsAre("function a.shop", "function a.shop")) << "from now on it is known to be absent";
    functions.feed_erased("shop.a");
    functions.feed("no name", "damage");
    functions.feed_erased("no name");
    EXPECT_EQ(changed.size(), 2u);
}

TEST_F(directory_test, the_default_namespace_always_exists)
{
    EXPECT_TRUE(known->space("openfaas-fn"));
    EXPECT_FALSE(known->space("shop"));
    EXPECT_THAT(known->spaces(), ElementsAre("openfaas-fn"));
    spaces.feed("shop", encode(namespace_spec{"shop", {}, {}}));
    spaces.feed("abc", encode(namespace_spec{"abc", {}, {}}));
    EXPECT_THAT(known->spaces(), ElementsAre("abc", "openfaas-fn", "shop"));
    spaces.feed("openfaas-fn", encode(namespace_spec{"openfaas-fn", {{"l", "1"}}, {}}));
    EXPECT_THAT(known->spaces(), ElementsAre("abc", "openfaas-fn", "shop"));
    EXPECT_EQ(known->space("openfaas-fn")->labels.size(), 1u);
    spaces.feed_erased("abc");
    EXPECT_FALSE(known->space("abc"));
}

TEST_F(directory_test, the_tenant_is_the_annotations_or_the_namespace)
{
    functions.feed("shop.a", spec_of("a", "shop"));
    EXPECT_EQ(known->tenant_of("shop"), "shop");
    EXPECT_EQ(known->tenant_of("openfaas-fn"), "openfaas-fn");
    changed.clear();
    spaces.feed("shop", encode(namespace_spec{"shop", {}, {{"sluice/tenant", "acme"}}}));
    EXPECT_EQ(known->tenant_of("shop"), "acme");
    EXPECT_THAT(changed, ElementsAre("space shop", "function a.shop")) << "its functions changed hands";
}

TEST_F(directory_test, a_watcher_that_outlives_the_directory_does_no_harm)
{
    known.reset();
    functions.feed("shop.a", spec_of("a", "shop"));
    functions.on_end();
    EXPECT_TRUE(changed.empty());
}
