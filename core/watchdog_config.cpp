#include "core/watchdog_config.hpp"

#include <charconv>
#include <stdexcept>

namespace sluice::core {

namespace {

using std::chrono::milliseconds;
constexpr milliseconds timeout_max = std::chrono::hours(24);
constexpr std::uint32_t log_line_bytes_limit = 1024 * 1024;

const std::string* value_of(const string_map& environment, const char* name)
{
    const auto at = environment.find(name);
    return at == environment.end() || at->second.empty() ? nullptr : &at->second;
}

[[noreturn]] void refuse(const char* name, std::string_view value, const std::string& allowed)
{
    throw config::error(std::string(name) + ": '" + std::string(value) + "' is not allowed: " + allowed);
}

milliseconds duration_of(const string_map& environment, const char* name, milliseconds otherwise)
{
    const std::string* value = value_of(environment, name);
    if (!value)
        return otherwise;
    milliseconds parsed;
    try {
        parsed = config::parse_duration(*value);
    } catch (const std::invalid_argument&) {
        refuse(name, *value, "a Go duration such as 1m30s, or whole seconds");
    }
    if (parsed < milliseconds(0) || parsed > timeout_max)
        refuse(name, *value, "0 to 24h");
    return parsed;
}

std::uint32_t number_of(const string_map& environment, const char* name, std::uint32_t otherwise, std::uint32_t max)
{
    const std::string* value = value_of(environment, name);
    if (!value)
        return otherwise;
    std::uint32_t number = 0;
    const char* end = value->data() + value->size();
    const auto parsed = std::from_chars(value->data(), end, number);
    if (parsed.ec != std::errc{} || parsed.ptr != end || number > max)
        refuse(name, *value, "a whole number from 0 to " + std::to_string(max));
    return number;
}

bool flag_of(const string_map& environment, const char* name, bool otherwise)
{
    const std::string* value = value_of(environment, name);
    if (!value)
        return otherwise;
    if (*value != "true" && *value != "false")
        refuse(name, *value, "true or false");
    return *value == "true";
}

// The later name wins where both are set, as in of-watchdog.
const std::string* either_of(const string_map& environment, const char* first, const char* second)
{
    const std::string* value = value_of(environment, second);
    return value ? value : value_of(environment, first);
}

watchdog_config::run_mode mode_of(const string_map& environment)
{
    const std::string* value = value_of(environment, "mode");
    if (!value || *value == "classic")
        return watchdog_config::run_mode::classic;
    if (*value == "http")
        return watchdog_config::run_mode::http;
    refuse("mode", *value, "this release has the modes classic and http");
}

std::vector<std::string> command_of(const string_map& environment)
{
    const std::string* text = either_of(environment, "fprocess", "function_process");
    if (!text)
        throw config::error("fprocess: must be set to the function's command");
    std::vector<std::string> words;
    for (std::size_t from = 0;;) {
        const auto space = text->find(' ', from);
        words.push_back(text->substr(from, space == text->npos ? text->npos : space - from));
        if (space == text->npos)
            break;
        from = space + 1;
    }
    if (words.front().empty())
        refuse("fprocess", *text, "a command that does not start with a space");
    return words;
}

void refuse_unsupported(const string_map& environment)
{
    for (const char* name : {"marshal_request", "jwt_auth"})
        if (flag_of(environment, name, false))
            refuse(name, "true", "this release does not support it");
}

}

http_address parse_http_address(std::string_view url)
{
    constexpr std::string_view scheme = "http://";
    const auto invalid = [] { return std::invalid_argument("http://HOST:PORT with a numeric host or localhost"); };
    if (!url.starts_with(scheme))
        throw invalid();
    url.remove_prefix(scheme.size());
    http_address address;
    const auto slash = url.find('/');
    std::string_view authority = url.substr(0, slash);
    if (slash != url.npos)
        address.prefix = url.substr(slash);
    while (address.prefix.ends_with('/'))
        address.prefix.pop_back();
    std::string_view port;
    if (authority.starts_with('[')) {
        const auto close = authority.find(']');
        if (close == authority.npos)
            throw invalid();
        port = authority.substr(close + 1);
        authority = authority.substr(1, close - 1);
    } else {
        const auto colon = authority.find(':');
        port = colon == authority.npos ? std::string_view{} : authority.substr(colon);
        authority = authority.substr(0, colon);
    }
    if (!port.empty()) {
        const auto parsed = std::from_chars(port.data() + 1, port.data() + port.size(), address.port);
        if (port.front() != ':' || parsed.ec != std::errc{} || parsed.ptr != port.data() + port.size() || address.port == 0)
            throw invalid();
    }
    address.host = authority == "localhost" ? "127.0.0.1" : authority;
    if (address.host.empty() || address.host.find_first_not_of("0123456789abcdefABCDEF.:") != std::string::npos
        || address.host.find_first_of(".:") == std::string::npos)
        throw invalid();
    return address;
}

watchdog_config read_watchdog_config(const string_map& environment)
{
    refuse_unsupported(environment);
    watchdog_config read;
    read.mode = mode_of(environment);
    const bool http = read.mode == watchdog_config::run_mode::http;
    read.command = command_of(environment);
    if (const std::string* url = either_of(environment, "upstream_url", "http_upstream_url"); url && http) {
        try {
            auto address = parse_http_address(*url);
            read.upstream_given = true;
            read.upstream_host = std::move(address.host);
            read.upstream_port = address.port;
            read.upstream_prefix = std::move(address.prefix);
        } catch (const std::invalid_argument& allowed) {
            refuse("upstream_url", *url, allowed.what());
        }
    }
    read.port = static_cast<std::uint16_t>(number_of(environment, "port", read.port, 65535));
    read.max_inflight = number_of(environment, "max_inflight", 0, 1'000'000);
    read.exec_timeout = duration_of(environment, "exec_timeout", milliseconds(http ? 30'000 : 0));
    read.read_timeout = duration_of(environment, "read_timeout", read.read_timeout);
    read.write_timeout = duration_of(environment, "write_timeout", read.write_timeout);
    if (read.read_timeout.count() == 0 || read.write_timeout.count() == 0)
        refuse(read.read_timeout.count() == 0 ? "read_timeout" : "write_timeout", "0", "more than 0");
    read.healthcheck_interval = duration_of(environment, "healthcheck_interval", read.write_timeout);
    read.cgi_headers = flag_of(environment, "cgi_headers", true);
    read.combine_output = flag_of(environment, "combine_output", true);
    read.prefix_logs = flag_of(environment, "prefix_logs", true);
    const std::string* log_buffer = value_of(environment, "log_buffer_size");
    if (log_buffer && *log_buffer == "-1") // unlimited in of-watchdog; here everything has a bound
        read.log_line_bytes_max = log_line_bytes_limit;
    else
        read.log_line_bytes_max = number_of(environment, "log_buffer_size", read.log_line_bytes_max, log_line_bytes_limit);
    if (read.log_line_bytes_max < 256)
        refuse("log_buffer_size", std::to_string(read.log_line_bytes_max), "256 to 1048576 bytes, or -1");
    if (const std::string* type = value_of(environment, "content_type"))
        read.content_type = *type;
    if (const std::string* path = value_of(environment, "ready_path")) {
        read.ready_path = *path;
        if (read.ready_path.front() != '/' || read.ready_path.find_first_of(" \r\n") != std::string::npos)
            refuse("ready_path", *path, "a path that starts with '/'");
    }
    return read;
}

}
