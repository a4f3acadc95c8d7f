// How a partition keeps its log and its journal small: stragglers are carried from the log into the journal, what is settled is purged from the log,
// what counts at the journal's front is copied to its end, and the front is purged. Each step begins only once what it relies on is on
// record, so that a crash between any two leaves nothing lost; a step that was not finished is taken again by the next owner.
#include "core/partition.hpp"

#include <algorithm>
#include <utility>

namespace sluice::core {

namespace {

std::uint64_t hash_of(const log_message& message)
{
    const auto* id = sluice::find(message.fields, "Nats-Msg-Id");
    return id ? hash_id(*id) : 0;
}

}

// ---- stragglers

bool partition::carry_wanted() const noexcept
{
    if (phase_ != phase::owning || carrying_ > 0 || handed_over_ || suspended_)
        return false;
    const bool stuck = mark_->stuck_bytes() > mark_->live_bytes() && mark_->stuck_bytes() >= purge_bytes_min();
    return stuck || mark_->value() < carry_below_;
}

void partition::carry(instant now, std::vector<action>& out)
{
    if (now.mono < carry_at_ || !carry_wanted())
        return;
    for (const auto sequence : mark_->stragglers(options_.carry_calls_max, options_.carry_bytes_max)) {
        const auto* what = find(sequence);
        // The server would refuse it in a batch: what is behind it waits until it is over.
        if (what && what->bytes > options_.record_bytes_max)
            break;
        // Of one that is over, the record that lets it go is under way.
        if (!what || what->state == call_state::recording)
            continue;
        ++carrying_;
        out.push_back(act::fetch_straggler{slot_, sequence});
    }
    if (carrying_ == 0)
        carry_at_ = now.mono + options_.purge_interval;
}

void partition::straggler_fetched(std::uint64_t sequence, boost::system::result<log_message> result, instant now, std::vector<action>& out)
{
    if (phase_ != phase::owning)
        return;
    --carrying_;
    const auto* what = find(sequence);
    if (!what || !what->in_log || what->state == call_state::recording || handed_over_)
        return;
    if ((result && hash_of(*result) != what->id_hash) || (!result && result.error() == log_errc::not_found))
        return close("log sequence " + std::to_string(sequence) + " is not what was read: the log has lost its tail", false, out);
    if (!result) {
        carry_at_ = now.mono + options_.purge_interval;
        return;
    }
    journal::record whole = journal::carried{what->ref(), std::move(result->fields), std::move(result->payload)};
    if (journal::size_of(whole) > options_.record_bytes_max) {
        carry_at_ = now.mono + options_.purge_interval;
        return;
    }
    ++carrying_;
    record(std::move(whole));
}

// ---- the log

void partition::purge_log(std::vector<action>& out)
{
    const auto target = purging_ ? 0 : mark_->purge_target(options_.purge_step_max, purge_bytes_min(), purge_below());
    if (target == 0)
        return;
    purging_ = true;
    purge_to_ = target;
    check_hash_ = read_hash_;
    out.push_back(act::check_log{slot_, read_});
}

// A log loses messages from its end. As long as the last one that was read is still itself, so are those before it, and what is removed is what was
// settled. Where it is not there, it was purged with all before it, by a request whose answer was lost or a former owner's, or it is lost.
void partition::log_checked(std::uint64_t sequence, const boost::system::result<log_message>& result, std::vector<action>& out)
{
    if (phase_ != phase::owning || !purging_)
        return;
    if (!result && result.error() == log_errc::not_found) {
        asked_at_ = read_;
        return out.push_back(act::ask_log{slot_});
    }
    if (!result || suspended_) {
        purging_ = false;
        return;
    }
    if (hash_of(*result) != check_hash_)
        return close("log sequence " + std::to_string(sequence) + " is not what was read: the log has lost its tail", false, out);
    out.push_back(act::purge_log{slot_, purge_to_});
}

void partition::log_extent(const boost::system::result<log_info>& result, std::vector<action>& out)
{
    if (!purging_ || phase_ != phase::owning)
        return;
    if (result && result->last_sequence < asked_at_)
        return close("the log ends at sequence " + std::to_string(result->last_sequence) + ", before what was read: it has lost its tail",
                     false, out);
    log_purged(purge_to_, result && result->first_sequence >= purge_to_, out);
}

void partition::log_purged(std::uint64_t below, bool done, std::vector<action>& out)
{
    purging_ = false;
    if (!done || phase_ != phase::owning)
        return;
    mark_->purged(below);
    log_first_ = std::max(log_first_, below);
    if (!suspended_)
        purge_journal(out);
}

// ---- the journal

void partition::purge_journal(std::vector<action>& out)
{
    // Until the log was read to where the journal speaks of it, it is not known what counts.
    if (replay_.size() > 0)
        return;
    const auto target = space_.purge_target(log_first_, options_.purge_step_max);
    if (target == 0)
        return;
    space_.purged(target);
    out.push_back(act::purge_journal{slot_, target});
}

void partition::copy(std::vector<action>& out)
{
    if (copy_last_ == 0 || copying_ || handed_over_ || writer_->unstored_bytes() > options_.carry_bytes_max)
        return;
    copy_next_ = space_.next_held(copy_next_, copy_last_);
    if (copy_next_ == 0) {
        copy_last_ = 0;
        return;
    }
    copying_ = true;
    out.push_back(act::fetch_journal{slot_, copy_next_});
}

void partition::journal_fetched(std::uint64_t sequence, const boost::system::result<log_message>& result, instant, std::vector<action>& out)
{
    if (phase_ != phase::owning || !copying_ || sequence != copy_next_)
        return;
    copying_ = false;
    if (!result && result.error() != log_errc::not_found) {
        copy_last_ = 0; // later, from the front
        return;
    }
    const auto batch = result ? journal::decode(result->payload) : journal::decode({});
    if (!batch)
        return close("journal sequence " + std::to_string(sequence) + " does not hold the records that were stored there", false, out);
    if (!handed_over_)
        for (const auto& each : batch->records)
            copy(each, sequence);
    ++copy_next_;
}

// A record that is the last word, as it is; nothing is copied of a call whose end is being recorded, because it would come after it.
void partition::copy(const journal::record& what, std::uint64_t at)
{
    if (const auto* reserved = std::get_if<journal::reserved>(&what)) {
        if (reserve_.counts(*reserved, at))
            record(what);
        return;
    }
    const auto* ref = journal::call_of(what);
    std::uint64_t number = 0;
    const auto* of = ref ? find(*ref, number) : nullptr;
    if (!of || of->state == call_state::recording || std::get_if<journal::settled>(&what))
        return;
    bool counts = of->whole_at == at && of->answered == (std::get_if<journal::answered>(&what) != nullptr);
    if (const auto* retry = std::get_if<journal::retry_scheduled>(&what))
        counts = of->schedule_at == at && retry->attempts == of->attempts;
    else if (const auto* callback = std::get_if<journal::callback_scheduled>(&what))
        counts = of->schedule_at == at && callback->attempts == of->callback_attempts;
    if (counts)
        record(what);
}

// ---- when

bool partition::in_need() const noexcept { return crowded() || (writer_ && writer_->full()); }

// Where the journal needs room, cleaning is worth whatever it frees.
std::uint64_t partition::purge_bytes_min() const noexcept { return in_need() ? 1 : options_.purge_bytes_min; }

// The log is purged to here even where that frees little: what is settled in it keeps the journal's front.
std::uint64_t partition::purge_below() const noexcept { return in_need() ? mark_->value() : carry_below_; }

void partition::tell_of_room(std::vector<action>& out)
{
    if (const bool full = writer_->full(); std::exchange(told_full_, full) != full && full)
        out.push_back(act::warn{slot_, "the journal is full: nothing is started until there is room"});
    if (const bool now = crowded(); std::exchange(told_crowded_, now) != now)
        out.push_back(act::warn{slot_,
                                now ? "the journal has " + std::to_string(space_.stored_bytes()) + " bytes of "
                                        + std::to_string(journal_bytes_max_) + ": no calls are started until there is room"
                                    : "the journal has room again"});
}

bool partition::purge_wanted() const noexcept
{
    return phase_ == phase::owning && !suspended_ && !purging_
        && mark_->purge_target(options_.purge_step_max, purge_bytes_min(), purge_below()) != 0;
}

bool partition::copy_wanted() const noexcept
{
    return phase_ == phase::owning && !suspended_ && space_.dead_bytes() > space_.live_bytes() && space_.dead_bytes() >= purge_bytes_min();
}

void partition::clean(instant now, std::vector<action>& out)
{
    if (phase_ == phase::owning)
        tell_of_room(out);
    if (purge_wanted() && now.mono >= purge_at_) {
        purge_at_ = now.mono + options_.purge_interval;
        purge_log(out);
    }
    if (copy_wanted() && now.mono >= copy_at_) {
        copy_at_ = now.mono + options_.purge_interval;
        look_at_journal(out);
    }
    if (phase_ != phase::owning || stalled())
        return;
    carry(now, out);
    copy(out);
}

void partition::look_at_journal(std::vector<action>& out)
{
    if (replay_.size() > 0)
        return;
    purge_journal(out);
    // What settled calls of the log keep in the journal goes with the log; what holds the log is carried, where that costs less than it frees.
    const bool pinned = space_.dead_bytes() > space_.live_bytes() + mark_->live_bytes();
    carry_below_ = pinned ? std::min(space_.highest_settled(), read_) + 1 : 0;
    if (copy_last_ == 0) {
        copy_last_ = space_.copy_target(log_first_, purge_bytes_min());
        copy_next_ = 1;
    }
}

std::optional<mono_time> partition::next_due() const
{
    auto due = writer_ ? writer_->next_due() : std::nullopt;
    const auto also = [&due](bool wanted, mono_time next) {
        if (wanted && (!due || next < *due))
            due = next;
    };
    also(phase_ == phase::owning && !handed_over_ && reserve_.next_due() != mono_time::max(), reserve_.next_due());
    also(purge_wanted(), purge_at_);
    also(copy_wanted(), copy_at_);
    also(carry_wanted() && !stalled(), carry_at_);
    return due;
}

}
