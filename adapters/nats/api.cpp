#include "adapters/nats/api.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>

namespace sluice::nats::api {

namespace json = boost::json;

namespace {

class category final : public boost::system::error_category {
    const char* name() const noexcept override { return "jetstream"; }
    std::string message(int value) const override { return "JetStream error " + std::to_string(value); }
};

const boost::system::error_category& jetstream_category() noexcept
{
    static const category instance;
    return instance;
}

std::uint64_t number_at(const json::object& object, std::string_view key)
{
    const auto* value = object.if_contains(key);
    if (value && value->is_int64())
        return static_cast<std::uint64_t>(value->get_int64());
    return value && value->is_uint64() ? value->get_uint64() : 0;
}

std::string text_at(const json::object& object, std::string_view key)
{
    const auto* value = object.if_contains(key);
    return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

const json::object& object_at(const json::object& object, std::string_view key)
{
    static const json::object nothing;
    const auto* value = object.if_contains(key);
    return value && value->is_object() ? value->get_object() : nothing;
}

// An answer that is no JSON object comes from somebody who is not JetStream: unavailable.
result<json::object> parse(std::string_view answer)
{
    boost::system::error_code error;
    auto value = json::parse(answer, error);
    if (error || !value.is_object())
        return log_errc::unavailable;
    auto& object = value.get_object();
    if (const auto& failure = object_at(object, "error"); !failure.empty())
        return to_error(static_cast<int>(number_at(failure, "err_code")), static_cast<int>(number_at(failure, "code")));
    return std::move(object);
}

std::optional<std::string> decode_base64(std::string_view text)
{
    static constexpr auto values = [] {
        std::array<signed char, 256> table{};
        table.fill(-1);
        constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for (std::size_t i = 0; i < digits.size(); ++i)
            table[static_cast<unsigned char>(digits[i])] = static_cast<signed char>(i);
        return table;
    }();
    while (!text.empty() && text.back() == '=')
        text.remove_suffix(1);
    std::string bytes;
    bytes.reserve(text.size() / 4 * 3 + 3);
    std::uint32_t bits = 0;
    int count = 0;
    for (const unsigned char c : text) {
        if (values[c] < 0)
            return std::nullopt;
        bits = bits << 6 | static_cast<std::uint32_t>(values[c]);
        if ((count += 6) >= 8)
            bytes.push_back(static_cast<char>(bits >> (count -= 8)));
    }
    return bytes;
}

// "NATS/1.0\r\nName: value\r\n...\r\n"
headers parse_fields(std::string_view block)
{
    headers fields;
    for (auto at = block.find("\r\n"); at != block.npos;) {
        const auto end = block.find("\r\n", at + 2);
        if (end == block.npos || end == at + 2)
            break;
        const auto line = block.substr(at + 2, end - at - 2);
        if (const auto colon = line.find(':'); colon != line.npos) {
            const auto value = line.find_first_not_of(' ', colon + 1);
            fields.push_back({std::string(line.substr(0, colon)), value == line.npos ? std::string() : std::string(line.substr(value))});
        }
        at = end;
    }
    return fields;
}

std::uint64_t nanoseconds(std::chrono::milliseconds value) { return static_cast<std::uint64_t>(std::chrono::nanoseconds(value).count()); }

json::object limits_stream(const std::string& name, const std::string& subject, const stream_options& options)
{
    return {{"name", name},
            {"subjects", json::array{subject}},
            {"retention", "limits"},
            {"storage", "file"},
            {"discard", "new"},
            {"max_msgs", -1},
            {"max_bytes", options.bytes_max == 0 ? std::int64_t{-1} : static_cast<std::int64_t>(options.bytes_max)},
            {"max_age", 0},
            {"max_consumers", -1},
            {"max_msg_size", -1},
            {"num_replicas", options.replicas},
            {"duplicate_window", nanoseconds(options.duplicate_window)},
            {"allow_direct", true}};
}

}

boost::system::error_code to_error(int err_code, int http_like_code)
{
    switch (err_code) {
    case 10071: // wrong last sequence
    case 10164: // the same, without the sequence in its text (2.11)
        return log_errc::wrong_sequence;
    case 10077: // the store refused: maximum bytes, messages or messages per subject
    case 10047: // insufficient storage resources
    case 10023: // insufficient resources
    case 10002: // the account's limits
        return log_errc::full;
    case 10054: // the stream's max_msg_size
        return log_errc::too_large;
    case 10059: // stream
    case 10037: // message
    case 10014: // consumer
        return log_errc::not_found;
    case 10008: // JetStream temporarily unavailable: no meta leader
    case 10009: // not the leader
    case 10035: // not enabled for this account
    case 10039:
    case 10074: // no peers
    case 10076: // not enabled
        return log_errc::unavailable;
    case 10158: // the same id is being stored just now
        return log_errc::unknown;
    default: break;
    }
    if (http_like_code == 503)
        return log_errc::unknown;
    return {err_code, jetstream_category()};
}

result<std::string> parse_text(std::string_view answer) { return std::string(answer); }

// {"stream":"LOG_x","seq":123} or {"stream":"LOG_x","seq":123,"duplicate":true}, thousands a second: looked at without parsing. A stream's
// name has no quotes.
result<stored_at> parse_stored(std::string_view answer)
{
    constexpr std::string_view sequence_key = "\"seq\":";
    const auto at = answer.find(sequence_key);
    if (at == answer.npos || answer.find("\"error\"") != answer.npos) {
        if (const auto object = parse(answer); !object)
            return object.error();
        return log_errc::unknown;
    }
    stored_at stored;
    const auto digits = answer.substr(std::min(answer.find_first_not_of(' ', at + sequence_key.size()), answer.size()));
    std::from_chars(digits.data(), digits.data() + digits.size(), stored.sequence);
    stored.duplicate = answer.find("\"duplicate\":", at) != answer.npos && answer.find("true", at) != answer.npos;
    if (stored.sequence == 0)
        return log_errc::unknown;
    return stored;
}

result<void> parse_success(std::string_view answer)
{
    if (const auto object = parse(answer); !object)
        return object.error();
    return {};
}

result<stream_info> parse_stream_info(std::string_view answer)
{
    const auto object = parse(answer);
    if (!object)
        return object.error();
    stream_info info;
    info.created = text_at(*object, "created");
    const auto& config = object_at(*object, "config");
    if (const auto* subjects = config.if_contains("subjects"); subjects && subjects->is_array())
        for (const auto& subject : subjects->get_array())
            if (subject.is_string())
                info.subjects.emplace_back(subject.get_string());
    const auto& state = object_at(*object, "state");
    info.state.first_sequence = number_at(state, "first_seq");
    info.state.last_sequence = number_at(state, "last_seq");
    info.state.messages = number_at(state, "messages");
    info.state.bytes = number_at(state, "bytes");
    const auto bytes_max = static_cast<std::int64_t>(number_at(config, "max_bytes"));
    info.state.bytes_max = bytes_max > 0 ? static_cast<std::uint64_t>(bytes_max) : 0;
    return info;
}

result<consumer_info> parse_consumer_info(std::string_view answer)
{
    const auto object = parse(answer);
    if (!object)
        return object.error();
    consumer_info info{text_at(*object, "name"), number_at(*object, "num_pending")};
    if (info.name.empty())
        return log_errc::unknown;
    return info;
}

result<stored_message> parse_stored_message(std::string_view answer)
{
    const auto object = parse(answer);
    if (!object)
        return object.error();
    const auto& source = object_at(*object, "message");
    auto payload = decode_base64(text_at(source, "data"));
    const auto fields = decode_base64(text_at(source, "hdrs"));
    stored_message stored;
    stored.message.sequence = number_at(source, "seq");
    if (stored.message.sequence == 0 || !payload || !fields)
        return log_errc::unknown;
    stored.subject = text_at(source, "subject");
    stored.message.payload = std::move(*payload);
    stored.message.fields = parse_fields(*fields);
    return stored;
}

std::optional<place> parse_place(std::string_view reply_subject)
{
    if (!reply_subject.starts_with("$JS.ACK."))
        return std::nullopt;
    std::array<std::string_view, 16> tokens;
    std::size_t count = 0;
    for (std::size_t from = 0; from <= reply_subject.size() && count < tokens.size(); ++count) {
        const auto to = std::min(reply_subject.find('.', from), reply_subject.size());
        tokens[count] = reply_subject.substr(from, to - from);
        from = to + 1;
    }
    if (count < 9)
        return std::nullopt;
    const std::size_t stream = count >= 11 ? 4 : 2;
    const auto number = [&](std::size_t index) {
        std::uint64_t value = 0;
        std::from_chars(tokens[index].data(), tokens[index].data() + tokens[index].size(), value);
        return value;
    };
    return place{tokens[stream + 1], number(stream + 3), number(stream + 4), number(stream + 5), number(stream + 6)};
}

std::string log_config(const std::string& stream, const std::string& subject, const stream_options& options)
{
    return json::serialize(limits_stream(stream, subject, options));
}

// As the KV layout says (NATS ADR-8), with one revision a key.
std::string bucket_config(const std::string& bucket, const stream_options& options)
{
    auto config = limits_stream("KV_" + bucket, "$KV." + bucket + ".>", options);
    config["max_msgs_per_subject"] = 1;
    config["allow_rollup_hdrs"] = true;
    config["deny_delete"] = true;
    return json::serialize(config);
}

std::string reader_config(const std::string& stream, const std::string& filter, std::optional<std::uint64_t> from)
{
    constexpr std::chrono::minutes kept_unused{2}; // more than the longest pull; a reader that is paused for longer makes another one
    json::object config{{"ack_policy", "none"},
                        {"replay_policy", "instant"},
                        {"deliver_policy", from ? "by_start_sequence" : "last_per_subject"},
                        {"inactive_threshold", nanoseconds(kept_unused)},
                        {"max_waiting", 16},
                        {"num_replicas", 1},
                        {"mem_storage", true}};
    if (from)
        config["opt_start_seq"] = *from;
    if (!filter.empty())
        config["filter_subject"] = filter;
    return json::serialize(json::object{{"stream_name", stream}, {"config", std::move(config)}});
}

}
