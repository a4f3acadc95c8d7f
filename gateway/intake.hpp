#pragma once
#include "adapters/asio/loop.hpp"
#include "adapters/log/log.hpp"
#include "core/accept.hpp"
#include "sluice/message_log.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace sluice::gateway {

// The way into the partitions' logs: bounded in calls and bytes under way, and closed for a partition whose log is 80 % full, and for all while
// the store's disk has little left. A log's own
// refusal is only a backstop, because an R3 stream of nats-server 2.9 that gets full loses acked messages. How full a log is, is asked every
// second; in between, what went in here is added. Says at each change of state whether the logs answer. Loop thread only.
class intake {
public:
    struct bounds {
        std::uint32_t appends_max = 8192;
        std::uint64_t bytes_max = 256ull * 1024 * 1024;
        milliseconds poll_interval{1'000};
        // What is left on the disk of the store, where that is known; below the minimum nothing goes in: a store that has filled its disk can
        // neither record what ends nor remove it.
        std::function<std::optional<std::uint64_t>()> store_free = {};
        std::uint64_t store_free_min = 0;
    };
    intake(loop& on, std::vector<std::unique_ptr<message_log>> logs, bounds with, logger& log);

    std::uint32_t partitions() const noexcept { return static_cast<std::uint32_t>(logs_.size()); }
    std::size_t under_way() const noexcept { return under_way_; }

    // Why a call cannot go in now; nothing: it may. Asked before each append.
    std::optional<core::refusal> refusal_for(std::uint32_t partition, std::uint64_t bytes) const;
    // How full each log is has been heard: until then calls are refused.
    bool known() const noexcept;
    // Called once, when that is so.
    void on_known(std::function<void()> known) { on_known_ = std::move(known); }
    // Some log has answered within the time before now: each poll asks all of them, so that silence means a store that does not answer.
    bool answered_within(milliseconds time) const noexcept { return std::chrono::steady_clock::now() - answered_at_ <= time; }
    void append(const core::accepted& call, std::function<void(message_log::result<stored_at>)> done);
    // Asks no more; destroys the ports, so that nothing calls back afterwards.
    void close();

private:
    struct fill {
        std::uint64_t bytes = 0;     // as last heard, and what went in since
        std::uint64_t bytes_max = 0; // 0: unbounded
        bool heard = false;          // until then how full it is is unknown, and nothing goes in
        bool shut = false;
    };
    void poll();
    void look_at_disk();
    void judge_disk();
    void heard(std::uint32_t partition, const message_log::result<log_info>& info);
    void note(const message_log::result<stored_at>& stored);
    void judge(std::uint32_t partition);

    std::vector<std::unique_ptr<message_log>> logs_;
    std::vector<fill> fills_;
    std::function<void()> on_known_;
    bounds bounds_;
    logger& log_;
    timer poll_;
    std::size_t under_way_ = 0;
    std::uint64_t bytes_under_way_ = 0;
    std::chrono::steady_clock::time_point answered_at_{};
    bool failing_ = false;
    std::optional<std::uint64_t> store_free_; // as last seen, less what went in since
    bool disk_low_ = false;
};

}
