#include "core/watchdog_config.hpp"

#include <gtest/gtest.h>

namespace sluice::core {

namespace {

using std::chrono::milliseconds;

watchdog_config read(string_map environment)
{
    environment.try_emplace("fprocess", "cat");
    return read_watchdog_config(environment);
}

std::string complaint(const string_map& environment)
{
    try {
        read_watchdog_config(environment);
    } catch (const config::error& wrong) {
        return wrong.what();
    }
    return {};
}

}

TEST(watchdog_config, defaults_are_those_of_the_classic_watchdog)
{
    const auto config = read({});
    EXPECT_EQ(config.mode, watchdog_config::run_mode::classic);
    EXPECT_EQ(config.exec_timeout, milliseconds(0));
    EXPECT_EQ(config.write_timeout, milliseconds(30'000));
    EXPECT_EQ(config.healthcheck_interval, milliseconds(30'000));
    EXPECT_EQ(config.port, 8080);
    EXPECT_TRUE(config.cgi_headers && config.combine_output && config.prefix_logs);
}

TEST(watchdog_config, http_mode_has_the_defaults_of_of_watchdog)
{
    const auto config = read({{"mode", "http"}, {"write_timeout", "5"}});
    EXPECT_EQ(config.mode, watchdog_config::run_mode::http);
    EXPECT_EQ(config.exec_timeout, milliseconds(30'000));
    EXPECT_EQ(config.healthcheck_interval, milliseconds(5'000));
    EXPECT_FALSE(config.upstream_given);
}

TEST(watchdog_config, the_command_is_split_at_each_single_space)
{
    EXPECT_EQ(read({{"fprocess", "sh -c  'a b'"}}).command, (std::vector<std::string>{"sh", "-c", "", "'a", "b'"}));
    EXPECT_EQ(read({{"fprocess", "one"}, {"function_process", "two"}}).command, (std::vector<std::string>{"two"}));
}

TEST(watchdog_config, an_upstream_is_taken_apart)
{
    const auto config = read({{"mode", "http"}, {"upstream_url", "http://localhost:5000/base/"}});
    EXPECT_TRUE(config.upstream_given);
    EXPECT_EQ(config.upstream_host, "127.0.0.1");
    EXPECT_EQ(config.upstream_port, 5000);
    EXPECT_EQ(config.upstream_prefix, "/base");
    EXPECT_EQ(parse_http_address("http://[::1]:81").host, "::1");
    EXPECT_EQ(parse_http_address("http://10.0.0.1").port, 80);
    for (const char* wrong : {"https://127.0.0.1", "http://example.com", "http://127.0.0.1:0", "http://127.0.0.1:99999",
                              "http://127.0.0.1:x", "http://", "http://[::1", "127.0.0.1:80", "http://u@127.0.0.1"})
        EXPECT_THROW(parse_http_address(wrong), std::invalid_argument) << wrong;
}

TEST(watchdog_config, a_wrong_value_is_named)
{
    const struct {
        const char *name, *value;
    } wrong[] = {
        {"mode", "streaming"},    {"mode", "inproc"},       {"max_inflight", "-1"},      {"max_inflight", "many"},
        {"exec_timeout", "soon"}, {"exec_timeout", "25h"},  {"write_timeout", "0"},      {"read_timeout", "0"},
        {"port", "65536"},        {"cgi_headers", "yes"},   {"combine_output", "1"},     {"ready_path", "ready"},
        {"ready_path", "/a b"},   {"log_buffer_size", "1"}, {"marshal_request", "true"}, {"jwt_auth", "true"},
    };
    for (const auto& each : wrong) {
        const auto said = complaint({{"fprocess", "cat"}, {each.name, each.value}});
        EXPECT_TRUE(said.starts_with(std::string(each.name) + ": '" + each.value)) << each.name << '=' << each.value << " said " << said;
    }
    EXPECT_TRUE(complaint({{"fprocess", "cat"}, {"mode", "http"}, {"upstream_url", "http://name"}}).starts_with("upstream_url: "));
    EXPECT_TRUE(complaint({}).starts_with("fprocess: "));
    EXPECT_TRUE(complaint({{"fprocess", " cat"}}).starts_with("fprocess: "));
}

TEST(watchdog_config, log_buffer_size_minus_one_is_the_bound)
{
    EXPECT_EQ(read({{"log_buffer_size", "-1"}}).log_line_bytes_max, 1024U * 1024U);
}

}
