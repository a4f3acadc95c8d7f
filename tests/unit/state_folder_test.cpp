#include "cli/up/state_folder.hpp"

#include "adapters/process/files.hpp"
#include "cli/up/files.hpp"
#include "cli/up/nats_server.hpp"
#include "core/config.hpp"
#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>

#include <filesystem>

namespace sluice::up {

namespace {

namespace fs = std::filesystem;

TEST(state_folder, is_ours_alone)
{
    const test::temp_folder folder;
    const state_folder state(folder / "deep/state");
    for (const char* part : {"", "/run", "/secrets", "/nats", "/provider", "/log"})
        EXPECT_EQ(fs::status(state.path() + part).permissions(), fs::perms::owner_all) << part;
    EXPECT_TRUE(fs::path(state.path()).is_absolute());
}

TEST(state_folder, is_used_by_one_at_a_time)
{
    const test::temp_folder folder;
    {
        const state_folder first(folder / "state");
        EXPECT_THROW(state_folder(folder / "state"), config::error);
    }
    EXPECT_NO_THROW(state_folder(folder / "state/"));
}

TEST(state_folder, takes_no_folder_of_somebody_else)
{
    const test::temp_folder folder;
    process::write_file_atomically(folder / "precious", "work");
    EXPECT_THROW(state_folder(folder.path()), config::error);
    EXPECT_THROW(state_folder(folder / "precious"), config::error);
    EXPECT_EQ(process::read_file(folder / "precious"), "work");
}

// A system's root has folders named run, and run/lock.
TEST(state_folder, a_folder_named_as_its_lock_does_not_make_a_root_ours)
{
    const test::temp_folder folder;
    fs::create_directories(folder / "root/run/lock");
    fs::create_directories(folder / "root/etc");
    fs::permissions(folder / "root", fs::perms::owner_all | fs::perms::others_read);
    const auto before = fs::status(folder / "root").permissions();
    EXPECT_THROW(state_folder(folder / "root"), config::error);
    EXPECT_EQ(fs::status(folder / "root").permissions(), before);
    EXPECT_FALSE(fs::exists(folder / "root/secrets"));
    EXPECT_THROW(state_folder("/"), config::error);
}

TEST(state_folder, takes_one_that_was_copied_without_its_lock)
{
    const test::temp_folder folder;
    const auto token = state_folder(folder / "state").keep_secret("token").value;
    fs::copy(folder / "state", folder / "copy", fs::copy_options::recursive);
    fs::remove_all(folder / "copy/run");
    fs::remove_all(folder / "copy/log");
    EXPECT_EQ(state_folder(folder / "copy").keep_secret("token").value, token);
    process::write_file_atomically(folder / "copy/secret-plans", "work");
    fs::remove(folder / "copy/run/lock");
    EXPECT_THROW(state_folder(folder / "copy"), config::error);
}

TEST(nats_server, is_asked_who_it_is_before_it_is_used)
{
    const test::temp_folder folder;
    const auto complaint = [&](const std::string& said) {
        const auto path = folder / "nats-server";
        process::write_file_atomically(path, "#!/bin/sh\necho \"" + said + "\"\n");
        fs::permissions(path, fs::perms::owner_all);
        try {
            require_usable(path);
        } catch (const config::error& wrong) {
            return std::string(wrong.what());
        }
        return std::string();
    };
    EXPECT_EQ(complaint("nats-server: v2.9.0"), "");
    EXPECT_EQ(complaint("nats-server: v2.10.22-RC.1"), "");
    EXPECT_EQ(complaint("nats-server: v3.0.0"), "");
    EXPECT_NE(complaint("nats-server: v2.8.4").find("too old"), std::string::npos);
    EXPECT_NE(complaint("nginx version: 1.22").find("is no nats-server"), std::string::npos);
    EXPECT_NE(complaint("").find("is no nats-server"), std::string::npos);
    EXPECT_THROW(require_usable(folder.path()), config::error);
    EXPECT_THROW(find_nats_server(folder / "missing", ""), config::error);
}

TEST(state_folder, makes_a_secret_once)
{
    const test::temp_folder folder;
    const state_folder state(folder / "state");
    const auto made = state.keep_secret("token");
    EXPECT_TRUE(made.fresh);
    EXPECT_EQ(made.value.size(), 64u);
    EXPECT_NE(made.value, state.keep_secret("other").value);
    const auto again = state.keep_secret("token");
    EXPECT_FALSE(again.fresh);
    EXPECT_EQ(again.value, made.value);
    EXPECT_EQ(fs::status(state.secret_file("token")).permissions(), fs::perms::owner_read | fs::perms::owner_write);
    EXPECT_EQ(state.keep_secret("user", "admin").value, "admin");
}

TEST(files, last_line_is_the_last_with_something_in_it)
{
    const test::temp_folder folder;
    EXPECT_EQ(last_line(folder / "none"), "");
    process::write_file_atomically(folder / "a", "one\ntwo\n\n");
    EXPECT_EQ(last_line(folder / "a"), "two");
    process::write_file_atomically(folder / "a", "\n");
    EXPECT_EQ(last_line(folder / "a"), "");
    process::write_file_atomically(folder / "a", std::string(10'000, 'x'));
    EXPECT_EQ(last_line(folder / "a").size(), 4096u);
}

TEST(nats_server, is_found_or_named_in_the_error)
{
    const test::temp_folder folder;
    process::write_file_atomically(folder / "nats-server", "#!/bin/sh\n");
    EXPECT_THROW(find_nats_server(folder / "nats-server", ""), config::error); // not executable
    fs::permissions(folder / "nats-server", fs::perms::owner_all);
    EXPECT_EQ(find_nats_server("", "/nowhere:" + folder.path()), folder / "nats-server");
    EXPECT_EQ(find_nats_server(folder / "nats-server", ""), folder / "nats-server");
}

TEST(nats_server, strings_of_its_configuration_cannot_end_early)
{
    nats_server_options options;
    options.password = "a\"b\\c";
    EXPECT_NE(nats_server_config(options).find(R"(password: "a\"b\\c")"), std::string::npos);
}

}

}
