#pragma once
#include "sluice/key_value.hpp"
#include "sluice/time.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::core {

struct lease_options {
    milliseconds ttl{3'000};       // a candidate waits that long after the last change that it saw
    milliseconds margin{500};      // the holder stops acting that much before, for clocks that run at different rates
    milliseconds renew_every{750}; // and after a write that failed, or was not answered for so long
};
// All of them in those proportions.
lease_options lease_terms(milliseconds ttl);

// One partition's lease as one worker sees it: a key of the leases bucket, changed by compare-and-set alone. The lease says who should
// act on a partition; who may write its journal is decided by the journal itself. The holder may act until (the time at which it sent its last
// successful write + ttl - margin); a candidate claims one ttl (its own or the holder's, whichever is longer), by its own clock, after the last
// change that it saw, and at once what was given back or is its own from a former life. No two machines' clocks are compared. Times are of a clock
// that goes on while the machine sleeps (CLOCK_BOOTTIME). Pure; no I/O: next() says what to do, the other members take what came of it.
// After Gray and Cheriton, "Leases", 1989.
class lease {
public:
    // `worker` names the worker and outlives its process: two processes with one name at a time are the operator's mistake, of which the
    // later one works and the earlier one stands by. `session` is this process's alone.
    lease(std::string worker, std::string session, lease_options with);

    // The key's newest entry, from the bucket's watcher or a read. Older ones than known are ignored, but for a read's that nothing overtook: then
    // the bucket was made anew.
    void seen(const kv_entry& entry, mono_time now);
    // The watcher has told all there is: a key that it did not tell does not exist.
    void current() noexcept { known_ = true; }
    // `write` is the step's number.
    void written(std::uint64_t write, key_value::result<std::uint64_t> result, mono_time now);
    void read(const key_value::result<kv_entry>& result, mono_time now);
    // From now on the lease is given back, and not claimed again.
    void give_back(mono_time now) noexcept;

    struct step {
        enum class kind : std::uint8_t { none, create, update, read } what = kind::none;
        std::string value;
        std::uint64_t revision = 0; // update: the one that the key must have
        std::uint64_t number = 0;   // of a create or update
    };
    // What to do now; the answer is awaited before the next step, but not for longer than renew_every.
    step next(mono_time now);
    std::optional<mono_time> next_due() const;

    // Nobody else has held it since we got it: what was read from the partition still holds, though we may have to wait for a renewal.
    bool mine() const noexcept { return holder_.session == session_; }
    // Effects outside are ours to make. Asked before each of them.
    bool may_act(mono_time now) const noexcept { return mine() && now < act_until_; }
    // The last moment at which somebody else may have acted for the partition before it became ours; set while mine().
    mono_time others_until() const noexcept { return others_until_; }
    // The worker that holds it; empty: nobody, or not known yet.
    const std::string& holder() const noexcept { return holder_.worker; }
    bool known() const noexcept { return known_; }
    // Another process of this worker's name took it from us, and holds it.
    bool taken_by_namesake() const noexcept { return taken_by_namesake_; }
    // Why the stored value cannot be used (a newer release wrote it): then it is never claimed. Empty: it can.
    const std::string& problem() const noexcept { return problem_; }

private:
    struct held_by {
        std::string worker;
        std::string session;
        std::uint64_t renewal = 0;
        milliseconds ttl{0};
    };
    struct sent_write {
        std::uint64_t renewal = 0;
        mono_time at;
        std::uint64_t known = 0; // revision_ when it was sent
        bool gives_back = false;
    };
    bool claimable(mono_time now) const;
    mono_time claim_due() const;
    void adopt(held_by holder, mono_time now);
    std::optional<held_by> decode(std::string_view value);
    std::string encode(const held_by& holder) const;

    std::string worker_;
    std::string session_;
    lease_options options_;
    held_by holder_;
    std::string problem_;
    std::uint64_t revision_ = 0;      // of what is known; 0: no entry
    std::uint64_t known_at_read_ = 0; // revision_ when the last read was sent
    bool erased_ = false;
    bool taken_by_namesake_ = false;
    bool known_ = false;
    bool leaving_ = false;
    bool in_doubt_ = false; // a write lost against something not seen yet
    bool waiting_ = false;  // for the answer of the last step
    mono_time waiting_until_{};
    mono_time changed_at_{};
    mono_time act_until_{};
    mono_time others_until_{};
    mono_time again_at_{}; // the next renewal or attempt
    std::uint64_t renewals_ = 0;
    std::vector<sent_write> unanswered_; // sent, and not known to be stored or void; newest last
};

}
