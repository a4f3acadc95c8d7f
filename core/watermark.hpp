#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace sluice::core {

// How far a partition's log is done with: everything below value() is settled on record, or kept in the journal, and may be purged. Counts the
// bytes of settled and of live messages, so that cleaning is worth its cost. Four bytes for each message that was read and not purged. Pure.
class watermark {
public:
    // `first` is the log's first sequence, or the one after its last when it is empty.
    explicit watermark(std::uint64_t first) : purged_(first), base_(first) {}

    // In the order of the log. Sequences that were jumped over are gone, hence settled.
    void read(std::uint64_t sequence, std::uint32_t bytes);
    // The log's message is needed no more. Told again, or of what was never read: nothing happens.
    void settled(std::uint64_t sequence);

    std::uint64_t value() const noexcept { return base_; }
    std::uint64_t live_bytes() const noexcept { return live_bytes_; }
    std::uint64_t dead_bytes() const noexcept { return dead_bytes_; } // settled and not purged
    std::uint64_t stuck_bytes() const noexcept
    {
        return stuck_bytes_;
    } // those of them at or above the watermark: a live message is before them

    // The first live messages, oldest first: at most `count`, and of `bytes` together, but always one.
    std::vector<std::uint64_t> stragglers(std::size_t count, std::uint64_t bytes) const;

    // Where to purge to now: at most `step_max` messages on, never beyond the watermark, and only when the dead bytes outweigh the live ones and
    // `bytes_min`, or when something below `wanted` is left. 0: not worth it.
    std::uint64_t purge_target(std::uint64_t step_max, std::uint64_t bytes_min, std::uint64_t wanted) const noexcept;
    void purged(std::uint64_t below) noexcept;

private:
    void advance() noexcept;

    static constexpr std::uint32_t dead_bit = 1u << 31;
    static std::uint32_t size_of(std::uint32_t message) noexcept { return message & ~dead_bit; }

    std::uint64_t purged_; // below it the log is empty
    std::uint64_t base_;
    std::deque<std::uint32_t> messages_; // from purged_ on: bytes, and whether it is dead
    std::uint64_t live_bytes_ = 0;
    std::uint64_t dead_bytes_ = 0;
    std::uint64_t stuck_bytes_ = 0;
};

}
