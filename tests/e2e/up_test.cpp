#include "tests/support/loop_until.hpp"
#include "tests/support/sluice_up.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <arpa/inet.h>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sys/socket.h>
#include <unistd.h>

// `sluice up` as an operator meets it: started, stopped, killed, started twice.
namespace sluice::test {

namespace {

namespace fs = std::filesystem;

const std::string sha512sum = R"({"service": "sha512sum", "image": "sha512sum", "envProcess": "sha512sum"})";

std::string command_line(int pid)
{
    std::ifstream in("/proc/" + std::to_string(pid) + "/cmdline", std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(in), {}};
    std::replace(text.begin(), text.end(), '\0', ' ');
    return text;
}

std::vector<process::identity> all_of(const sluice_up& up)
{
    std::vector<process::identity> found;
    for (const int pid : up.processes())
        if (const auto one = process::identify(pid))
            found.push_back(*one);
    return found;
}

std::optional<process::identity> watchdog_of(const sluice_up& up)
{
    for (const auto& one : all_of(up))
        if (command_line(one.pid).find("watchdog") != std::string::npos)
            return one;
    return std::nullopt;
}

// For what wakes no loop: files and processes.
template <class Condition> bool holds_in_time(loop& on, Condition condition)
{
    timer tick(on);
    return loop_until(on, [&] {
        if (!tick.armed())
            tick.after(std::chrono::milliseconds(5), [] {});
        return condition();
    });
}

// Through gateway and replica, however often it takes until the pieces have found each other again.
testing::AssertionResult answers(loop& on, sluice_up& up)
{
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    outcome last;
    while (std::chrono::steady_clock::now() < until) {
        last = up.call("/function/sha512sum", {"POST", {}, "sluice"});
        if (last.kind == outcome_kind::delivered && last.reply.status == 200)
            return last.reply.body.size() == 128 + 4 ? testing::AssertionSuccess() : testing::AssertionFailure() << last.reply.body;
        loop_for(on, std::chrono::milliseconds(20));
    }
    return testing::AssertionFailure() << last.reply.status << ' ' << last.reply.body << last.reason << up.logs();
}

TEST(up, runs_a_function_and_stops_leaving_nothing)
{
    loop loop;
    sluice_up up(loop);
    up.deploy(sha512sum, "sha512sum");
    EXPECT_TRUE(answers(loop, up));
    const auto before = all_of(up);
    EXPECT_GE(before.size(), 6u); // up, nats-server, three roles, a watchdog
    EXPECT_EQ(up.stop(), 0) << up.logs();
    for (const auto& one : before)
        EXPECT_FALSE(process::alive(one)) << command_line(one.pid);
    EXPECT_FALSE(fs::exists(up.state() + "/run/gateway.ready"));
}

TEST(up, keeps_its_secrets_from_others_and_through_a_restart)
{
    loop loop;
    sluice_up up(loop);
    const auto read = [&](const std::string& name) {
        std::ifstream in(up.state() + "/secrets/" + name);
        std::string line;
        std::getline(in, line);
        return line;
    };
    const auto password = read("basic-auth-password"), nats = read("nats-password");
    EXPECT_GE(password.size(), 32u);
    EXPECT_NE(password, nats);
    EXPECT_TRUE(holds_in_time(loop, [&] { return up.said().find(password) != std::string::npos; })) << "a made password is printed";
    EXPECT_EQ(fs::status(up.state()).permissions(), fs::perms::owner_all);
    for (const char* file : {"/secrets/basic-auth-password", "/secrets/nats-password", "/run/nats.conf"})
        EXPECT_EQ(fs::status(up.state() + file).permissions(), fs::perms::owner_read | fs::perms::owner_write) << file;
    for (const auto& one : all_of(up)) {
        EXPECT_EQ(command_line(one.pid).find(password), std::string::npos) << "a process list shows no password";
        EXPECT_EQ(command_line(one.pid).find(nats), std::string::npos);
    }
    EXPECT_EQ(up.stop(), 0);
    up.start();
    EXPECT_EQ(read("basic-auth-password"), password);
    EXPECT_EQ(read("nats-password"), nats);
    EXPECT_EQ(up.call("/system/functions", {"GET", {}, "", true}).reply.status, 200u);
    EXPECT_EQ(up.call("/system/functions", {"GET", {}, "", false}).reply.status, 401u);
}

TEST(up, is_refused_on_a_state_that_is_in_use)
{
    loop loop;
    sluice_up up(loop);
    EXPECT_EQ(up.run_to_end({}), 1);
    EXPECT_NE(up.logs().find("in use by another"), std::string::npos) << up.logs();
    up.deploy(sha512sum, "sha512sum");
    EXPECT_TRUE(answers(loop, up)); // the first goes on
}

TEST(up, killed_leaves_functions_running_that_the_next_one_adopts)
{
    loop loop;
    sluice_up up(loop);
    up.deploy(sha512sum, "sha512sum");
    ASSERT_TRUE(answers(loop, up));
    const auto watchdog = watchdog_of(up);
    ASSERT_TRUE(watchdog);
    const auto server = up.role("nats-server"), gateway = up.role("gateway");
    up.kill();
    ASSERT_TRUE(holds_in_time(loop, [&] { return !process::alive(server) && !process::alive(gateway); }));
    EXPECT_TRUE(process::alive(*watchdog));
    up.start();
    EXPECT_TRUE(answers(loop, up));
    EXPECT_TRUE(process::alive(*watchdog)) << "the replica went on" << up.logs();
    EXPECT_EQ(up.stop(), 0);
    EXPECT_FALSE(process::alive(*watchdog));
}

TEST(up, starts_again_what_dies)
{
    loop loop;
    sluice_up up(loop);
    up.deploy(sha512sum, "sha512sum");
    ASSERT_TRUE(answers(loop, up));
    const auto port = up.port();
    for (const std::string role : {"gateway", "queue-worker", "provider", "nats-server"}) {
        const auto before = up.role(role);
        ASSERT_TRUE(process::signal(before, SIGKILL)) << role;
        ASSERT_TRUE(loop_until(loop,
                               [&, tick = timer(loop)]() mutable {
                                   tick.after(std::chrono::milliseconds(5), [] {});
                                   return up.role_runs_anew(role, before);
                               }))
            << role << up.logs();
        EXPECT_TRUE(answers(loop, up)) << "after " << role;
    }
    EXPECT_EQ(up.port(), port) << "a port that was free at the start is kept";
}

TEST(up, starts_a_nats_server_anew_that_does_not_answer)
{
    loop loop;
    sluice_up up(loop, {"--nats-answer-deadline=2s"});
    up.deploy(sha512sum, "sha512sum");
    const auto before = up.role("nats-server");
    ASSERT_TRUE(process::signal(before, SIGSTOP)); // alive, and silent: as one that blocks itself
    EXPECT_TRUE(holds_in_time(loop, [&] { return up.role_runs_anew("nats-server", before); })) << up.logs();
    EXPECT_TRUE(answers(loop, up));
}

TEST(up, a_command_runs_with_everything_ready_and_gives_the_exit_code)
{
    loop loop;
    sluice_up up(loop);
    EXPECT_EQ(up.stop(), 0);
    EXPECT_EQ(up.run_to_end({"--run", "curl -sf $OPENFAAS_URL/healthz && exit 7", "--run-then-stop"}), 7) << up.logs();
    EXPECT_EQ(
        up.run_to_end({"--run", "curl -sf $OPENFAAS_URL/readyz && test -s $SLUICE_STATE/secrets/basic-auth-password", "--run-then-stop"}),
        0)
        << up.logs();
}

TEST(up, says_in_one_line_why_it_cannot_start)
{
    loop loop;
    sluice_up up(loop);
    EXPECT_EQ(up.stop(), 0);
    const int taken = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ASSERT_EQ(::bind(taken, reinterpret_cast<sockaddr*>(&address), size), 0);
    ASSERT_EQ(::listen(taken, 1), 0);
    ASSERT_EQ(::getsockname(taken, reinterpret_cast<sockaddr*>(&address), &size), 0);
    const auto there = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    EXPECT_EQ(up.run_to_end({"--role-option", "provider.metrics_listen=" + there}), 1);
    EXPECT_NE(up.logs().find("; --role-option provider.metrics_listen=HOST:PORT chooses another"), std::string::npos) << up.logs();
    EXPECT_EQ(up.run_to_end({"--listen", there}), 1);
    EXPECT_NE(up.logs().find("sluice up: cannot start gateway: "), std::string::npos) << up.logs();
    EXPECT_NE(up.logs().find("; --listen HOST:PORT chooses another"), std::string::npos) << up.logs();
    ::close(taken);
    EXPECT_EQ(up.run_to_end({"--nats-server", "/bin/false"}), 1);
    EXPECT_NE(up.logs().find("/bin/false is no nats-server"), std::string::npos) << up.logs();
    EXPECT_EQ(up.run_to_end({"--nats-server", "/nowhere/nats-server"}), 1);
    EXPECT_NE(up.logs().find("nats_server: cannot execute /nowhere/nats-server"), std::string::npos) << up.logs();
    EXPECT_EQ(up.run_to_end({"--no-such-flag", "1"}), 2);
    EXPECT_EQ(up.run_to_end({"--role-option", "gateway.no_such_key=1"}), 2);
    EXPECT_NE(up.logs().find("--no-such-key"), std::string::npos) << up.logs();
}

}

}
