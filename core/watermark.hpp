#pragma once
#include <cstdint>
#include <deque>

namespace sluice::core {

// How far a partition's log is done with: everything below value() is settled on record and may be purged. Counts the bytes of settled and
// of live messages, so that cleaning is worth its cost. Pure.
class watermark {
public:
    // `first` is the log's first sequence, or the one after its last when it is empty.
    explicit watermark(std::uint64_t first) : purged_(first), base_(first) {}

    // In the order of the log. Sequences that were jumped over are gone, hence settled.
    void read(std::uint64_t sequence, std::uint32_t bytes);
    void settled(std::uint64_t sequence, std::uint32_t bytes);

    std::uint64_t value() const noexcept { return base_; }
    std::uint64_t live_bytes() const noexcept { return live_bytes_; }
    std::uint64_t dead_bytes() const noexcept { return dead_bytes_; }

    // Where to purge to now: at most `step_max` messages on, never beyond the watermark, and only when the dead bytes outweigh the live ones and
    // `bytes_min`. 0: not worth it.
    std::uint64_t purge_target(std::uint64_t step_max, std::uint64_t bytes_min) const noexcept;
    void purged(std::uint64_t below) noexcept;

private:
    std::uint64_t purged_; // below it the log is empty
    std::uint64_t base_;
    std::deque<bool> settled_; // from base_ on
    std::uint64_t live_bytes_ = 0;
    std::uint64_t dead_bytes_ = 0; // settled and not purged
};

}
