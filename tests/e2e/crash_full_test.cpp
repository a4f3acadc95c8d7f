#include "tests/e2e/crash_fixture.hpp"

#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/mount.h>

// Stores without room: what is accepted is finished once there is room again, and making it needs nobody's help where it is ours to make.
namespace sluice::test {

namespace {

class full_journal : public crash {
protected:
    full_journal()
        : crash(200, "echo",
                {"--partitions", "1", "--nats-store-bytes-max", "256MiB", "--role-option", "queue-worker.callback_attempts_max=1000",
                 "--role-option", "queue-worker.callback_wait_max=1s"})
    {
        padding_.assign(900'000, 'x');
        receiver_down_ = true;
    }
    bool said(const std::string& what) const
    {
        std::ifstream in(up_.state() + "/log/queue-worker.log");
        return std::string(std::istreambuf_iterator<char>(in), {}).find(what) != std::string::npos;
    }
};

// Its receiver is down until answers have filled what they may of the journal. Nothing of the rest is started then, and what is left is enough to
// record what comes of each callback.
TEST_F(full_journal, of_answers_that_wait_empties_itself_when_they_are_taken)
{
    ASSERT_TRUE(function_answers());
    start_calls();
    ASSERT_TRUE(until([&] { return said("no calls are started"); }));
    receiver_down_ = false;
    ASSERT_TRUE(until([&] { return all_done(); }));
    expect_nothing_lost();
    EXPECT_EQ(repeated(), 0);
    EXPECT_EQ(up_.stop(), 0);
}

// A file system of our own, as far as this process may mount one.
class small_disk {
public:
    explicit small_disk(const std::string& size)
        : mounted_(::mount("sluice-test", folder_.path().c_str(), "tmpfs", 0, ("mode=0755,size=" + size).c_str()) == 0)
    {}
    ~small_disk()
    {
        if (mounted_)
            ::umount2(folder_.path().c_str(), MNT_DETACH);
    }
    bool mounted() const { return mounted_; }
    std::string state() const { return folder_ / "state"; }
    // Takes what is left, but for so many bytes.
    void fill(std::uint64_t but_for)
    {
        const auto left = std::filesystem::space(folder_.path()).available;
        const int fd = ::open((folder_ / "ballast").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        [[maybe_unused]] const int done = ::posix_fallocate(fd, 0, static_cast<off_t>(left > but_for ? left - but_for : 1));
        ::close(fd);
    }
    void empty() { std::filesystem::remove(folder_ / "ballast"); }

private:
    temp_folder folder_;
    bool mounted_;
};

class full_disk : small_disk, public crash {
protected:
    full_disk()
        : small_disk("96m"),
          crash(12'000, "echo",
                {"--nats-store-bytes-max", "256MiB", "--nats-answer-deadline", "5s", "--role-option", "gateway.store_free_min=16MiB"},
                state())
    {}
    using small_disk::empty;
    using small_disk::fill;
    using small_disk::mounted;
};

// Somebody else fills it: to where calls are refused, and then to its end, under the calls that are being executed.
TEST_F(full_disk, refuses_calls_and_goes_on_when_there_is_room)
{
    if (!mounted())
        GTEST_SKIP() << "this process may not mount a file system";
    ASSERT_TRUE(function_answers());
    start_calls();
    ASSERT_TRUE(until([&] { return accepted_a_third(); }));
    mishap();
    fill(8 * 1024 * 1024);
    ASSERT_TRUE(until([&] { return refused_ > 0; }));
    const auto accepted = accepted_.size();
    fill(0);
    const auto refused = refused_;
    ASSERT_TRUE(until([&] { return refused_ > refused + 100; }));
    EXPECT_LE(accepted_.size(), accepted + 32) << "but for those that were under way";
    empty();
    ASSERT_TRUE(until([&] { return all_done(); }));
    expect_nothing_lost();
    EXPECT_LE(repeated(), repeated_max);
    EXPECT_EQ(up_.stop(), 0);
}

}

}
