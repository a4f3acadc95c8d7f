#pragma once
#include "core/actions.hpp"
#include "core/fair_queue.hpp"
#include "core/journal_space.hpp"
#include "core/replay.hpp"
#include "core/reservations.hpp"
#include "core/watermark.hpp"

#include <boost/unordered/unordered_flat_map.hpp>
#include <functional>
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

// The record of a call's next attempt, which is made once that is stored and its time has come.
enum class schedule_state : std::uint8_t {
    stored,        // or none is needed
    recording,     // not stored yet
    recording_due, // nor that, and its time has come
};

inline constexpr std::uint32_t no_lane = ~0u; // the call's message is unreadable: it belongs to no function

// An accepted call that is not settled on record.
struct call {
    std::uint64_t sequence = 0; // in the log
    std::uint64_t id_hash = 0;
    std::uint64_t whole_at = 0;             // journal sequence of the call, carried, or of its answer; 0: it is in the log alone
    std::uint64_t schedule_at = 0;          // of the record that says when the next attempt is due; 0: none
    std::shared_ptr<const invocation> body; // empty: to be fetched again
    std::uint32_t lane = no_lane;           // of the shard's queue
    std::uint32_t attempts = 0;             // that may have executed the function
    std::uint32_t callback_attempts = 0;
    std::uint32_t bytes = 0;       // of the call's payload
    std::uint32_t whole_bytes = 0; // of the record that holds it
    call_state state = call_state::queued;
    schedule_state schedule = schedule_state::stored;
    bool in_log = false;   // its log message is needed
    bool answered = false; // its answer is on record

    journal::call_ref ref() const noexcept { return {sequence, id_hash}; }
};

// One ownership of a partition, from the attempt to take it over to its loss: replay of the journal, the record that takes it over, reading of
// the log, the index of the calls that are not settled, the writer of the journal, reservations, and the cleaning of log and journal. What is to be
// run when is decided by the shard, over all its partitions. docs/engine.md has the protocol. Pure.
class partition {
public:
    struct options {
        journal_writer::options writer;
        std::uint64_t purge_step_max = 100'000;          // messages
        std::uint64_t purge_bytes_min = 8 * 1024 * 1024; // dead bytes that make cleaning worth it
        milliseconds purge_interval{5'000};              // at least so long between two looks
        std::uint64_t record_bytes_max = 1'000'000;      // a larger call is not carried: the server would refuse the batch
        std::size_t carry_calls_max = 64;                // under way at once
        std::uint64_t carry_bytes_max = 1024 * 1024;     // likewise, and of copies that are not stored
        reservations::options reserve{};                 // its limit is the shard's
    };
    enum class phase : std::uint8_t { asking, replaying, claiming, owning, closed };

    partition(std::uint32_t slot, std::uint32_t number, std::string owner, options with);

    std::uint32_t number() const noexcept { return number_; }
    // Of this ownership, which is higher than those before; 0 until it is claimed.
    std::uint64_t epoch() const noexcept { return writer_ ? writer_->epoch() : 0; }
    phase state() const noexcept { return phase_; }
    // A record could not be stored for now, or the owner may not act: start nothing new, remove nothing.
    bool stalled() const noexcept { return suspended_ || (writer_ && writer_->stalled()); }
    // Four fifths of the journal are taken: start no calls, so that what runs and waits to be called back can be recorded and removed.
    bool crowded() const noexcept
    {
        return journal_bytes_max_ > 0 && space_.stored_bytes() + unstored_bytes() >= journal_bytes_max_ / 100 * crowded_percent;
    }
    void suspend(bool suspended) noexcept { suspended_ = suspended; }

    void start(std::vector<action>& out);
    void opened(const log_info& journal, const log_info& log, std::vector<action>& out);
    void journal_message(const log_message& message, std::vector<action>& out);
    // Closes it for good: the slot stays, empty.
    void close(std::string reason, bool final, std::vector<action>& out);

    // Calls are named by a number of this ownership: the log sequence; of a call that only the journal held at the take-over, one of its own, from
    // this on, because the sequence may have been used again after the log lost its tail.
    static constexpr std::uint64_t held_numbers = 1ull << 63;
    // Enters the calls that the journal holds, once it is owned; before the log is read.
    struct held_call {
        std::uint64_t number = 0;
        call* what = nullptr;
        const replay::entry* history = nullptr;
        const replay::owner* of = nullptr;
    };
    void enter_held(const std::function<void(const held_call&)>& resume);
    // Enters a call that was read from the log; `history` is what the journal says of it, valid until the next call. Nothing is entered for a
    // call that is settled, or that the journal holds.
    struct entered {
        call* what = nullptr;
        const replay::entry* history = nullptr;
    };
    entered enter(const journal::call_ref& ref, std::uint32_t bytes);
    // The log was read to here: what the journal says of this call, and of those before it, is needed no more.
    void read_up_to(const journal::call_ref& ref);
    bool read_before(std::uint64_t sequence) const noexcept { return sequence <= read_; }

    call* find(std::uint64_t number);
    call* find(const journal::call_ref& ref, std::uint64_t& number);
    std::size_t live() const noexcept { return calls_.size(); }
    // Of the bodies that are kept in memory; linear, for when a slot is closed.
    std::uint64_t body_bytes() const;

    // Records are added here, and come back in order from pump() once they are stored.
    void record(journal::record what) { writer_->add(std::move(what)); }
    journal_writer* writer() noexcept { return writer_ ? &*writer_ : nullptr; }
    bool recorded() const noexcept { return !writer_ || writer_->idle(); }
    std::uint64_t unstored_bytes() const noexcept { return writer_ ? writer_->unstored_bytes() : 0; }
    // Sends what is to be sent to the journal. What has become durable is appended to `stored`.
    void pump(instant now, std::vector<journal_writer::stored>& stored, std::vector<action>& out);

    // The journal's message holds the call whole, or its answer: the log's is needed no more.
    void held(call& what, std::uint64_t at, std::uint64_t bytes);
    void carried(call& what, std::uint64_t at, std::uint64_t bytes);
    void scheduled(call& what, std::uint64_t at);
    // Its settled record is stored: the call leaves the index.
    void settle(std::uint64_t number);

    reservations& reserve() noexcept { return reserve_; }
    void reserved(const journal::reserved& what, std::uint64_t at);
    // Nothing of this ownership runs and nothing will: says so on record, once, unless calls of an owner before it may still run.
    void hand_over();
    bool handed_over() const noexcept { return handed_over_; }

    void clean(instant now, std::vector<action>& out);
    void log_checked(std::uint64_t sequence, const boost::system::result<log_message>& result, std::vector<action>& out);
    void log_extent(const boost::system::result<log_info>& result, std::vector<action>& out);
    void log_purged(std::uint64_t below, bool done, std::vector<action>& out);
    void straggler_fetched(std::uint64_t sequence, boost::system::result<log_message> result, instant now, std::vector<action>& out);
    void journal_fetched(std::uint64_t sequence, const boost::system::result<log_message>& result, instant now, std::vector<action>& out);

    std::optional<mono_time> next_due() const;

private:
    bool follows(std::uint64_t journal_sequence, std::vector<action>& out);
    void claim(std::vector<action>& out);
    void forget_replay();
    void purge_log(std::vector<action>& out);
    void purge_journal(std::vector<action>& out);
    bool carry_wanted() const noexcept;
    void leave_log(call& what);
    void carry(instant now, std::vector<action>& out);
    void copy(std::vector<action>& out);
    void copy(const journal::record& what, std::uint64_t at);
    void look_at_journal(std::vector<action>& out);
    bool purge_wanted() const noexcept;
    bool in_need() const noexcept;
    std::uint64_t purge_bytes_min() const noexcept;
    std::uint64_t purge_below() const noexcept;
    void tell_of_room(std::vector<action>& out);
    bool copy_wanted() const noexcept;

    std::uint32_t slot_;
    std::uint32_t number_;
    std::string owner_;
    options options_;
    phase phase_ = phase::asking;
    replay replay_;
    static constexpr std::uint64_t crowded_percent = 80;
    std::uint64_t journal_bytes_max_ = 0; // 0: unbounded
    std::uint64_t journal_last_ = 0;      // at the time of asking: the replay ends there
    std::uint64_t journal_next_ = 0;      // the replay's next message, once it has begun
    std::uint64_t journal_missing_ = 0;   // messages that the server itself says are missing in the middle
    std::uint64_t log_last_ = 0;          // likewise
    std::uint64_t read_ = 0;              // highest log sequence read
    std::uint64_t read_hash_ = 0;         // of that message's id
    std::uint64_t log_first_ = 1;         // below it the log is empty
    std::optional<journal_writer> writer_;
    std::optional<watermark> mark_;
    boost::unordered_flat_map<std::uint64_t, call> calls_;
    boost::unordered_flat_map<journal::call_ref, std::uint64_t> held_numbers_; // of the calls that the journal held at the take-over
    journal_space space_;
    reservations reserve_;
    mono_time purge_at_{};
    mono_time copy_at_{};
    mono_time carry_at_{};
    std::uint64_t carry_below_ = 0; // stragglers below it keep the journal from being cleaned
    std::size_t carrying_ = 0;      // fetches of stragglers, and their records, under way
    std::uint64_t copy_next_ = 0;   // journal message to be looked at next
    std::uint64_t copy_last_ = 0;   // the last of those that are being copied; 0: none are
    bool copying_ = false;          // one is being fetched
    std::uint64_t purge_to_ = 0;    // what the log's check is for
    std::uint64_t check_hash_ = 0;  // of the id that the message is to have
    std::uint64_t asked_at_ = 0;    // what was read when the log's extent was asked for
    bool purging_ = false;
    bool handed_over_ = false;
    bool suspended_ = false;
    bool told_crowded_ = false;
    bool told_full_ = false;
};

}
