#pragma once
#include "core/journal_records.hpp"
#include "sluice/function.hpp"

#include <boost/unordered/unordered_flat_map.hpp>
#include <map>

namespace sluice::core {

// What a partition's journal says about the calls of its log, read from its first message to its last before the partition is taken over. Of
// each call only the furthest stage counts, and of its schedules the last. A batch of an epoch below the highest one seen is void: its writer was
// no longer the owner. Pure.
class replay {
public:
    enum class stage : std::uint8_t { queued, answered, settled };

    struct entry {
        std::uint64_t whole_at = 0;    // journal sequence of the message that holds the call whole, or its answer; 0: it is in the log
        std::uint64_t schedule_at = 0; // of the record that says when the next attempt is due; 0: now
        unix_ms recorded_at = 0;
        std::uint64_t delay_ms = 0;
        std::uint32_t attempts = 0;
        std::uint32_t callback_attempts = 0;
        std::uint32_t whole_bytes = 0; // of the record
        std::uint32_t call_bytes = 0;  // of the call's payload, where it is held whole
        std::uint32_t owner = 0;       // see owner_of(); where it is held whole
        stage reached = stage::queued;
    };
    struct owner {
        std::string tenant;
        function_name function;
        friend auto operator<=>(const owner&, const owner&) = default;
    };
    struct reservation {
        std::uint32_t slots = 0;
        std::uint64_t at = 0; // journal sequence
    };

    // A message that no owner wrote: it takes room, and says nothing.
    void pass_over(std::uint64_t journal_sequence, std::uint64_t bytes) { extents_.push_back({journal_sequence, bytes, 0, true}); }
    // One journal message. An error means that the partition must not be taken over: this release cannot read it.
    boost::system::result<void, journal::decode_error> add(std::uint64_t journal_sequence, std::string_view payload);

    // Nothing when the journal does not mention the call, or mentions another one that had the same sequence before the log lost its tail.
    const entry* find(const journal::call_ref& call) const;
    void forget(const journal::call_ref& call) { entries_.erase(call); }

    // Calls that are not settled and that the journal holds, in the order of the log.
    std::vector<std::pair<journal::call_ref, entry>> held() const;
    const owner& owner_of(const entry& what) const { return *owners_[what.owner]; }
    const std::map<std::string, reservation>& reservations() const noexcept { return reservations_; }

    std::uint64_t epoch() const noexcept { return epoch_; } // highest seen, 0: none
    std::uint64_t highest_call() const noexcept { return highest_call_; }
    std::size_t size() const noexcept { return entries_.size(); }
    void clear();

    // A journal message, for the journal's own cleaning; in order.
    struct extent {
        std::uint64_t journal_sequence = 0;
        std::uint64_t bytes = 0;
        std::uint64_t highest_settled = 0; // the highest log sequence that it says is settled
        bool is_void = false;
    };
    const std::vector<extent>& extents() const noexcept { return extents_; }

private:
    boost::system::result<void, journal::decode_error> apply(const journal::record& what, std::uint64_t at);
    std::uint32_t owner_index(owner of);

    boost::unordered_flat_map<journal::call_ref, entry> entries_;
    std::map<owner, std::uint32_t> owner_indices_;
    std::vector<const owner*> owners_;
    std::map<std::string, reservation> reservations_;
    std::vector<extent> extents_;
    std::uint64_t epoch_ = 0;
    std::uint64_t highest_call_ = 0;
};

// The highest log sequence that these records say is settled; 0: none.
std::uint64_t highest_settled(const std::vector<journal::record>& records) noexcept;

}
