#include "core/config_text.hpp"

#include "core/config.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

namespace sluice::config {

std::string quoted(std::string_view text) { return '"' + std::string(text) + '"'; }

std::string_view trimmed(std::string_view text)
{
    constexpr std::string_view blank = " \t\r";
    const auto begin = text.find_first_not_of(blank);
    if (begin == text.npos)
        return {};
    return text.substr(begin, text.find_last_not_of(blank) - begin + 1);
}

std::string_view unquoted(std::string_view value)
{
    return value.size() >= 2 && value.front() == '"' && value.back() == '"' ? value.substr(1, value.size() - 2) : value;
}

std::string flag_of(std::string_view key)
{
    std::string flag = "--" + std::string(key);
    std::replace(flag.begin(), flag.end(), '_', '-');
    return flag;
}

std::string variable_of(std::string_view key)
{
    std::string variable = "SLUICE_";
    for (char c : key)
        variable.push_back(c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c);
    return variable;
}

std::string format_bytes(std::uint64_t value)
{
    static constexpr std::pair<std::uint64_t, const char*> units[] = {
        {1ull << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}};
    for (auto [unit, suffix] : units)
        if (value != 0 && value % unit == 0)
            return std::to_string(value / unit) + suffix;
    return std::to_string(value);
}

std::vector<std::string> split_list(std::string_view text)
{
    std::vector<std::string> items;
    std::string item;
    auto finish = [&] {
        if (auto word = trimmed(item); !word.empty())
            items.emplace_back(word);
        item.clear();
    };
    for (std::size_t i = 0; i < text.size(); ++i)
        if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == ';' || text[i + 1] == '\\'))
            item.push_back(text[++i]);
        else if (text[i] == ';')
            finish();
        else
            item.push_back(text[i]);
    finish();
    return items;
}

namespace {

std::string escaped_item(std::string_view item)
{
    std::string text;
    for (char c : item) {
        if (c == ';' || c == '\\')
            text.push_back('\\');
        text.push_back(c);
    }
    return text;
}

}

std::string join_list(const std::vector<std::string>& items)
{
    std::string text;
    for (const auto& item : items)
        text.append(text.empty() ? "" : ";").append(escaped_item(item));
    return text;
}

namespace {

std::uint64_t whole_seconds(std::string_view text)
{
    std::uint64_t seconds = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    constexpr std::uint64_t seconds_max = 9'000'000'000;
    if (failure != std::errc{} || seconds > seconds_max)
        throw std::invalid_argument("is out of range");
    return seconds;
}

std::uint64_t duration_unit_ns(std::string_view& text)
{
    static constexpr std::pair<std::string_view, std::uint64_t> units[] = {
        {"ns", 1}, {"us", 1'000}, {"µs", 1'000}, {"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"h", 3'600'000'000'000}};
    for (auto [suffix, ns] : units)
        if (text.substr(0, suffix.size()) == suffix) {
            text.remove_prefix(suffix.size());
            return ns;
        }
    throw std::invalid_argument("is no duration such as 1m30s or 250ms");
}

// Digits, with at most nine of them after a point, as a number scaled by 10^9.
std::uint64_t duration_number(std::string_view& text)
{
    constexpr std::uint64_t scale_max = 1'000'000'000;
    std::uint64_t value = 0, scale = 1;
    bool after_point = false, any = false;
    for (; !text.empty(); text.remove_prefix(1)) {
        const char c = text.front();
        if (c == '.' && !after_point) {
            after_point = true;
        } else if (c >= '0' && c <= '9') {
            if (value > 10'000'000 * scale_max || scale == scale_max)
                throw std::invalid_argument("is out of range");
            value = value * 10 + static_cast<std::uint64_t>(c - '0');
            scale *= after_point ? 10 : 1;
            any = true;
        } else {
            break;
        }
    }
    if (!any)
        throw std::invalid_argument("is no duration such as 1m30s or 250ms");
    if (value > std::numeric_limits<std::uint64_t>::max() / (scale_max / scale))
        throw std::invalid_argument("is out of range");
    return value * (scale_max / scale);
}

}

std::chrono::milliseconds parse_duration(std::string_view text)
{
    if (text.empty())
        throw std::invalid_argument("is no duration such as 1m30s or 250ms");
    if (text.find_first_not_of("0123456789") == text.npos)
        return std::chrono::seconds(whole_seconds(text));
    constexpr unsigned __int128 limit_ns = static_cast<unsigned __int128>(9'000'000'000) * 1'000'000'000;
    unsigned __int128 total_ns = 0;
    while (!text.empty()) {
        const unsigned __int128 number = duration_number(text);
        const unsigned __int128 scaled = number * duration_unit_ns(text);
        if (scaled % 1'000'000'000 != 0)
            throw std::invalid_argument("is finer than a nanosecond");
        total_ns += scaled / 1'000'000'000;
        if (total_ns > limit_ns)
            throw std::invalid_argument("is out of range");
    }
    if (total_ns % 1'000'000 != 0)
        throw std::invalid_argument("is no whole number of milliseconds");
    return std::chrono::milliseconds(static_cast<std::int64_t>(total_ns / 1'000'000));
}

std::string format_duration(std::chrono::milliseconds value)
{
    const auto ms = value.count();
    if (ms == 0)
        return "0s";
    std::string text;
    auto part = [&](std::int64_t count, const char* unit) {
        if (count != 0)
            text.append(std::to_string(count)).append(unit);
    };
    part(ms / 3'600'000, "h");
    part(ms / 60'000 % 60, "m");
    part(ms / 1000 % 60, "s");
    part(ms % 1000, "ms");
    return text;
}

std::uint64_t parse_bytes(std::string_view text)
{
    static constexpr std::pair<std::string_view, std::uint64_t> units[] = {
        {"", 1},       {"B", 1},          {"KiB", 1ull << 10},   {"MiB", 1ull << 20},       {"GiB", 1ull << 30}, {"TiB", 1ull << 40},
        {"KB", 1'000}, {"MB", 1'000'000}, {"GB", 1'000'000'000}, {"TB", 1'000'000'000'000},
    };
    const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
    for (auto [suffix, unit] : units)
        if (digits > 0 && text.substr(digits) == suffix) {
            std::uint64_t value = 0;
            const auto [end, failure] = std::from_chars(text.data(), text.data() + digits, value);
            if (failure != std::errc{} || value > std::numeric_limits<std::uint64_t>::max() / unit)
                throw std::invalid_argument("is out of range");
            return value * unit;
        }
    throw std::invalid_argument("is no number of bytes such as 1048576, 1MiB or 1MB");
}

}
