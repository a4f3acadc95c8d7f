#pragma once
#include "core/actions.hpp"
#include "core/fair_queue.hpp"
#include "core/replay.hpp"
#include "core/watermark.hpp"

#include <boost/unordered/unordered_flat_map.hpp>
#include <deque>
#include <optional>
#include <vector>

namespace sluice::core {

enum class call_state : std::uint8_t {
    queued,           // waits for its turn
    delayed,          // waits for the time of its next attempt
    fetching,         // has its permit, waits for its body
    running,          // is at a replica
    recording,        // over; the record is not stored yet
    callback_queued,  // the answer is on record; the callback waits for its turn
    callback_delayed, // waits for the time of its next attempt
    callback_running,
};

inline constexpr std::uint32_t no_lane = ~0u; // the call's message is unreadable: it belongs to no function

// An accepted call that is not settled on record.
struct call {
    std::uint64_t id_hash = 0;
    std::uint64_t journal_sequence = 0;     // of its answer, once that is on record
    std::shared_ptr<const invocation> body; // empty: to be fetched again
    std::uint32_t lane = no_lane;           // of the shard's queue
    std::uint32_t attempts = 0;             // that may have executed the function
    std::uint32_t callback_attempts = 0;
    std::uint32_t bytes = 0; // of the log message's payload
    call_state state = call_state::queued;
};

// One ownership of a partition, from the attempt to take it over to its loss: replay of the journal, the record that takes it over, reading of
// the log, the index of the calls that are not settled, the writer of the journal, and cleaning. What is to be run when is decided by
// the shard, over all its partitions. Pure.
class partition {
public:
    struct options {
        journal_writer::options writer;
        std::uint64_t purge_step_max = 100'000;          // messages
        std::uint64_t purge_bytes_min = 8 * 1024 * 1024; // dead bytes that make a purge worth it
        milliseconds purge_interval{5'000};              // at least so long between two
    };
    enum class phase : std::uint8_t { asking, replaying, claiming, owning, closed };

    partition(std::uint32_t slot, std::uint32_t number, std::string owner, options with);

    std::uint32_t number() const noexcept { return number_; }
    phase state() const noexcept { return phase_; }
    // A record could not be stored for now: start nothing new.
    bool stalled() const noexcept { return suspended_ || (writer_ && writer_->stalled()); }
    void suspend(bool suspended) noexcept { suspended_ = suspended; }

    void start(std::vector<action>& out);
    void opened(const log_info& journal, const log_info& log, std::vector<action>& out);
    void journal_message(const log_message& message, std::vector<action>& out);
    // Closes it for good: the slot stays, empty.
    void close(std::string reason, bool final, std::vector<action>& out);

    // Enters a call that was read from the log; `history` is what the journal says of it, valid until the next call. Nothing is entered for a
    // call that is settled already.
    struct entered {
        call* what = nullptr;
        const replay::entry* history = nullptr;
    };
    entered enter(std::uint64_t sequence, std::uint64_t id_hash, std::uint32_t bytes);
    // The log was read to here: what the journal says of the calls up to it is needed no more.
    void read_up_to(std::uint64_t sequence);
    bool read_before(std::uint64_t sequence) const noexcept { return sequence <= read_; }

    call* find(std::uint64_t sequence);
    std::size_t live() const noexcept { return calls_.size(); }
    // Of the bodies that are kept in memory; linear, for when a slot is closed.
    std::uint64_t body_bytes() const;

    // Records are added here, and come back in order from pump() once they are stored.
    void record(journal::record what) { writer_->add(std::move(what)); }
    journal_writer* writer() noexcept { return writer_ ? &*writer_ : nullptr; }
    // Sends what is to be sent to the journal. What has become durable is appended to `stored`.
    void pump(instant now, std::vector<journal_writer::stored>& stored, std::vector<action>& out);

    // Its settled record is stored: the call leaves the index.
    void settle(std::uint64_t sequence);
    void clean(instant now, std::vector<action>& out);
    void log_purged(std::uint64_t below, bool done, std::vector<action>& out);

    std::optional<mono_time> next_due() const;
    const core::watermark& mark() const noexcept { return *mark_; }

private:
    void claim(std::vector<action>& out);
    std::uint64_t purge_target() const; // 0: nothing to be purged, or not now

    std::uint32_t slot_;
    std::uint32_t number_;
    std::string owner_;
    options options_;
    phase phase_ = phase::asking;
    replay replay_;
    std::uint64_t journal_last_ = 0; // at the time of asking: the replay ends there
    std::uint64_t log_last_ = 0;     // likewise
    std::uint64_t read_ = 0;         // highest log sequence read
    std::optional<journal_writer> writer_;
    std::optional<core::watermark> mark_;
    boost::unordered_flat_map<std::uint64_t, call> calls_;
    std::deque<replay::extent> journal_extents_;
    mono_time clean_at_{};
    bool purging_ = false;
    bool suspended_ = false;
};

}
