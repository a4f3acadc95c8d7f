#include "core/json_fields.hpp"

#include <boost/json/parse.hpp>
#include <limits>

namespace sluice::core {

json_fields::json_fields(const boost::json::object& object, std::string prefix, std::optional<field_error>& wrong)
    : object_(object), prefix_(std::move(prefix)), wrong_(wrong)
{}

const boost::json::value* json_fields::find(std::string_view key) const
{
    const auto* value = object_.if_contains(key);
    return value && !value->is_null() ? value : nullptr;
}

void json_fields::fail(std::string_view key, std::string message)
{
    if (!wrong_)
        wrong_ = field_error{prefix_ + std::string(key), std::move(message)};
}

bool json_fields::take(std::string_view name, const boost::json::value& value, std::string& into, std::size_t bytes_max)
{
    const auto* text = value.if_string();
    if (!text)
        return fail(name, "must be a string"), false;
    if (text->size() > bytes_max)
        return fail(name, "is longer than " + std::to_string(bytes_max) + " bytes"), false;
    // No environment, file name, header field or log line can carry it.
    if (std::string_view(*text).find('\0') != std::string_view::npos)
        return fail(name, "contains a NUL character"), false;
    into.assign(text->data(), text->size());
    return true;
}

void json_fields::text(std::string_view key, std::string& into, std::size_t bytes_max)
{
    if (const auto* value = find(key))
        take(key, *value, into, bytes_max);
}

void json_fields::flag(std::string_view key, bool& into)
{
    const auto* value = find(key);
    if (value && !value->is_bool())
        fail(key, "must be true or false");
    else if (value)
        into = value->get_bool();
}

void json_fields::number(std::string_view key, std::uint32_t& into, std::uint32_t max)
{
    const auto* value = find(key);
    if (!value)
        return;
    const auto* number = value->if_int64();
    if (!number || *number < 0 || *number > max)
        return fail(key, "must be a whole number from 0 to " + std::to_string(max));
    into = static_cast<std::uint32_t>(*number);
}

void json_fields::map(std::string_view key, string_map& into, std::size_t entries_max, std::size_t bytes_max)
{
    const auto* from = object(key);
    if (!from)
        return;
    if (from->size() > entries_max)
        return fail(key, "has more than " + std::to_string(entries_max) + " entries");
    for (const auto& [name, value] : *from) {
        const std::string_view given(name.data(), name.size());
        if (given.empty() || given.size() > 1024 || given.find('\0') != given.npos)
            return fail(key, "has a name that is empty, longer than 1024 bytes or contains a NUL character");
        std::string text;
        if (!take(std::string(key) + '.' + std::string(given), value, text, bytes_max))
            return;
        into.insert_or_assign(std::string(given), std::move(text));
    }
}

void json_fields::list(std::string_view key, std::vector<std::string>& into, std::size_t entries_max, std::size_t bytes_max)
{
    const auto* from = array(key, entries_max);
    if (!from)
        return;
    for (const auto& value : *from) {
        std::string text;
        if (!take(std::string(key) + '[' + std::to_string(into.size()) + ']', value, text, bytes_max))
            return;
        into.push_back(std::move(text));
    }
}

const boost::json::object* json_fields::object(std::string_view key)
{
    const auto* value = find(key);
    if (value && !value->is_object())
        fail(key, "must be an object");
    return value ? value->if_object() : nullptr;
}

const boost::json::array* json_fields::array(std::string_view key, std::size_t entries_max)
{
    const auto* value = find(key);
    if (value && !value->is_array())
        fail(key, "must be an array");
    const auto* from = value ? value->if_array() : nullptr;
    if (from && from->size() > entries_max) {
        fail(key, "has more than " + std::to_string(entries_max) + " entries");
        return nullptr;
    }
    return from;
}

std::optional<boost::json::object> parse_object(std::string_view json, std::optional<field_error>& wrong)
{
    boost::system::error_code failure;
    auto value = boost::json::parse(json, failure);
    if (failure)
        wrong = field_error{"body", "is no valid JSON: " + failure.message()};
    else if (!value.is_object())
        wrong = field_error{"body", "must be a JSON object"};
    if (wrong)
        return std::nullopt;
    return std::move(value.get_object());
}

}
