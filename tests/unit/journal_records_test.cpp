#include "core/journal_records.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <random>

using namespace sluice::core;
using namespace sluice::core::journal;

namespace {

std::string random_text(std::mt19937_64& random, std::size_t most)
{
    std::string text(random() % (most + 1), '\0');
    for (auto& c : text)
        c = static_cast<char>(random());
    return text;
}

record random_record(std::mt19937_64& random)
{
    const call_ref call{random(), random()};
    const auto small = [&] { return static_cast<std::uint32_t>(random()); };
    switch (random() % 7) {
    case 0: return settled{call, static_cast<settled::how_kind>(1 + random() % 5), small(), small()};
    case 1: return retry_scheduled{call, small(), static_cast<sluice::unix_ms>(random() >> 12), random() >> 12};
    case 2: return callback_scheduled{call, small(), static_cast<sluice::unix_ms>(random() >> 12), random() >> 12};
    case 3: return reserved{random_text(random, 30), small()};
    case 4: return handed_over{};
    case 5: {
        carried whole{call, {}, random_text(random, 300)};
        for (auto left = random() % 4; left > 0; --left)
            whole.fields.push_back({random_text(random, 20), random_text(random, 60)});
        return whole;
    }
    default:
        return answered{call,
                        small(),
                        small(),
                        random() % 2 == 0,
                        random_text(random, 40),
                        random_text(random, 200),
                        random_text(random, 500),
                        random_text(random, 20),
                        random_text(random, 20)};
    }
}

batch random_batch(std::mt19937_64& random)
{
    batch made{random(), random_text(random, 30), random(), {}};
    for (auto left = random() % 5; left > 0; --left)
        made.records.push_back(random_record(random));
    return made;
}

std::string encode(const batch& what)
{
    auto bytes = encode_head(what.epoch, what.owner, what.number);
    for (const auto& next : what.records)
        append_record(bytes, next);
    return bytes;
}

}

TEST(journal_records_test, what_was_encoded_is_decoded)
{
    std::mt19937_64 random(3);
    for (int i = 0; i < 300; ++i) {
        const auto made = random_batch(random);
        const auto read = decode(encode(made));
        ASSERT_TRUE(read) << read.error().message;
        EXPECT_EQ(*read, made);
    }
}

TEST(journal_records_test, the_format_is_what_the_header_says)
{
    // Journals outlive releases: these bytes must be readable for ever.
    batch made{0x0102030405060708, "ab", 9, {settled{{0x11, 0x22}, settled::how_kind::called_back, 3, 200}}};
    const std::string expected("SLJ\x02"
                               "\x08\x07\x06\x05\x04\x03\x02\x01"
                               "\x02\0\0\0ab"
                               "\x09\0\0\0\0\0\0\0"
                               "\x01\x19\0\0\0"
                               "\x11\0\0\0\0\0\0\0\x22\0\0\0\0\0\0\0\x02\x03\0\0\0\xC8\0\0\0",
                               4 + 8 + 6 + 8 + 5 + 25);
    EXPECT_EQ(encode(made), expected);
    const auto read = decode(expected);
    ASSERT_TRUE(read);
    EXPECT_EQ(*read, made);
}

TEST(journal_records_test, a_cut_batch_is_an_error_or_ends_after_a_whole_record)
{
    std::mt19937_64 random(4);
    for (int i = 0; i < 20; ++i) {
        const auto made = random_batch(random);
        const auto bytes = encode(made);
        for (std::size_t length = 0; length < bytes.size(); ++length) {
            // A copy of its own size, so that a sanitizer sees a read beyond it.
            const auto read = decode(std::string(bytes, 0, length));
            if (!read)
                continue;
            ASSERT_LT(read->records.size(), made.records.size());
            ASSERT_TRUE(std::equal(read->records.begin(), read->records.end(), made.records.begin()));
        }
    }
}

TEST(journal_records_test, a_flipped_byte_is_an_error_or_another_batch_and_no_crash)
{
    std::mt19937_64 random(5);
    for (int i = 0; i < 20; ++i) {
        const auto made = random_batch(random);
        const auto bytes = encode(made);
        for (std::size_t at = 0; at < bytes.size(); ++at)
            for (int bit : {0, 3, 7}) {
                auto damaged = bytes;
                damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
                const auto read = decode(damaged);
                if (read)
                    ASSERT_EQ(encode(*read).size(), damaged.size());
                else
                    ASSERT_FALSE(read.error().message.empty());
            }
    }
}

TEST(journal_records_test, the_size_of_a_record_is_what_it_adds)
{
    std::mt19937_64 random(8);
    for (int i = 0; i < 50; ++i) {
        const auto made = random_record(random);
        EXPECT_EQ(encode({1, "o", 2, {made}}).size(), encode_head(1, "o", 2).size() + size_of(made));
    }
}

TEST(journal_records_test, noise_is_an_error)
{
    std::mt19937_64 random(6);
    for (int i = 0; i < 500; ++i) {
        EXPECT_FALSE(decode(random_text(random, 60)));
        EXPECT_FALSE(decode(encode_head(1, "o", 1) + random_text(random, 4) + '\0')) << "no record is as short as that";
    }
}

TEST(journal_records_test, a_newer_format_is_told_from_damage)
{
    auto newer = encode_head(1, "o", 1);
    newer[3] = static_cast<char>(format_version + 1);
    const auto read = decode(newer);
    ASSERT_FALSE(read);
    EXPECT_TRUE(read.error().newer_version);
    newer[3] = 0;
    EXPECT_FALSE(decode(newer).error().newer_version);
    EXPECT_FALSE(decode("XYZ\x02").error().newer_version);
}

TEST(journal_records_test, a_time_that_no_clock_shows_is_damage)
{
    // Whoever loads a retry computes with its times: they stay far from the ends of their types.
    auto bytes = encode_head(1, "o", 1);
    append_record(bytes, retry_scheduled{{1, 2}, 1, std::numeric_limits<sluice::unix_ms>::max(), 5});
    EXPECT_FALSE(decode(bytes));
    bytes = encode_head(1, "o", 1);
    append_record(bytes, retry_scheduled{{1, 2}, 1, 5, ~0ull});
    EXPECT_FALSE(decode(bytes));
}
