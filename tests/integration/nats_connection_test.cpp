#include "adapters/nats/config.hpp"
#include "adapters/nats/connection.hpp"
#include "tests/support/certificate.hpp"
#include "tests/support/loop_until.hpp"
#include "tests/support/nats_server.hpp"
#include "tests/support/temp_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

// Connecting, being refused, having nobody at the other end, and closing.
namespace sluice::test {

namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using opened_log = boost::system::result<std::unique_ptr<message_log>>;

std::string failure_of(const nats::connection_options& options)
{
    loop on;
    try {
        nats::connection connection(on, options);
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return "connected";
}

nats_server_options with_password()
{
    nats_server_options options;
    options.user = "sluice";
    options.password = "s3cret";
    return options;
}

}

TEST(nats_connection, says_what_it_is_connected_to)
{
    nats_server_options with;
    with.payload_bytes_max = 2 * 1024 * 1024;
    nats_server server(with);
    loop on;
    nats::connection_options options;
    options.url = server.url();
    nats::connection connection(on, options);
    EXPECT_TRUE(connection.connected());
    EXPECT_EQ(connection.payload_bytes_max(), with.payload_bytes_max);
    EXPECT_THAT(connection.server_version(), testing::MatchesRegex("[0-9]+\\.[0-9]+\\..*"));
    EXPECT_EQ(connection.reconnects(), 0u);
}

TEST(nats_connection, user_and_password_from_configuration)
{
    nats_server server(with_password());
    const auto password_file = server.folder() + "/password";
    std::ofstream(password_file) << "s3cret\n";
    nats::config config;
    config.url = server.url();
    config.user = "sluice";
    config.password_file = password_file;
    loop on;
    nats::connection connection(on, nats::to_options(config, "test"));
    EXPECT_TRUE(connection.connected());
    config.password_file = server.folder() + "/none";
    EXPECT_THAT([&] { nats::to_options(config, "test"); }, testing::ThrowsMessage<config::error>(HasSubstr("nats_password_file")));
}

TEST(nats_connection, a_wrong_password_is_told_at_once)
{
    nats_server server(with_password());
    nats::connection_options options;
    options.url = server.url();
    options.user = "sluice";
    options.password = "wrong";
    options.connect_deadline = 60s; // not waited for
    const auto failure = failure_of(options);
    EXPECT_THAT(failure, HasSubstr(server.url()));
    EXPECT_THAT(failure, HasSubstr("uthorization"));
    EXPECT_THAT(failure, testing::Not(HasSubstr("wrong")));
}

TEST(nats_connection, tls_with_a_certificate_that_is_trusted_and_none_without)
{
    std::string folder = (std::filesystem::temp_directory_path() / "sluice-tls-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    const std::shared_ptr<void> removed_at_the_end(nullptr, [&](void*) { std::filesystem::remove_all(folder); });
    nats_server_options with;
    with.certificate_file = folder + "/cert.pem";
    with.key_file = folder + "/key.pem";
    write_certificate(with.certificate_file, with.key_file);
    nats_server server(with);

    nats::connection_options options;
    options.url = server.url();
    options.connect_deadline = 1h; // not waited for
    EXPECT_THAT(failure_of(options), HasSubstr("certificate"));
    options.ca_file = with.certificate_file;
    loop on;
    nats::connection connection(on, options);
    auto log = std::move(wait_for<opened_log>(on, [&](auto done) { connection.open_log("LOG", "log", {}, done); }).value().value());
    std::size_t stored = 0;
    for (int i = 0; i < 200; ++i)
        log->append({{}, {}, std::string(10'000, 'x'), std::nullopt, 30s}, [&](const auto& result) { stored += result ? 1 : 0; });
    EXPECT_TRUE(loop_until(on, [&] { return stored == 200; }));
    std::size_t read = 0;
    const auto reader = log->read(1, [&](const log_message& message) { read += message.payload.size() == 10'000 ? 1 : 0; });
    EXPECT_TRUE(loop_until(on, [&] { return read == 200; }));
}

TEST(nats_connection, a_certificate_of_another_host_and_no_tls_where_it_is_wanted_are_told_at_once)
{
    const temp_folder folder;
    nats_server_options with;
    with.certificate_file = folder / "cert.pem";
    with.key_file = folder / "key.pem";
    write_certificate(with.certificate_file, with.key_file, "DNS:other.example");
    const nats_server elsewhere(with), plain;
    nats::connection_options options;
    options.connect_deadline = 1h; // not waited for
    options.ca_file = with.certificate_file;
    options.url = elsewhere.url();
    EXPECT_THAT(failure_of(options), HasSubstr("mismatch"));
    options.url = "tls://127.0.0.1:" + std::to_string(plain.port());
    EXPECT_THAT(failure_of(options), testing::Not("connected"));
}

TEST(nats_connection, no_server_is_told_after_the_deadline)
{
    std::string url;
    {
        nats_server server;
        url = server.url();
    }
    nats::connection_options options;
    options.url = url;
    options.connect_deadline = 300ms;
    EXPECT_THAT(failure_of(options), HasSubstr(url));
}

TEST(nats_connection, without_jetstream_everything_is_unavailable)
{
    nats_server_options with;
    with.jetstream = false;
    nats_server server(with);
    loop on;
    nats::connection_options options;
    options.url = server.url();
    nats::connection connection(on, options);
    const auto opened = wait_for<opened_log>(on, [&](auto done) { connection.open_log("LOG", "log", {}, done); });
    EXPECT_EQ(opened.value().error(), log_errc::unavailable);
}

TEST(nats_connection, a_stream_that_went_away_makes_appends_unavailable_and_others_are_untouched)
{
    nats_server server;
    loop on;
    nats::connection_options options;
    options.url = server.url();
    nats::connection connection(on, options);
    const auto open = [&](const std::string& name) {
        return std::move(wait_for<opened_log>(on, [&](auto done) { connection.open_log(name, "log." + name, {}, done); }).value().value());
    };
    const auto gone = open("GONE"), other = open("OTHER");
    ASSERT_TRUE(wait_for<boost::system::result<std::string>>(on, [&](auto done) {
                    connection.request("$JS.API.STREAM.DELETE.GONE", "", 5s, done);
                }).value());

    int unavailable = 0, stored = 0, otherwise = 0;
    for (int i = 0; i < 100; ++i) {
        gone->append({{}, {}, "x", std::nullopt, 60s},
                     [&](const auto& result) { ++(result || result.error() != log_errc::unavailable ? otherwise : unavailable); });
        other->append({{}, {}, "x", std::nullopt, 60s}, [&](const auto& result) { ++(result ? stored : otherwise); });
    }
    ASSERT_TRUE(loop_until(on, [&] { return unavailable + stored + otherwise == 200; }));
    EXPECT_EQ(unavailable, 100);
    EXPECT_EQ(stored, 100);
}

TEST(nats_connection, a_stream_of_other_subjects_is_not_taken)
{
    nats_server server;
    loop on;
    nats::connection_options options;
    options.url = server.url();
    nats::connection connection(on, options);
    const auto open = [&](const std::string& subject) {
        return wait_for<opened_log>(on, [&](auto done) { connection.open_log("LOG", subject, {}, done); }).value();
    };
    EXPECT_TRUE(open("mine"));
    EXPECT_TRUE(open("mine"));
    EXPECT_EQ(open("yours").error(), make_error_code(boost::system::errc::file_exists));
}

TEST(nats_connection, changes_are_told)
{
    nats_server server;
    loop on;
    nats::connection_options options;
    options.url = server.url();
    options.reconnect_wait = 10ms;
    nats::connection connection(on, options);
    std::vector<bool> told;
    connection.on_change([&](bool up) { told.push_back(up); });
    ASSERT_TRUE(loop_until(on, [&] { return told.size() == 1; }));
    server.kill();
    ASSERT_TRUE(loop_until(on, [&] { return told.size() == 2; }));
    server.start();
    ASSERT_TRUE(loop_until(on, [&] { return told.size() == 3; }));
    EXPECT_EQ(told, (std::vector<bool>{true, false, true}));
}

TEST(nats_connection, after_close_nothing_calls_back_and_the_loop_runs_dry)
{
    nats_server server;
    loop on;
    nats::connection_options options;
    options.url = server.url();
    nats::connection connection(on, options);
    auto log = std::move(wait_for<opened_log>(on, [&](auto done) { connection.open_log("LOG", "log", {}, done); }).value().value());
    int calls = 0;
    const auto reader = log->read(1, [&](const log_message&) { ++calls; });
    for (int i = 0; i < 10; ++i)
        log->append({{}, {}, std::string(100'000, 'x'), std::nullopt, 5s}, [&](const auto&) { ++calls; });
    connection.close();
    EXPECT_FALSE(connection.connected());
    log->append({{}, {}, "late", std::nullopt, 5s}, [&](const auto&) { ++calls; });
    EXPECT_TRUE(loop_runs_dry(on));
    EXPECT_EQ(calls, 0);
}

TEST(nats_connection, closing_while_it_reconnects_runs_dry)
{
    nats_server server;
    loop on;
    nats::connection_options options;
    options.url = server.url();
    nats::connection connection(on, options);
    server.kill();
    ASSERT_TRUE(loop_until(on, [&] { return !connection.connected(); }));
    connection.close();
    EXPECT_TRUE(loop_runs_dry(on));
}

TEST(nats_connection, may_be_closed_from_a_callback)
{
    nats_server server;
    loop on;
    nats::connection_options options;
    options.url = server.url();
    auto connection = std::make_unique<nats::connection>(on, options);
    auto log = std::move(wait_for<opened_log>(on, [&](auto done) { connection->open_log("LOG", "log", {}, done); }).value().value());
    int calls = 0;
    for (int i = 0; i < 10; ++i)
        log->append({{}, {}, "x", std::nullopt, 5s}, [&](const auto&) {
            ++calls;
            log.reset();
            connection.reset();
        });
    EXPECT_TRUE(loop_runs_dry(on));
    EXPECT_EQ(calls, 1);
}

}
