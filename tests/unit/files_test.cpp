#include "adapters/process/files.hpp"
#include "tests/support/temp_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <sys/stat.h>
#include <system_error>
#include <thread>
#include <unistd.h>

using namespace sluice::process;
using testing::HasSubstr;

namespace {

std::string read(const std::string& path)
{
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::size_t entries(const std::string& folder)
{
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

class files : public testing::Test {
protected:
    sluice::test::temp_folder folder_;
};

TEST_F(files, are_written_for_us_alone_and_replaced)
{
    const auto path = folder_ / "file";
    write_file_atomically(path, std::string("a\0b", 3));
    EXPECT_EQ(read(path), std::string("a\0b", 3));
    write_file_durably(path, "durable");
    EXPECT_EQ(read(path), "durable");
    write_file_atomically(path, "");
    EXPECT_EQ(read(path), "");
    EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms(0600));
    EXPECT_EQ(entries(folder_.path()), 1u);
}

TEST_F(files, replace_a_link_and_not_what_it_leads_to)
{
    write_file_atomically(folder_ / "target", "kept");
    std::filesystem::create_symlink(folder_ / "target", folder_ / "file");
    write_file_atomically(folder_ / "file", "new");
    EXPECT_EQ(read(folder_ / "target"), "kept");
    EXPECT_EQ(read(folder_ / "file"), "new");
}

TEST_F(files, are_never_seen_in_part)
{
    const auto path = folder_ / "file";
    const std::string one(100'000, '1'), two(50'000, '2');
    write_file_atomically(path, one);
    std::atomic<bool> done = false;
    std::thread writer([&] {
        for (int i = 0; i < 100; ++i)
            write_file_atomically(path, i % 2 == 0 ? two : one);
        done = true;
    });
    int torn = 0;
    do {
        const auto seen = read(path);
        torn += seen != one && seen != two;
    } while (!done);
    writer.join();
    EXPECT_EQ(torn, 0);
}

TEST_F(files, that_cannot_be_written_are_named_and_leave_nothing)
{
    std::filesystem::create_directory(folder_ / "folder");
    for (const auto& path : {folder_ / "missing/file", folder_ / "folder"})
        try {
            write_file_atomically(path, "x");
            ADD_FAILURE() << path;
        } catch (const std::system_error& error) {
            EXPECT_THAT(error.what(), HasSubstr(path));
        }
    EXPECT_EQ(entries(folder_.path()), 1u);
}

TEST_F(files, that_are_pipes_are_read_once_and_by_nobody_before)
{
    const auto pipe = folder_ / "pipe";
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    const int both = ::open(pipe.c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_EQ(::write(both, "secret", 6), 6);
    EXPECT_NO_THROW(check_readable(pipe));
    EXPECT_EQ(look_into_file(pipe), std::nullopt);
    char bytes[8];
    EXPECT_EQ(::read(both, bytes, sizeof bytes), 6) << "still there";
    ::close(both);
    write_file_atomically(folder_ / "file", "x");
    EXPECT_EQ(look_into_file(folder_ / "file"), "x");
    EXPECT_NO_THROW(check_readable(folder_ / "file"));
    EXPECT_THROW(check_readable(folder_.path()), std::invalid_argument);
    EXPECT_THROW(check_readable(folder_ / "none"), std::invalid_argument);
    EXPECT_THROW(read_file("/dev/zero"), std::system_error) << "what never ends";
}

TEST_F(files, of_a_ready_role_say_where_it_listens)
{
    write_ready_file(folder_ / "ready", "127.0.0.1", 8080);
    EXPECT_EQ(read(folder_ / "ready"), "127.0.0.1:8080\n");
    write_ready_file(folder_ / "ready", "::1", 8080);
    EXPECT_EQ(read(folder_ / "ready"), "[::1]:8080\n");
    write_ready_file(folder_ / "ready", "", 0);
    EXPECT_EQ(read(folder_ / "ready"), "no listener\n");
    EXPECT_NO_THROW(write_ready_file("", "127.0.0.1", 8080)); // nobody waits
}

}
