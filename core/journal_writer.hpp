#pragma once
#include "core/journal_records.hpp"
#include "sluice/message_log.hpp"
#include "sluice/time.hpp"

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace sluice::core {

// Appends one owner's records to its partition's journal: batched, in order, a few messages in flight, each with an id of its own and the
// sequence that it expects to follow, so that the server refuses a writer that is no longer the owner. The first message (number 0) takes
// the partition over.
//
// An append without a clear answer is unknown: it is sent again, oldest first, the same bytes with the same id and expectation, and nothing
// new is sent meanwhile. "Wrong last sequence" is settled by reading the place: ours is stored, somebody else's means that the partition is
// lost. Pure: whoever runs it performs the actions and reports what came of each.
class journal_writer {
public:
    struct options {
        std::size_t batch_bytes_max = 512 * 1024; // a batch is closed before it would grow beyond it; a larger record has one of its own
        std::size_t pipeline_bytes = 64 * 1024;   // with something in flight, the next batch goes out from this size on
        std::size_t in_flight_max = 4;
        milliseconds resend_wait_min{50}; // doubling
        milliseconds resend_wait_max{2'000};
    };

    // Append these bytes, expecting this last sequence; report with append_result.
    struct append {
        std::uint64_t batch = 0;
        std::string id;
        std::string payload;
        std::uint64_t expected_last_sequence = 0;
    };
    // Read this sequence from the leader; report with read_result.
    struct read_back {
        std::uint64_t sequence = 0;
    };
    // Ask for the journal's last sequence; report with last_result.
    struct ask_last {};
    // These records are durable, in the order they were added; the sequence of the message that holds them.
    struct stored {
        std::uint64_t sequence = 0;
        std::uint64_t batch = 0;
        std::uint64_t bytes = 0;
        std::vector<journal::record> records;
    };
    // Somebody else owns the partition now, or the journal is not what was stored: stop at once, take over anew.
    struct lost {
        bool final = false; // taking over anew would only end here again
        std::string reason;
    };
    using action = std::variant<append, read_back, ask_last, stored, lost>;

    journal_writer(std::uint64_t epoch, std::string owner, std::uint64_t last_sequence, options with);

    std::uint64_t epoch() const noexcept { return epoch_; }

    void add(journal::record what);

    void append_result(std::uint64_t batch, const boost::system::result<stored_at>& result, mono_time now);
    void read_result(const boost::system::result<log_message>& result, mono_time now);
    void last_result(const boost::system::result<log_info>& result, mono_time now);

    // What to do now; call it after each of the above, and at next_due().
    std::vector<action> actions(mono_time now);
    std::optional<mono_time> next_due() const;

    // An append is unknown or refused, from then until all such are stored: nothing should be started whose record could not be.
    bool stalled() const noexcept { return trouble_ || lost_; }
    // Such an append was refused because the journal has no room.
    bool full() const noexcept { return trouble_ && full_; }
    // Of batches that are not stored, and of the one that is being filled.
    std::uint64_t unstored_bytes() const noexcept { return closed_bytes_ + open_payload_.size(); }
    bool idle() const noexcept { return batches_.empty() && open_.empty(); }

private:
    enum class batch_state : std::uint8_t { waiting, in_flight, unknown, refused, stored };
    struct batch {
        std::uint64_t number = 0;
        std::string payload;
        std::uint64_t expected_last_sequence = 0;
        std::uint64_t stored_sequence = 0;
        batch_state state = batch_state::waiting;
        bool doubtful = false; // was unknown or refused, and is not stored
        std::vector<journal::record> records;
    };
    void close_batch();
    append send(const batch& what);
    void release_stored(std::vector<action>& out);
    void send_waiting(std::vector<action>& out);
    void recover(std::vector<action>& out, mono_time now);
    void wait_to_resend(mono_time now);
    void lose(std::string reason, bool final = false);
    std::size_t in_flight() const noexcept;

    std::uint64_t epoch_;
    std::string owner_;
    options options_;
    std::uint64_t next_number_ = 0;
    std::uint64_t last_sequence_; // where the next batch will be, less one, if all before it are stored
    std::deque<batch> batches_;   // closed and not released, oldest first
    std::vector<journal::record> open_;
    std::string open_payload_;
    std::uint64_t closed_bytes_ = 0;
    bool owns_ = false;    // the take-over is on record
    bool trouble_ = false; // some batch is doubtful
    bool full_ = false;    // as the last refusal said
    bool asking_ = false;  // a read_back or ask_last is under way
    bool ask_last_ = false;
    mono_time resend_at_{};
    std::uint32_t resends_ = 0;
    std::optional<lost> lost_;
};

}
