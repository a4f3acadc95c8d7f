#include "gateway/intake.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace sluice::gateway {

namespace {

constexpr std::uint64_t full_percent = 80;
constexpr std::uint32_t busy_retry_s = 1;
constexpr std::uint32_t full_retry_s = 10;

}

intake::intake(loop& on, std::vector<std::unique_ptr<message_log>> logs, bounds with, logger& log)
    : logs_(std::move(logs)), fills_(logs_.size()), bounds_(with), log_(log), poll_(on)
{
    poll();
}

std::optional<core::refusal> intake::refusal_for(std::uint32_t partition, std::uint64_t bytes) const
{
    if (!fills_[partition].heard)
        return core::refusal{503, "how full the queue's log is, is not known yet", busy_retry_s};
    if (fills_[partition].shut)
        return core::refusal{503, "the queue is full: its log has reached " + std::to_string(full_percent) + " % of its size",
                             full_retry_s};
    if (disk_low_)
        return core::refusal{
            503, "the store's disk is full: less than store_free_min, " + std::to_string(bounds_.store_free_min) + " bytes, is left",
            full_retry_s};
    if (under_way_ >= bounds_.appends_max)
        return core::refusal{503, "too many calls are being accepted: publishes_max is " + std::to_string(bounds_.appends_max),
                             busy_retry_s};
    if (bytes_under_way_ + bytes > bounds_.bytes_max)
        return core::refusal{503, "too many bytes are being accepted: publish_bytes_max is " + std::to_string(bounds_.bytes_max),
                             busy_retry_s};
    return std::nullopt;
}

void intake::append(const core::accepted& call, std::function<void(message_log::result<stored_at>)> done)
{
    assert(!refusal_for(call.partition, call.message.payload.size()));
    const auto bytes = call.message.payload.size();
    const auto partition = call.partition;
    ++under_way_;
    bytes_under_way_ += bytes;
    logs_[partition]->append(call.message, [this, bytes, partition, done = std::move(done)](message_log::result<stored_at> stored) {
        --under_way_;
        bytes_under_way_ -= bytes;
        fills_[partition].bytes += bytes + message_overhead_bytes;
        judge(partition);
        if (store_free_)
            *store_free_ -= std::min(*store_free_, bytes + message_overhead_bytes);
        judge_disk();
        note(stored);
        done(std::move(stored));
    });
}

void intake::close()
{
    poll_.cancel();
    logs_.clear();
}

void intake::poll()
{
    look_at_disk();
    for (std::uint32_t partition = 0; partition < logs_.size(); ++partition)
        logs_[partition]->info([this, partition](message_log::result<log_info> info) { heard(partition, info); });
    poll_.after(bounds_.poll_interval, [this] { poll(); });
}

void intake::heard(std::uint32_t partition, const message_log::result<log_info>& info)
{
    if (!info)
        return; // unknown is not zero: what was last heard stands
    answered_at_ = std::chrono::steady_clock::now();
    fills_[partition].bytes = info->bytes;
    fills_[partition].bytes_max = info->bytes_max;
    fills_[partition].heard = true;
    judge(partition);
    if (on_known_ && known())
        std::exchange(on_known_, nullptr)();
}

bool intake::known() const noexcept
{
    return std::all_of(fills_.begin(), fills_.end(), [](const fill& log) { return log.heard; });
}

void intake::judge(std::uint32_t partition)
{
    auto& log = fills_[partition];
    const bool shut = log.bytes_max > 0 && log.bytes >= log.bytes_max / 100 * full_percent;
    if (shut == log.shut)
        return;
    log.shut = shut;
    if (shut)
        log_.warn("log full, calls are refused partition={} bytes={} bytes_max={}", partition, log.bytes, log.bytes_max);
    else
        log_.info("log has room again partition={} bytes={} bytes_max={}", partition, log.bytes, log.bytes_max);
}

void intake::look_at_disk()
{
    store_free_ = bounds_.store_free ? bounds_.store_free() : std::nullopt;
    judge_disk();
}

void intake::judge_disk()
{
    const bool low = store_free_ && *store_free_ < bounds_.store_free_min;
    if (low == disk_low_)
        return;
    disk_low_ = low;
    if (low)
        log_.warn("store's disk is full, calls are refused free={} store_free_min={}", *store_free_, bounds_.store_free_min);
    else
        log_.info("store's disk has room again free={}", store_free_.value_or(0));
}

void intake::note(const message_log::result<stored_at>& stored)
{
    if (stored)
        answered_at_ = std::chrono::steady_clock::now();
    const bool failed = !stored && stored.error() != log_errc::too_large;
    if (failed == failing_)
        return;
    failing_ = failed;
    if (failed)
        log_.error("calls cannot be accepted reason=\"{}\"", stored.error().message());
    else
        log_.info("calls are accepted again");
}

}
