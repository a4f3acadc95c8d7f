#include "adapters/log/log.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <array>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace sluice {

namespace {

// spdlog calls it "warning"; the configuration says "warn", and so does the line.
class level_word final : public spdlog::custom_flag_formatter {
public:
    void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& into) override
    {
        const auto name = spdlog::level::to_string_view(message.level);
        const std::string_view word = message.level == spdlog::level::warn ? "warn" : std::string_view(name.data(), name.size());
        into.append(word.data(), word.data() + word.size());
    }
    std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<level_word>(); }
};

// A value that came over the network cannot begin a line of its own, nor move the cursor of who reads it.
class one_line final : public spdlog::custom_flag_formatter {
public:
    void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& into) override
    {
        constexpr std::string_view digits = "0123456789abcdef";
        for (const char byte : message.payload) {
            const auto value = static_cast<unsigned char>(byte);
            if (value >= 0x20 && value != 0x7f) {
                into.push_back(byte);
                continue;
            }
            const std::array<char, 4> escaped{'\\', 'x', digits[value >> 4], digits[value & 15]};
            into.append(escaped.data(), escaped.data() + escaped.size());
        }
    }
    std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<one_line>(); }
};

std::unique_ptr<spdlog::formatter> line_format()
{
    auto format = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
    format->add_flag<level_word>('L').add_flag<one_line>('v').set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %L [%n] %v");
    return format;
}

spdlog::level::level_enum parse_level(const std::string& level)
{
    constexpr std::array<std::pair<std::string_view, spdlog::level::level_enum>, 4> levels{{
        {"debug", spdlog::level::debug},
        {"info", spdlog::level::info},
        {"warn", spdlog::level::warn},
        {"error", spdlog::level::err},
    }};
    for (const auto& [word, value] : levels)
        if (word == level)
            return value;
    throw std::invalid_argument("log_level: \"" + level + "\" is none of debug, info, warn, error");
}

}

std::shared_ptr<logger> make_logger(const std::string& role, const std::string& level)
{
    auto made = std::make_shared<logger>(role, std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_level(parse_level(level));
    made->set_formatter(line_format());
    return made;
}

}
