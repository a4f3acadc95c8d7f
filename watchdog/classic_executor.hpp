#pragma once
#include "adapters/asio/loop.hpp"
#include "core/watchdog_config.hpp"
#include "watchdog/executor.hpp"
#include "watchdog/function_launch.hpp"
#include "watchdog/output_log.hpp"

#include <memory>
#include <unordered_map>
#include <unordered_set>

namespace sluice::watchdog {

// OpenFaaS's classic contract: a process per call, the body on its stdin, its stdout the answer, its exit code the verdict. Whatever
// that process does costs its own call alone: its group is killed at exec_timeout and when it has ended (a grandchild that holds the
// pipe keeps nobody waiting), its answer is bounded, and what it does not read is thrown away. Loop thread only.
class classic_executor final : public executor {
public:
    struct settings {
        core::watchdog_config config;
        string_map environment;
        function_rights rights;
        std::uint64_t answer_bytes_max = 8 * 1024 * 1024; // above: the rest is read and counted, and the answer is marked as cut
    };
    classic_executor(loop& on, settings given, output_log& log);
    ~classic_executor() override;

    void start(call_id id, const http::exchange_ptr& call, std::function<void(http_response)> done) override;
    void cancel(call_id id) override;
    void probe(std::function<void(unsigned status, std::string why)> done) override;
    bool launched(int pid) const override { return pids_.contains(pid); }
    bool runs(call_id id) const override { return calls_.contains(id); }
    void stop(std::function<void()> stopped) override;

private:
    class forked_call;
    void ended(call_id id, int pid);

    loop& loop_;
    settings settings_;
    output_log& log_;
    std::unordered_map<call_id, std::unique_ptr<forked_call>> calls_;
    std::unordered_set<int> pids_;
    std::function<void()> stopped_;
};

}
