#pragma once
#include "gateway/gateway.hpp"
#include "provider/local/provider.hpp"
#include "queue-worker/queue_worker.hpp"
#include "watchdog/watchdog.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <sys/prctl.h>
#include <unistd.h>
#include <vector>

// main() of a test that starts its own program as a role: as the product's provider starts `watchdog`.
namespace sluice::test {

template <class Options, class Run> int run_role(int argc, char** argv, void (*describe)(config::table&, Options&), Run run)
{
    try {
        Options given;
        config::table table;
        describe(table, given);
        table.read({{argv + 2, argv + argc}, {}, {}, {}});
        return run(given);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}

// A replica outlives its provider by design. That of a test may not outlive the test, unless its provider is a process of its own: then the
// test ends it.
inline void end_with_test()
{
    std::ifstream in("/proc/" + std::to_string(::getppid()) + "/cmdline", std::ios::binary);
    const std::string line{std::istreambuf_iterator<char>(in), {}};
    if (line.find(std::string("\0provider\0", 10)) == std::string::npos)
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
}

inline int role_main(int argc, char** argv)
{
    if (argc > 1 && std::strcmp(argv[1], "watchdog") == 0) {
        end_with_test();
        return run_role<watchdog::options>(argc, argv, watchdog::add_to, [](const auto& given) { return watchdog::run(given, {}); });
    }
    if (argc > 1 && std::strcmp(argv[1], "provider") == 0)
        return run_role<provider::options>(argc, argv, provider::add_to, [](const auto& given) { return provider::run(given); });
    if (argc > 1 && std::strcmp(argv[1], "gateway") == 0)
        return run_role<gateway::options>(argc, argv, gateway::add_to, [](const auto& given) { return gateway::run(given); });
    if (argc > 1 && std::strcmp(argv[1], "queue-worker") == 0)
        return run_role<queue_worker::options>(argc, argv, queue_worker::add_to,
                                               [](const auto& given) { return queue_worker::run(given); });
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}

}
