#include "core/invocation.hpp"

#include "sluice/wire.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

namespace sluice::core {

namespace {

std::string_view word(std::string_view& text)
{
    auto end = text.find(' ');
    auto taken = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    return taken;
}

template <class T> bool number(std::string_view text, T& value)
{
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size();
}

invocation_error unreadable(std::string message) { return {false, std::move(message)}; }

// Reads "<version> <tenant> <function> <accepted unix ms>".
boost::system::result<void, invocation_error> read_call_header(std::string_view text, invocation& into)
{
    int version = 0;
    if (!number(word(text), version) || version < 1)
        return unreadable("header Sluice-Call has no version");
    if (version > wire::format_version)
        return invocation_error{true,
                                "log message format " + std::to_string(version) + " is newer than this release reads ("
                                    + std::to_string(wire::format_version) + ")"};
    into.tenant = word(text);
    auto name = parse_function_name(word(text));
    if (into.tenant.empty() || !name)
        return unreadable("header Sluice-Call names no tenant or no function");
    into.function = std::move(*name);
    if (!number(text, into.accepted_at))
        return unreadable("header Sluice-Call has no time of acceptance");
    return {};
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// "METHOD TARGET HTTP/1.1"
bool is_request_line(std::string_view line)
{
    constexpr std::string_view version = " HTTP/1.1";
    if (!line.ends_with(version))
        return false;
    line.remove_suffix(version.size());
    const auto space = line.find(' ');
    if (space == 0 || space == std::string_view::npos || space + 1 == line.size() || line.find(' ', space + 1) != std::string_view::npos)
        return false;
    return std::none_of(line.begin(), line.end(), is_control);
}

// "NAME: VALUE\r\n" each, and nothing in them that whoever gets the request could take for the end of one.
bool are_field_lines(std::string_view lines)
{
    while (!lines.empty()) {
        const auto end = lines.find("\r\n");
        const auto line = lines.substr(0, end);
        const auto name = line.substr(0, line.find(':'));
        if (name.empty() || name.size() == line.size() || name.find(' ') != std::string_view::npos
            || std::any_of(line.begin(), line.end(), [](char c) { return is_control(c) && c != '\t'; }))
            return false;
        lines.remove_prefix(end + 2);
    }
    return true;
}

// The request goes to a function as it is: a message that somebody else put into the log must not become two requests there.
bool find_boundaries(invocation& into)
{
    const std::string_view payload = *into.payload;
    if (payload.size() > std::numeric_limits<std::uint32_t>::max())
        return false;
    const auto line_end = payload.find("\r\n");
    const auto head_end = payload.find("\r\n\r\n");
    if (head_end == std::string_view::npos || !is_request_line(payload.substr(0, line_end))
        || !are_field_lines(payload.substr(line_end + 2, head_end - line_end)))
        return false;
    into.fields_at = static_cast<std::uint32_t>(line_end + 2);
    into.body_at = static_cast<std::uint32_t>(head_end + 4);
    return true;
}

}

boost::system::result<invocation, invocation_error> parse_invocation(log_message message)
{
    invocation call;
    call.sequence = message.sequence;
    const std::string* header = find(message.fields, wire::call_header);
    if (!header)
        return unreadable("header Sluice-Call is missing");
    if (auto read = read_call_header(*header, call); !read)
        return read.error();
    const std::string* id = find(message.fields, "Nats-Msg-Id");
    if (!id || id->empty())
        return unreadable("header Nats-Msg-Id is missing");
    call.id_hash = hash_id(*id);
    if (const std::string* url = find(message.fields, wire::callback_header))
        call.callback_url = *url;
    call.payload = std::make_shared<const std::string>(std::move(message.payload));
    if (!find_boundaries(call))
        return unreadable("the payload is no HTTP request");
    return call;
}

std::string_view method_of(const std::string& payload) noexcept { return std::string_view(payload).substr(0, payload.find(' ')); }

std::string_view target_of(const std::string& payload) noexcept
{
    // Neither a target nor a method contains a space: what follows the second one is the protocol's version.
    auto begin = payload.find(' ') + 1;
    auto rest = std::string_view(payload).substr(begin, payload.find("\r\n") - begin);
    return rest.substr(0, rest.find(' '));
}

std::string_view field_of(std::string_view lines, std::string_view name) noexcept
{
    while (!lines.empty()) {
        auto end = lines.find("\r\n");
        auto line = lines.substr(0, end);
        if (line.size() > name.size() && line[name.size()] == ':' && same_name(line.substr(0, name.size()), name)) {
            auto value = line.substr(name.size() + 1);
            while (!value.empty() && value.front() == ' ')
                value.remove_prefix(1);
            return value;
        }
        if (end == std::string_view::npos)
            break;
        lines.remove_prefix(end + 2);
    }
    return {};
}

std::string_view call_id_of(const invocation& call) noexcept
{
    return field_of(std::string_view(*call.payload).substr(call.fields_at, call.body_at - 2 - call.fields_at), "X-Call-Id");
}

std::uint64_t hash_id(std::string_view id) noexcept
{
    std::uint64_t hash = 14695981039346656037ull;
    for (unsigned char c : id) {
        hash ^= c;
        hash *= 1099511628211ull;
    }
    return hash;
}

}
