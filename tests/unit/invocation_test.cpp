#include "core/invocation.hpp"

#include "sluice/wire.hpp"

#include <gtest/gtest.h>

#include <random>

using namespace sluice;
using namespace sluice::core;

namespace {

const std::string request = "POST /path?q=%20 HTTP/1.1\r\nX-Call-Id: abc\r\nAccept: */*\r\n\r\nbody\r\n\r\nmore";

log_message message(std::string call = "1 tenant-a env.openfaas-fn 1790000000123", std::string payload = request)
{
    return {7, {{"Nats-Msg-Id", "id-1"}, {"Sluice-Call", std::move(call)}}, std::move(payload)};
}

}

TEST(invocation_test, reads_a_call)
{
    auto sent = message();
    sent.fields.push_back({"Sluice-Callback", "http://127.0.0.1:1/cb"});
    const auto call = parse_invocation(sent);
    ASSERT_TRUE(call) << call.error().message;
    EXPECT_EQ(call->sequence, 7u);
    EXPECT_EQ(call->id_hash, hash_id("id-1"));
    EXPECT_EQ(call->tenant, "tenant-a");
    EXPECT_EQ(call->function, (function_name{"env", "openfaas-fn"}));
    EXPECT_EQ(call->accepted_at, 1'790'000'000'123);
    EXPECT_EQ(call->callback_url, "http://127.0.0.1:1/cb");
    EXPECT_EQ(*call->payload, request);
    EXPECT_EQ(method_of(request), "POST");
    EXPECT_EQ(target_of(request), "/path?q=%20");
    EXPECT_EQ(request.substr(call->body_at), "body\r\n\r\nmore");
    EXPECT_EQ(request.substr(call->fields_at, call->body_at - 2 - call->fields_at), "X-Call-Id: abc\r\nAccept: */*\r\n");
}

TEST(invocation_test, a_call_without_fields_or_body)
{
    const std::string bare = "GET / HTTP/1.1\r\n\r\n";
    const auto call = parse_invocation(message("1 t f.s 0", bare));
    ASSERT_TRUE(call) << call.error().message;
    EXPECT_EQ(call->body_at, bare.size());
    EXPECT_EQ(call->fields_at, bare.size() - 2);
    EXPECT_TRUE(call->callback_url.empty());
}

TEST(invocation_test, what_makes_no_sense_is_unreadable_for_ever)
{
    for (auto header : {"", " ", "x", "1", "1 ", "1 t", "1 t f.s", "1 t f.s x", "1 t f.s 12x", "1  f.s 12", "1 t F.s 12", "0 t f.s 12",
                        "-1 t f.s 12", "1 t f.s 12 13", "1 t f.s 99999999999999999999"})
    {
        const auto call = parse_invocation(message(header));
        ASSERT_FALSE(call) << header;
        EXPECT_FALSE(call.error().newer_version) << header;
        EXPECT_FALSE(call.error().message.empty());
    }
    for (auto payload :
         {"", "\r\n\r\n", "POST / HTTP/1.1\r\n", "POST\r\n\r\n", " / HTTP/1.1\r\n\r\n", "POST \r\n\r\n", "POST\r\nA: b c\r\n\r\n",
          // what a function could take for a second request, or for another field
          "POST  / HTTP/1.1\r\n\r\n", "POST / HTTP/1.0\r\n\r\n", "POST /a\nb HTTP/1.1\r\n\r\n", "POST / x HTTP/1.1\r\n\r\n",
          "POST / HTTP/1.1\r\nA: b\nC: d\r\n\r\n", "POST / HTTP/1.1\r\nA: b\rC: d\r\n\r\n", "POST / HTTP/1.1\r\nA b\r\n\r\n",
          "POST / HTTP/1.1\r\n: b\r\n\r\n", "POST / HTTP/1.1\r\nA : b\r\n\r\n", "POST / HTTP/1.1\r\n b: c\r\n\r\n"})
        EXPECT_FALSE(parse_invocation(message("1 t f.s 12", payload))) << payload;
    auto anonymous = message();
    anonymous.fields.erase(anonymous.fields.begin());
    EXPECT_FALSE(parse_invocation(anonymous));
    anonymous = message();
    anonymous.fields[0].value.clear();
    EXPECT_FALSE(parse_invocation(anonymous));
    anonymous = message();
    anonymous.fields.pop_back();
    EXPECT_FALSE(parse_invocation(anonymous));
}

TEST(invocation_test, a_newer_format_is_not_touched)
{
    const auto call = parse_invocation(message(std::to_string(wire::format_version + 1) + " something else entirely"));
    ASSERT_FALSE(call);
    EXPECT_TRUE(call.error().newer_version);
}

TEST(invocation_test, noise_never_crashes)
{
    std::mt19937_64 random(1);
    const std::string alphabet = "1 tf.s\r\n:AZ/";
    const auto noise = [&](std::size_t most) {
        std::string text(random() % most, ' ');
        for (auto& c : text)
            c = alphabet[random() % alphabet.size()];
        return text;
    };
    for (int i = 0; i < 3'000; ++i) {
        const auto payload = noise(30);
        const auto call = parse_invocation(message(random() % 2 ? noise(16) : "1 t f.s 1", payload));
        if (!call)
            continue;
        ASSERT_LE(call->fields_at, call->body_at);
        ASSERT_LE(call->body_at, payload.size());
        ASSERT_FALSE(method_of(payload).empty());
        ASSERT_LT(method_of(payload).size() + target_of(payload).size(), payload.size());
    }
}

TEST(invocation_test, finds_fields_by_name_without_case)
{
    const std::string lines = "Accept: a\r\nX-Call-Id:b\r\nx-call-id: c\r\nEmpty:\r\nX-Call-Id-More: d\r\n";
    EXPECT_EQ(field_of(lines, "accept"), "a");
    EXPECT_EQ(field_of(lines, "X-CALL-ID"), "b") << "the first one";
    EXPECT_EQ(field_of(lines, "Empty"), "");
    EXPECT_EQ(field_of(lines, "X-Call-Id-More"), "d");
    EXPECT_EQ(field_of(lines, "X-Call"), "");
    EXPECT_EQ(field_of("", "X"), "");
    EXPECT_EQ(field_of("X: unended", "X"), "unended");
}

TEST(invocation_test, the_hash_is_fnv_1a)
{
    // Test vectors of the authors (Fowler, Noll, Vo).
    EXPECT_EQ(hash_id(""), 0xcbf29ce484222325ull);
    EXPECT_EQ(hash_id("a"), 0xaf63dc4c8601ec8cull);
    EXPECT_EQ(hash_id("foobar"), 0x85944171f73967e8ull);
}
