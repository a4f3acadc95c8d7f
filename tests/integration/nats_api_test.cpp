#include "adapters/nats/api.hpp"

#include <gtest/gtest.h>

// The texts of JetStream's API, as servers send them.
namespace sluice::nats::api {

TEST(nats_api, a_puback_is_a_sequence)
{
    const auto stored = parse_stored(R"({"stream":"LOG_a_0","seq":18446744073709551615})");
    ASSERT_TRUE(stored);
    EXPECT_EQ(stored->sequence, 18446744073709551615u);
    EXPECT_FALSE(stored->duplicate);
    const auto again = parse_stored(R"({"stream":"LOG_a_0", "domain":"hub", "seq": 7, "duplicate": true})");
    ASSERT_TRUE(again);
    EXPECT_EQ(again->sequence, 7u);
    EXPECT_TRUE(again->duplicate);
}

TEST(nats_api, an_error_is_translated_once)
{
    const auto error_of = [](int err_code, int code) {
        return parse_stored(R"({"error":{"code":)" + std::to_string(code) + R"(,"err_code":)" + std::to_string(err_code)
                            + R"(,"description":"d"},"stream":"S","seq":0})")
            .error();
    };
    EXPECT_EQ(error_of(10071, 400), log_errc::wrong_sequence);
    EXPECT_EQ(error_of(10164, 400), log_errc::wrong_sequence);
    EXPECT_EQ(error_of(10077, 503), log_errc::full);
    EXPECT_EQ(error_of(10047, 500), log_errc::full);
    EXPECT_EQ(error_of(10054, 400), log_errc::too_large);
    EXPECT_EQ(error_of(10158, 409), log_errc::unknown);
    EXPECT_EQ(error_of(10008, 503), log_errc::unavailable);
    EXPECT_EQ(error_of(19999, 503), log_errc::unknown);
    EXPECT_EQ(error_of(10060, 400).message(), "JetStream error 10060");
}

TEST(nats_api, what_is_no_answer_of_jetstream_is_not_a_success)
{
    for (const char* text : {"", "+OK", "{", "[]", "null", R"({"stream":"S"})", R"({"stream":"S","seq":0})", R"({"stream":"S","seq":"x"})"})
    {
        EXPECT_FALSE(parse_stored(text)) << text;
        EXPECT_FALSE(parse_stored_message(text)) << text;
        EXPECT_FALSE(parse_consumer_info(text)) << text;
    }
    EXPECT_FALSE(parse_stored_message(R"({"message":{"seq":1,"data":"!!!"}})"));
}

TEST(nats_api, a_place_with_and_without_domain)
{
    const auto plain = parse_place("$JS.ACK.LOG.consumer.1.42.17.1764021234567890123.9");
    ASSERT_TRUE(plain);
    EXPECT_EQ(plain->consumer, "consumer");
    EXPECT_EQ(plain->sequence, 42u);
    EXPECT_EQ(plain->consumer_sequence, 17u);
    EXPECT_EQ(plain->stored_ns, 1764021234567890123u);
    EXPECT_EQ(plain->pending, 9u);
    for (const char* text : {"$JS.ACK.hub.ABC123.LOG.consumer.1.42.17.1764021234567890123.9",
                             "$JS.ACK._.ABC123.LOG.consumer.1.42.17.1764021234567890123.9.token"})
    {
        const auto longer = parse_place(text);
        ASSERT_TRUE(longer);
        EXPECT_EQ(longer->consumer, "consumer");
        EXPECT_EQ(longer->sequence, 42u);
        EXPECT_EQ(longer->consumer_sequence, 17u);
        EXPECT_EQ(longer->pending, 9u);
    }
    EXPECT_FALSE(parse_place(""));
    EXPECT_FALSE(parse_place("$JS.ACK.LOG"));
    EXPECT_FALSE(parse_place("$JS.FC.LOG.a.b.c.d.e.f"));
}

TEST(nats_api, a_stored_message_is_decoded)
{
    const auto stored = parse_stored_message(
        R"({"type":"io.nats.jetstream.api.v1.stream_msg_get_response","message":{"subject":"log",)"
        R"("seq":5,"hdrs":"TkFUUy8xLjANCk5hdHMtTXNnLUlkOiBhDQpPdGhlcjogeDogeQ0KDQo=","data":"AAEC/w==","time":"2026-01-01T00:00:00Z"}})");
    ASSERT_TRUE(stored);
    EXPECT_EQ(stored->message.sequence, 5u);
    EXPECT_EQ(stored->message.payload, std::string("\x00\x01\x02\xff", 4));
    ASSERT_EQ(stored->message.fields.size(), 2u);
    EXPECT_EQ(stored->message.fields[0].value, "a");
    EXPECT_EQ(stored->message.fields[1].name, "Other");
    EXPECT_EQ(stored->message.fields[1].value, "x: y");
}

}
