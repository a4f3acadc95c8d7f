#include "tests/integration/provider_fixture.hpp"
#include "tests/support/role_main.hpp"

#include <csignal>

namespace sluice::test {

namespace {

// Leaves a process behind that no signal to the group reaches, by setsid and by forking twice, and writes down which.
class provider_escapes : public provider_test {
protected:
    std::string escaping_program(const std::string& and_then)
    {
        const auto path = folder_ / "escape.py";
        std::ofstream(path) << "#!/usr/bin/python3\n"
                               "import os, time, sys\n"
                               "def stay(name):\n"
                               "    os.setsid()\n"
                               "    if os.fork(): os._exit(0)\n"
                               "    open(name + '.part', 'w').write(str(os.getpid())); os.rename(name + '.part', name)\n"
                               "    while True: time.sleep(1000)\n"
                               "if os.fork() == 0: stay('"
                            << folder_ / "out/twice"
                            << "')\n"
                            << and_then;
        std::filesystem::permissions(path, std::filesystem::perms(0755));
        std::filesystem::create_directory(folder_ / "out");
        std::filesystem::permissions(folder_ / "out", std::filesystem::perms(0777));
        return path;
    }
    // Of the process that stays, once it does.
    process::identity escaped()
    {
        int pid = 0;
        EXPECT_TRUE(poll_until(loop_, [&] { return bool(std::ifstream(folder_ / "out/twice") >> pid); }));
        return process::identify(pid).value_or(process::identity{});
    }
    void call_and_forget(const endpoint& to)
    {
        http::client_request request;
        request.host = to.host;
        request.port = to.port;
        request.head = "Sluice-Replica-Token: " + to.token + "\r\n";
        request.deadline = generous;
        client_.call(std::move(request), [this](outcome result) { got_ = std::move(result); });
    }
    bool ends(const process::identity& which)
    {
        return poll_until(loop_, [&] { return !process::alive(which); });
    }
    std::optional<outcome> got_;
};

}

TEST_F(provider_escapes, what_left_the_group_ends_with_its_call)
{
    start();
    deploy(make_spec("leaves",
                     escaping_program("while not os.path.exists('" + folder_ / "out/twice"
                                      + "'): time.sleep(0.01)\n"
                                        "print('done')\n")));
    ASSERT_TRUE(ready("leaves"));
    call_and_forget(view_->ready("leaves").front());
    const auto stays = escaped();
    ASSERT_GT(stays.pid, 1);
    ASSERT_TRUE(loop_until(loop_, [&] { return got_.has_value(); }));
    EXPECT_EQ(got_->reply.body, "done\n");
    EXPECT_TRUE(ends(stays));
}

TEST_F(provider_escapes, what_left_the_group_ends_at_exec_timeout)
{
    start();
    deploy(make_spec("hangs", escaping_program("time.sleep(1000)\n"), {{"exec_timeout", "500ms"}}));
    ASSERT_TRUE(ready("hangs"));
    call_and_forget(view_->ready("hangs").front());
    const auto stays = escaped();
    ASSERT_TRUE(loop_until(loop_, [&] { return got_.has_value(); }));
    EXPECT_EQ(got_->reply.status, 408U);
    EXPECT_TRUE(ends(stays));
}

TEST_F(provider_escapes, what_left_the_group_ends_with_its_replica)
{
    start();
    deploy(make_spec("serves", escaping_program("time.sleep(1000)\n"), {{"mode", "http"}}));
    const auto stays = escaped();
    ASSERT_TRUE(process::alive(stays));
    stop();
    EXPECT_FALSE(process::alive(stays));
}

TEST_F(provider_escapes, what_left_the_group_ends_after_its_watchdog_was_killed)
{
    start();
    deploy(make_spec("serves", escaping_program("time.sleep(1000)\n"), {{"mode", "http"}}));
    const auto stays = escaped();
    const auto record = records().front();
    remove("serves");
    ASSERT_TRUE(process::signal({record.pid, record.start_ticks}, SIGKILL));
    EXPECT_TRUE(ends(stays));
}

}

int main(int argc, char** argv) { return sluice::test::role_main(argc, argv); }
