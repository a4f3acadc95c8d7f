#pragma once
#include "adapters/nats/connection.hpp"
#include "sluice/key_value.hpp"
#include "sluice/message_log.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// The texts of JetStream's API (docs.nats.io, "JetStream wire API reference"): requests made, answers read, errors translated to
// ours, once.
// Pure. Internal to adapters/nats.
namespace sluice::nats::api {

template <class T> using result = boost::system::result<T>;

inline constexpr std::chrono::milliseconds deadline{5'000};

// A JetStream error number (err_code) that has no counterpart among log_errc keeps its number: "JetStream error 10052".
boost::system::error_code to_error(int err_code, int http_like_code);

result<std::string> parse_text(std::string_view answer);
result<stored_at> parse_stored(std::string_view answer); // a PubAck
result<void> parse_success(std::string_view answer);

struct stream_info {
    std::vector<std::string> subjects;
    std::string created; // tells a stream from another of the same name made later
    log_info state;
};
result<stream_info> parse_stream_info(std::string_view answer);

struct consumer_info {
    std::string name;
    std::uint64_t pending = 0; // messages that it has for us
};
result<consumer_info> parse_consumer_info(std::string_view answer);

struct stored_message {
    log_message message;
    std::string subject;
};
result<stored_message> parse_stored_message(std::string_view answer);

// Where a message of a pull consumer stands, from its reply subject: $JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<delivered>.<stream
// sequence>.<consumer sequence>.<time>.<pending>[.<token>]
struct place {
    std::string_view consumer;
    std::uint64_t sequence = 0;
    std::uint64_t consumer_sequence = 0;
    std::uint64_t stored_ns = 0; // when, by the server's clock
    std::uint64_t pending = 0;
};
std::optional<place> parse_place(std::string_view reply_subject);

std::string log_config(const std::string& stream, const std::string& subject, const stream_options& options);
std::string bucket_config(const std::string& bucket, const stream_options& options);
std::string reader_config(const std::string& stream, const std::string& filter, std::optional<std::uint64_t> from);

}
