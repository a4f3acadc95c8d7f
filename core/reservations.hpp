#pragma once
#include "core/journal_records.hpp"
#include "sluice/time.hpp"

#include <boost/container_hash/hash.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <string>
#include <vector>

namespace sluice::core {

// How many calls of each tenant may run as far as the journal knows, so that a limit of concurrency holds through a take-over: functions
// go on running when their caller dies. Before more run than is reserved on record, a larger reservation (doubling, at most the limit) is stored. A
// new owner counts the whole reservation as running, as ghosts, until the time that a call may take has passed; a handing over in order leaves
// none. What is reserved and not used is given up after a while. One of a partition's ownership. Pure.
class reservations {
public:
    struct options {
        std::uint32_t limit = 256; // running calls of a tenant, ghosts included
        // How long a former owner's calls count after a take-over: the time that a call may take, for a limit that holds exactly. 0: they do not
        // count, nothing is reserved, and work resumes at once.
        milliseconds call_timeout{60'000};
        milliseconds interval{10'000}; // what was not used for so long is given up
    };

    explicit reservations(options with) : options_(with) {}

    // What was on record at the take-over; `begin` once it is ours.
    void restore(const std::string& tenant, std::uint32_t slots, std::uint64_t at);
    void begin(mono_time now);

    // One more call of the tenant may start. If not, something that wait_over() names, or finished(), has to come first; grow() may help.
    bool may_start(const std::string& tenant);
    void started(const std::string& tenant);
    void finished(const std::string& tenant);

    // What to record now, for a tenant that may not start a call, or of those that have not used theirs.
    std::vector<journal::reserved> grow(const std::string& tenant);
    std::vector<journal::reserved> shrink(mono_time now);
    // It is on record, in this journal message. The sequence of the one that counted before; 0: none did.
    std::uint64_t stored(const journal::reserved& what, std::uint64_t at);
    // The message holds the tenant's last word.
    bool counts(const journal::reserved& what, std::uint64_t at) const;

    // Calls of a former owner may still run.
    bool ghosts() const noexcept { return ghosts_until_ != mono_time::max(); }
    // Of calls that must have ended by now.
    void end_ghosts(mono_time now);
    mono_time next_due() const noexcept { return tenants_.empty() ? mono_time::max() : std::min(ghosts_until_, shrink_at_); }
    std::size_t tenants() const noexcept { return tenants_.size(); }

private:
    struct state {
        std::uint32_t reserved = 0; // on record
        std::uint32_t pending = 0;  // what is being recorded
        std::uint32_t ghosts = 0;
        std::uint32_t running = 0;
        std::uint32_t peak = 0; // of running, since the last look
        std::uint64_t at = 0;   // journal sequence of what is on record
        bool is_pending = false;
    };
    static bool may_start(const state& what) noexcept;

    options options_;
    boost::unordered_flat_map<std::string, state, boost::hash<std::string>> tenants_;
    mono_time ghosts_until_ = mono_time::max();
    mono_time shrink_at_ = mono_time::max();
};

}
