#pragma once
#include "sluice/message_log.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>

namespace sluice::core {

// What a partition's journal takes and what of it still counts: for each message its size, how much of it is the last word on something, and
// which calls of the log it says are settled. From that follows what may be purged, and when copying what counts to the journal's end is worth
// its cost. Some 48 bytes a message. Pure.
class journal_space {
public:
    // A message was read or stored; in order.
    void add(std::uint64_t sequence, std::uint64_t bytes, std::uint64_t highest_settled, bool is_void);
    // So many bytes of the message count, until they are released. A message that is gone is ignored.
    void hold(std::uint64_t sequence, std::uint64_t bytes);
    void release(std::uint64_t sequence, std::uint64_t bytes);

    // What the stream takes, about.
    std::uint64_t stored_bytes() const noexcept { return bytes_ + messages_.size() * message_overhead_bytes; }
    std::uint64_t live_bytes() const noexcept { return live_bytes_; }
    std::uint64_t dead_bytes() const noexcept { return bytes_ - live_bytes_; }
    // The highest log sequence that some message says is settled.
    std::uint64_t highest_settled() const noexcept { return highest_settled_; }

    // Where to purge to now, at most `step_max` messages on: nothing below it counts or says that a call from `log_first` on is settled. The last
    // message stays, for its epoch, and the first that is left is never a void one: without the epoch before it, it would count. A step goes on
    // beyond as many void ones as there are. 0: nowhere.
    std::uint64_t purge_target(std::uint64_t log_first, std::uint64_t step_max) const noexcept;
    void purged(std::uint64_t below) noexcept;

    // The last message of those at the front whose dead bytes outweigh their live ones and `bytes_min`: once what counts in them is copied, they
    // can be purged. 0: it is not worth it.
    std::uint64_t copy_target(std::uint64_t log_first, std::uint64_t bytes_min) const noexcept;
    // The first message from here on, up to `last`, in which something counts. 0: none.
    std::uint64_t next_held(std::uint64_t from, std::uint64_t last) const noexcept;

private:
    struct message {
        std::uint64_t sequence = 0;
        std::uint64_t bytes = 0;
        std::uint64_t live_bytes = 0;
        std::uint64_t highest_settled = 0;
        std::uint32_t holds = 0;
        bool is_void = false;
    };
    message* find(std::uint64_t sequence) noexcept;

    std::deque<message> messages_;
    std::uint64_t bytes_ = 0;
    std::uint64_t live_bytes_ = 0;
    std::uint64_t highest_settled_ = 0;
};

}
