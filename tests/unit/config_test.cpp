#include "core/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace sluice;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

struct values {
    std::string listen = "127.0.0.1:8080";
    bool dev = false;
    std::uint64_t big = 7;
    std::uint32_t partitions = 4;
    std::uint16_t port = 80;
    std::uint64_t body_bytes_max = 1 << 20;
    std::chrono::milliseconds drain_deadline{30'000};
    std::vector<std::string> allow{"127.0.0.0/8"};
    std::string log_level = "info";
};

void fill(config::table& table, values& v)
{
    table.text("listen", "Address to listen on.", v.listen);
    table.flag("dev", "Development mode.", v.dev);
    table.number("big", "A big number.", v.big, std::uint64_t{0}, std::uint64_t{1} << 40);
    table.number("partitions", "Partitions.", v.partitions, 1u, 64u);
    table.number("port", "A port.", v.port, std::uint16_t{0}, std::uint16_t{65535});
    table.bytes("body_bytes_max", "Largest body.", v.body_bytes_max, 1024, 64 << 20);
    table.duration("drain_deadline", "Time to finish.", v.drain_deadline, 0ms, 600'000ms);
    table.list("allow", "Allowed a|b.", v.allow);
    table.choice("log_level", "Level.", v.log_level, {"debug", "info"});
}

struct config_test : testing::Test {
    values v;
    config::table table;
    config::table::sources from;

    config_test()
    {
        fill(table, v);
        from.file_name = "test.conf";
    }
    std::string message_of_read()
    {
        try {
            table.read(from);
        } catch (const config::error& wrong) {
            return wrong.what();
        }
        return {};
    }
};

}

TEST_F(config_test, keeps_defaults_without_sources)
{
    EXPECT_TRUE(table.read(from).empty());
    EXPECT_EQ(v.listen, "127.0.0.1:8080");
    EXPECT_EQ(v.partitions, 4u);
    EXPECT_THAT(v.allow, ElementsAre("127.0.0.0/8"));
}

TEST_F(config_test, reads_each_kind_from_arguments)
{
    from.arguments = {"first",
                      "--listen",
                      "0.0.0.0:1",
                      "--dev",
                      "--big=12",
                      "--partitions",
                      "8",
                      "--port=443",
                      "--body-bytes-max",
                      "2MiB",
                      "--drain-deadline=1m30s",
                      "--allow",
                      "a,b",
                      "--allow=c; d\\;e;f",
                      "--log-level",
                      "debug",
                      "--",
                      "--last"};
    EXPECT_THAT(table.read(from), ElementsAre("first", "--last"));
    EXPECT_EQ(v.listen, "0.0.0.0:1");
    EXPECT_TRUE(v.dev);
    EXPECT_EQ(v.big, 12u);
    EXPECT_EQ(v.partitions, 8u);
    EXPECT_EQ(v.port, 443);
    EXPECT_EQ(v.body_bytes_max, 2u << 20);
    EXPECT_EQ(v.drain_deadline, 90s);
    EXPECT_THAT(v.allow, ElementsAre("a,b", "c", "d;e", "f")); // split as everywhere, and added up
    EXPECT_EQ(v.log_level, "debug");
}

TEST_F(config_test, reads_file_and_environment)
{
    from.file_text = "# comment\n\n listen = 10.0.0.1:80 \r\nallow = x; y\\;z\nbody_bytes_max=4KiB\nlog_level = \"debug\"\ndev = true";
    from.environment = {{"SLUICE_PARTITIONS", "2"}, {"PATH", "/bin"}, {"SLUICE_DRAIN_DEADLINE", "5"}, {"SLUICE_CONFIG", "test.conf"}};
    table.read(from);
    EXPECT_EQ(v.listen, "10.0.0.1:80");
    EXPECT_THAT(v.allow, ElementsAre("x", "y;z"));
    EXPECT_EQ(v.body_bytes_max, 4096u);
    EXPECT_EQ(v.partitions, 2u);
    EXPECT_EQ(v.drain_deadline, 5s);
    EXPECT_EQ(v.log_level, "debug");
    EXPECT_TRUE(v.dev);
}

TEST_F(config_test, a_flag_beats_the_environment_which_beats_the_file)
{
    from.file_text = "partitions = 1\nport = 1\nbig = 1\nallow = one;two";
    from.environment = {{"SLUICE_PARTITIONS", "2"}, {"SLUICE_PORT", "2"}, {"SLUICE_ALLOW", "three"}};
    from.arguments = {"--partitions", "3"};
    table.read(from);
    EXPECT_EQ(v.partitions, 3u);
    EXPECT_EQ(v.port, 2);
    EXPECT_EQ(v.big, 1u);
    EXPECT_THAT(v.allow, ElementsAre("three"));
}

TEST_F(config_test, the_last_of_two_equal_flags_counts)
{
    from.arguments = {"--dev", "--dev=false", "--port", "1", "--port", "2"};
    table.read(from);
    EXPECT_FALSE(v.dev);
    EXPECT_EQ(v.port, 2);
}

TEST_F(config_test, names_source_and_key_of_what_is_unknown)
{
    from.arguments = {"--lisen", "x"};
    EXPECT_THAT(message_of_read(), testing::AllOf(HasSubstr("flag --lisen"), HasSubstr("unknown")));
    from.arguments = {"--body_bytes_max", "1024"};
    EXPECT_THAT(message_of_read(), HasSubstr("flag --body_bytes_max"));
    from.arguments = {"-x"};
    EXPECT_THAT(message_of_read(), HasSubstr("flag -x"));
    from.arguments.clear();
    from.environment = {{"SLUICE_LISEN", "x"}};
    EXPECT_THAT(message_of_read(), HasSubstr("environment variable SLUICE_LISEN"));
    from.environment = {{"SLUICE_listen", "x"}};
    EXPECT_THAT(message_of_read(), HasSubstr("environment variable SLUICE_listen"));
    from.environment.clear();
    from.file_text = "\nlisen = x";
    EXPECT_THAT(message_of_read(), HasSubstr("file test.conf line 2, key \"lisen\""));
    from.file_text = "listen";
    EXPECT_THAT(message_of_read(), HasSubstr("file test.conf line 1"));
    from.file_text = "port = 1\nport = 2";
    EXPECT_THAT(message_of_read(), testing::AllOf(HasSubstr("line 2, key port"), HasSubstr("twice")));
}

TEST_F(config_test, refuses_values_beyond_their_bounds)
{
    const std::pair<const char*, const char*> wrong[] = {{"partitions", "0"},
                                                         {"partitions", "65"},
                                                         {"partitions", "4294967297"},
                                                         {"partitions", "-1"},
                                                         {"partitions", ""},
                                                         {"port", "65536"},
                                                         {"port", "1x"},
                                                         {"body_bytes_max", "1023"},
                                                         {"body_bytes_max", "1GiB"},
                                                         {"drain_deadline", "11m"},
                                                         {"drain_deadline", "1d"},
                                                         {"log_level", "loud"},
                                                         {"dev", "yes"},
                                                         {"listen",
                                                          "a\x01"
                                                          "b"}};
    for (auto [key, value] : wrong) {
        SCOPED_TRACE(std::string(key) + "=" + value);
        from.environment.clear();
        from.file_text = std::string(key) + " = " + value;
        EXPECT_THAT(message_of_read(), testing::AllOf(HasSubstr("key " + std::string(key)), HasSubstr("line 1")));
        EXPECT_EQ(v.partitions, 4u);
        EXPECT_EQ(v.listen, "127.0.0.1:8080");
    }
    from.file_text = "partitions = 65";
    EXPECT_THAT(message_of_read(), testing::AllOf(HasSubstr("\"65\""), HasSubstr("between 1 and 64")));
}

TEST_F(config_test, a_flag_without_its_value_is_an_error)
{
    from.arguments = {"--listen"};
    EXPECT_THAT(message_of_read(), HasSubstr("--listen: needs a value"));
    from.arguments = {"--listen", "--dev"};
    EXPECT_THAT(message_of_read(), HasSubstr("--listen: needs a value"));
}

TEST_F(config_test, what_is_printed_is_a_file_that_gives_the_same_values)
{
    from.arguments = {"--listen", " outer blanks ", "--dev", "--allow", "a,b\\c", "--allow", "d"};
    from.arguments.insert(from.arguments.end(), {"--body-bytes-max", "1500", "--drain-deadline", "2m3s4ms"});
    table.read(from);
    const auto printed = table.print();

    values again;
    config::table other;
    fill(other, again);
    other.read({{}, {}, printed, "printed"});
    EXPECT_EQ(again.listen, " outer blanks ");
    EXPECT_THAT(again.allow, ElementsAre("a,b\\c", "d"));
    EXPECT_EQ(again.body_bytes_max, 1500u);
    EXPECT_EQ(again.drain_deadline, 123'004ms);
    EXPECT_EQ(other.print(), printed);
}

TEST_F(config_test, a_list_is_read_alike_from_every_source_as_it_is_printed)
{
    const std::vector<std::string> wanted{"name=http://h:1,max_inflight=2", "a;b", "c\\"};
    const auto text = config::join_list(wanted);
    from.arguments = {"--allow", text};
    table.read(from);
    EXPECT_EQ(v.allow, wanted);
    EXPECT_THAT(table.print(), HasSubstr("allow = " + text + '\n'));
    from.arguments = {"--allow", "name=http://h:1,max_inflight=2", "--allow", "a\\;b", "--allow", "c\\"};
    table.read(from);
    EXPECT_EQ(v.allow, wanted);
    from.arguments.clear();
    v.allow.clear();
    from.environment = {{"SLUICE_ALLOW", text}};
    table.read(from);
    EXPECT_EQ(v.allow, wanted);
    from.environment.clear();
    v.allow.clear();
    from.file_text = "allow = " + text;
    table.read(from);
    EXPECT_EQ(v.allow, wanted);
}

TEST_F(config_test, a_check_is_asked_about_each_value_whatever_its_source)
{
    std::string name;
    std::vector<std::string> many;
    const auto only_x = [](const std::string& text) {
        if (text != "x")
            throw std::invalid_argument("is no x");
    };
    table.text("name", "A name.", name, only_x);
    table.list("many", "Names.", many, only_x);
    from.arguments = {"--name", "y"};
    EXPECT_EQ(message_of_read(), "flag --name: \"y\" is no x");
    from.arguments = {"--name="};
    EXPECT_EQ(message_of_read(), "") << "nothing given";
    std::string always = "x";
    table.text("always", "Never empty.", always, only_x);
    from.arguments = {"--always="};
    EXPECT_EQ(message_of_read(), "flag --always: \"\" is no x");
    from.arguments.clear();
    from.environment = {{"SLUICE_MANY", "x;z"}};
    EXPECT_EQ(message_of_read(), "environment variable SLUICE_MANY: \"x;z\" has the item \"z\", which is no x");
    from.environment.clear();
    from.file_text = "many = z";
    EXPECT_EQ(message_of_read(), "file test.conf line 1, key many: \"z\" is no x");
}

TEST_F(config_test, help_and_documentation_name_key_bounds_and_default)
{
    EXPECT_THAT(table.help(),
                testing::AllOf(HasSubstr("--body-bytes-max <bytes>"), HasSubstr("SLUICE_BODY_BYTES_MAX"), HasSubstr("default: 1MiB"),
                               HasSubstr("1KiB to 64MiB"), HasSubstr("--config <file>")));
    EXPECT_THAT(table.markdown(),
                HasSubstr("| `drain_deadline` | `--drain-deadline` | `SLUICE_DRAIN_DEADLINE` | `30s` | 0s to 10m | Time to finish. |\n"));
    EXPECT_THAT(table.markdown(), HasSubstr("Allowed a\\|b."));
}

TEST_F(config_test, finds_the_file_and_the_wishes_among_the_arguments)
{
    EXPECT_EQ(config::table::file_of({"--dev", "--config", "a"}, {{"SLUICE_CONFIG", "b"}}), "a");
    EXPECT_EQ(config::table::file_of({"--config=a"}, {}), "a");
    EXPECT_EQ(config::table::file_of({"--", "--config=a"}, {{"SLUICE_CONFIG", "b"}}), "b");
    EXPECT_EQ(config::table::file_of({}, {}), "");
    EXPECT_THROW(config::table::file_of({"--config"}, {}), config::error);
    from.arguments = {"--config", "a", "--config=b", "--help", "--print-config", "word"};
    EXPECT_THAT(table.read(from), ElementsAre("word"));
    EXPECT_TRUE(config::table::wants(from.arguments).help);
    EXPECT_TRUE(config::table::wants(from.arguments).print_config);
    EXPECT_FALSE(config::table::wants({"--", "--help"}).help);
}

TEST(config_values_test, durations_are_read_as_go_writes_them)
{
    EXPECT_EQ(config::parse_duration("90"), 90s);
    EXPECT_EQ(config::parse_duration("0"), 0s);
    EXPECT_EQ(config::parse_duration("250ms"), 250ms);
    EXPECT_EQ(config::parse_duration("1m30s"), 90s);
    EXPECT_EQ(config::parse_duration("1.5h"), 90min);
    EXPECT_EQ(config::parse_duration("2000us"), 2ms);
    EXPECT_EQ(config::parse_duration("1h0m0s"), 1h);
    for (auto wrong :
         {"", "-1s", "s", "1d", "1.2.3s", "1s1", "100us", "99999999999h", "99999999999999999999", ".s", "1 s", "0.0000000001s"})
        EXPECT_THROW(config::parse_duration(wrong), std::invalid_argument) << wrong;
    for (auto ms : {0ms, 1ms, 999ms, 1000ms, 1500ms, 60'000ms, 3'600'000ms, 90'061'001ms})
        EXPECT_EQ(config::parse_duration(config::format_duration(ms)), ms) << config::format_duration(ms);
    EXPECT_EQ(config::format_duration(90s), "1m30s");
}

TEST(config_values_test, bytes_have_binary_and_decimal_suffixes)
{
    EXPECT_EQ(config::parse_bytes("1048576"), 1u << 20);
    EXPECT_EQ(config::parse_bytes("1KiB"), 1024u);
    EXPECT_EQ(config::parse_bytes("8MiB"), 8u << 20);
    EXPECT_EQ(config::parse_bytes("2GiB"), 2ull << 30);
    EXPECT_EQ(config::parse_bytes("1MB"), 1'000'000u);
    for (auto wrong : {"", "MiB", "1mib", "-1", "1.5MiB", "99999999999999999999", "17179869184GiB", "1 MiB"})
        EXPECT_THROW(config::parse_bytes(wrong), std::invalid_argument) << wrong;
}
