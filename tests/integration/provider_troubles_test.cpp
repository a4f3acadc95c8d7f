#include "tests/integration/provider_fixture.hpp"
#include "tests/support/role_main.hpp"

#include <gmock/gmock.h>

// Functions that do not run, and what is said of them.
namespace sluice::test {

namespace {

class provider_troubles : public provider_test {};

}

TEST_F(provider_troubles, a_folder_that_its_user_may_not_enter_keeps_a_function_from_running_and_is_named)
{
    if (::geteuid() != 0)
        GTEST_SKIP() << "functions run as we do";
    const auto folder = folder_ / "function";
    std::filesystem::create_directory(folder);
    std::filesystem::permissions(folder, std::filesystem::perms(0700));
    start();
    for (const char* mode : {"classic", "http"}) {
        auto spec = make_spec(mode, "sleep 1000", {{"mode", mode}});
        spec.image = "file:" + folder;
        deploy(spec);
        ASSERT_TRUE(poll_until(loop_, [&] { return view_->of(mode) && view_->of(mode)->trouble; })) << mode;
        EXPECT_EQ(view_->of(mode)->trouble->reason,
                  "start sleep: enter its working folder " + std::filesystem::canonical(folder).string()
                      + " as user 65534: Permission denied");
        EXPECT_TRUE(view_->ready(mode).empty());
    }
}

TEST_F(provider_troubles, a_function_that_ends_at_once_is_tried_again_and_again_and_disturbs_nobody)
{
    start();
    deploy(make_spec("broken", "false", {{"mode", "http"}}));
    deploy(make_spec("cat", "cat"));
    ASSERT_TRUE(ready("cat"));
    ASSERT_TRUE(poll_until(loop_, [&] { return meters_.text().find("replica_failures_total 3") != std::string::npos; }));
    EXPECT_TRUE(view_->ready("broken").empty());
    EXPECT_EQ(call(view_->ready("cat").front(), "x")->reply.body, "x");
    deploy(make_spec("broken", "cat"));
    EXPECT_TRUE(ready("broken"));
}

TEST_F(provider_troubles, why_a_function_does_not_run_is_said_until_it_runs)
{
    start();
    const auto reason = [&](const std::string& name) {
        const auto* said = view_->of(name);
        return said && said->trouble ? said->trouble->reason : std::string();
    };
    deploy(make_spec("missing", "no-such-program -x"));
    deploy(make_spec("http-missing", "/nowhere/program", {{"mode", "http"}}));
    deploy(make_spec("ends", "ls /no-such-folder", {{"mode", "http"}}));
    auto secret = make_spec("secret", "cat");
    secret.secrets = {"key"};
    deploy(secret);
    EXPECT_TRUE(poll_until(loop_, [&] { return reason("missing") == "fprocess: 'no-such-program' is not on the function's PATH"; }));
    EXPECT_TRUE(poll_until(loop_, [&] { return reason("http-missing") == "fprocess: '/nowhere/program' is no program"; }));
    EXPECT_TRUE(poll_until(loop_, [&] { return reason("ends").starts_with("the function's process ended: exit status 2: ls: "); }));
    EXPECT_TRUE(poll_until(loop_, [&] { return reason("secret").starts_with("secrets has 'key'"); }));
    EXPECT_TRUE(poll_until(loop_, [&] { return view_->of("missing")->trouble && view_->of("missing")->trouble->restarts > 1; }));
    for (const char* name : {"missing", "http-missing", "ends", "secret"})
        deploy(make_spec(name, "cat"));
    for (const char* name : {"missing", "http-missing", "ends", "secret"}) {
        EXPECT_TRUE(ready(name)) << name;
        EXPECT_EQ(reason(name), "") << name;
    }
}

TEST_F(provider_troubles, a_replica_that_is_never_ready_is_started_anew_and_says_why)
{
    given_.start_deadline = std::chrono::milliseconds(200);
    start();
    deploy(make_spec("deaf", "sleep 1000", {{"mode", "http"}}));
    ASSERT_TRUE(
        poll_until(loop_, [&] { return view_->of("deaf") && view_->of("deaf")->trouble && view_->of("deaf")->trouble->restarts > 1; }));
    EXPECT_THAT(view_->of("deaf")->trouble->reason, testing::StartsWith("not ready in time: not listening on PORT "));
}

TEST_F(provider_troubles, a_replica_that_starts_slowly_is_told_of_while_it_starts)
{
    given_.slow_start_after = std::chrono::milliseconds(30);
    start();
    const auto go = folder_ / "go";
    std::ofstream(folder_ / "slow.sh") << "#!/bin/sh\nwhile [ ! -e " << go
                                       << " ]; do read x < /proc/uptime; done; exec python3 -m http.server -b 127.0.0.1 $PORT\n";
    std::filesystem::permissions(folder_ / "slow.sh", std::filesystem::perms(0755));
    deploy(make_spec("slow", folder_ / "slow.sh", {{"mode", "http"}}));
    ASSERT_TRUE(poll_until(loop_, [&] { return view_->of("slow") && view_->of("slow")->trouble; }));
    EXPECT_THAT(view_->of("slow")->trouble->reason, testing::MatchesRegex("not listening on PORT [0-9]+ after 30ms"));
    EXPECT_EQ(view_->of("slow")->trouble->restarts, 0U);
    const auto before = records();
    std::ofstream(go) << "go";
    ASSERT_TRUE(ready("slow"));
    EXPECT_EQ(view_->of("slow")->trouble, std::nullopt);
    EXPECT_EQ(records(), before) << "it was left alone";
}

}

int main(int argc, char** argv) { return sluice::test::role_main(argc, argv); }
