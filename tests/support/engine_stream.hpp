#pragma once
#include "sluice/message_log.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace sluice::testing_support {

// A JetStream stream as the engine meets it: sequences, expected last sequence, ids that are remembered for a while, purging from the front, and
// a tail that a power cut takes away. Each message has a stamp of its own, as the time at which the server stored it.
class model_stream {
public:
    std::uint64_t first() const { return first_; }
    std::uint64_t last() const { return messages_.size(); }
    log_info info() const { return {first_, last(), last() + 1 - first_, 0, 0}; }

    boost::system::result<stored_at> append(const std::string& id, headers fields, std::string payload,
                                            std::optional<std::uint64_t> expected_last)
    {
        if (auto known = ids_.find(id); known != ids_.end())
            return stored_at{known->second, true};
        if (expected_last && *expected_last != last())
            return log_errc::wrong_sequence;
        messages_.push_back({last() + 1, std::move(fields), std::move(payload)});
        stamps_.push_back(++appended_);
        ids_[id] = last();
        return stored_at{last(), false};
    }
    boost::system::result<log_message> get(std::uint64_t sequence) const
    {
        if (sequence < first_ || sequence > last())
            return log_errc::not_found;
        return messages_[sequence - 1];
    }
    void purge_below(std::uint64_t sequence) { first_ = std::max(first_, std::min(sequence, last() + 1)); }
    // 0: it is not there.
    std::uint64_t stamp(std::uint64_t sequence) const { return sequence < first_ || sequence > last() ? 0 : stamps_[sequence - 1]; }
    // False: there were none.
    bool forget_ids()
    {
        const bool some = !ids_.empty();
        ids_.clear();
        return some;
    }
    // How often it has lost its tail.
    std::uint64_t losses() const { return losses_; }
    // Returns how many messages it really lost.
    std::uint64_t lose_tail(std::uint64_t count)
    {
        ++losses_;
        count = std::min(count, last() + 1 - first_);
        messages_.resize(messages_.size() - count);
        stamps_.resize(messages_.size());
        std::erase_if(ids_, [this](const auto& entry) { return entry.second > last(); });
        return count;
    }

private:
    std::vector<log_message> messages_; // by sequence - 1; the purged ones stay, unreachable
    std::vector<std::uint64_t> stamps_;
    std::uint64_t first_ = 1, losses_ = 0, appended_ = 0;
    std::map<std::string, std::uint64_t> ids_;
};

}
