#include "gateway/rest.hpp"

#include <algorithm>

namespace sluice::gateway {

namespace {

constexpr std::uint32_t retry_s = 1;

unsigned hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return static_cast<unsigned>(c - '0');
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? static_cast<unsigned>(lower - 'a' + 10) : 16;
}

}

http_response invalid_answer(std::string_view what, const core::field_error& wrong)
{
    return text_answer(400, std::string(what) + ": field " + wrong.field + ' ' + wrong.message);
}

http_response store_failure(const boost::system::error_code& failure)
{
    if (failure == log_errc::too_large)
        return text_answer(413, "it is too large to be stored: " + failure.message());
    if (failure == log_errc::full)
        return text_answer(507, "it cannot be stored: " + failure.message());
    return unavailable("the store does not answer: " + failure.message(), retry_s);
}

http_response not_known(std::string_view why) { return unavailable(why, retry_s); }

std::string query_value(std::string_view query, std::string_view key)
{
    while (!query.empty()) {
        const auto end = std::min(query.find('&'), query.size());
        const auto pair = query.substr(0, end);
        query.remove_prefix(std::min(end + 1, query.size()));
        const auto equals = std::min(pair.find('='), pair.size());
        if (pair.substr(0, equals) != key)
            continue;
        std::string value;
        for (auto rest = pair.substr(std::min(equals + 1, pair.size())); !rest.empty(); rest.remove_prefix(1)) {
            if (rest.size() > 2 && rest[0] == '%' && hex_digit(rest[1]) < 16 && hex_digit(rest[2]) < 16) {
                value.push_back(static_cast<char>(hex_digit(rest[1]) * 16 + hex_digit(rest[2])));
                rest.remove_prefix(2);
            } else {
                value.push_back(rest[0] == '+' ? ' ' : rest[0]);
            }
        }
        return value;
    }
    return {};
}

}
