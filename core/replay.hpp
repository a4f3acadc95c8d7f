#pragma once
#include "core/journal_records.hpp"

#include <boost/unordered/unordered_flat_map.hpp>

namespace sluice::core {

// What a partition's journal says about the calls of its log, read from its first message to its last before the partition is taken over. Of
// each call only the last word counts. A batch of an epoch below the highest one seen is void: its writer was no longer the owner. Pure.
class replay {
public:
    enum class word : std::uint8_t { settled, retry, answered };

    struct entry {
        std::uint64_t id_hash = 0;
        std::uint64_t journal_sequence = 0; // of the message that holds the record
        unix_ms recorded_at = 0;            // retry
        std::uint64_t delay_ms = 0;         // retry
        std::uint32_t attempts = 0;
        word last = word::settled;
    };

    // One journal message. An error means that the partition must not be taken over: this release cannot read it.
    boost::system::result<void, journal::decode_error> add(std::uint64_t journal_sequence, std::string_view payload);

    // Nothing when the journal does not mention the call, or mentions another one that had the same sequence before the log lost its tail.
    const entry* find(const journal::call_ref& call) const;
    void forget(std::uint64_t sequence) { entries_.erase(sequence); }

    std::uint64_t epoch() const noexcept { return epoch_; } // highest seen, 0: none
    std::uint64_t highest_call() const noexcept { return highest_call_; }
    std::size_t size() const noexcept { return entries_.size(); }
    void clear() { entries_ = {}; }

    // The highest log sequence that a journal message speaks of, for the journal's own cleaning; in order.
    struct extent {
        std::uint64_t journal_sequence = 0;
        std::uint64_t highest_call = 0;
        bool is_void = false;
    };
    const std::vector<extent>& extents() const noexcept { return extents_; }

private:
    boost::unordered_flat_map<std::uint64_t, entry> entries_;
    std::vector<extent> extents_;
    std::uint64_t epoch_ = 0;
    std::uint64_t highest_call_ = 0;
};

// The highest log sequence that these records speak of; 0: none.
std::uint64_t highest_call(const std::vector<journal::record>& records) noexcept;

}
