#include "core/partition.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace sluice::core {

namespace {

// What a schedule takes in the journal.
constexpr std::uint64_t schedule_bytes = 41;

}

partition::partition(std::uint32_t slot, std::uint32_t number, std::string owner, options with)
    : slot_(slot), number_(number), owner_(std::move(owner)), options_(with), reserve_(with.reserve)
{}

void partition::start(std::vector<action>& out) { out.push_back(act::ask_extents{slot_}); }

void partition::opened(const log_info& journal, const log_info& log, std::vector<action>& out)
{
    if (phase_ != phase::asking)
        return;
    journal_last_ = journal.last_sequence;
    journal_missing_ = journal.messages > 0 ? journal.last_sequence - journal.first_sequence + 1 - journal.messages : 0;
    journal_bytes_max_ = journal.bytes_max;
    log_last_ = log.last_sequence;
    log_first_ = log.messages > 0 ? log.first_sequence : log.last_sequence + 1;
    mark_.emplace(log_first_);
    read_ = log_first_ - 1;
    phase_ = phase::replaying;
    if (journal.messages == 0)
        claim(out);
    else
        out.push_back(act::read_journal{slot_});
}

void partition::journal_message(const log_message& message, std::vector<action>& out)
{
    if (phase_ != phase::replaying || !follows(message.sequence, out))
        return;
    if (!journal::is_batch(message.payload)) {
        replay_.pass_over(message.sequence, message.payload.size());
        out.push_back(act::warn{slot_, "journal sequence " + std::to_string(message.sequence) + " was written by no owner: passed over"});
    } else if (auto added = replay_.add(message.sequence, message.payload); !added)
        return close("journal sequence " + std::to_string(message.sequence) + ": " + added.error().message, true, out);
    if (message.sequence >= journal_last_) {
        journal_last_ = message.sequence;
        claim(out);
    }
}

// What was read of a journal is of use with all that came after it. Where the front is purged beyond it meanwhile (a former owner's request
// comes late), a record may be known whose last word is gone: the replay is begun anew.
bool partition::follows(std::uint64_t sequence, std::vector<action>& out)
{
    const auto jumped = journal_next_ == 0 ? 0 : sequence - journal_next_;
    const auto expected = std::exchange(journal_next_, sequence + 1);
    if (jumped == 0)
        return true;
    const auto range = std::to_string(expected) + " to " + std::to_string(sequence - 1);
    if (jumped > journal_missing_) {
        close("journal sequences " + range + " were removed while it was replayed", false, out);
        return false;
    }
    journal_missing_ -= jumped;
    out.push_back(act::warn{slot_, "journal sequences " + range + " are missing: what they said is lost, and calls may run again"});
    return true;
}

void partition::claim(std::vector<action>& out)
{
    if (replay_.highest_call() > log_last_)
        out.push_back(act::warn{slot_,
                                "the log ends at sequence " + std::to_string(log_last_) + ", before what the journal speaks of ("
                                    + std::to_string(replay_.highest_call()) + "): it has lost its tail"});
    for (const auto& each : replay_.extents())
        space_.add(each.journal_sequence, each.bytes, each.highest_settled, each.is_void);
    for (const auto& [tenant, what] : replay_.reservations()) {
        if (what.slots == 0)
            continue;
        reserve_.restore(tenant, what.slots, what.at);
        space_.hold(what.at, 0);
    }
    writer_.emplace(replay_.epoch() + 1, owner_, journal_last_, options_.writer);
    phase_ = phase::claiming;
}

void partition::close(std::string reason, bool final, std::vector<action>& out)
{
    if (phase_ == phase::closed)
        return;
    phase_ = phase::closed;
    writer_.reset();
    calls_ = {};
    held_numbers_ = {};
    replay_ = {};
    space_ = {};
    reserve_ = reservations(options_.reserve);
    out.push_back(act::closed{slot_, number_, std::move(reason), final});
}

// ---- the index

void partition::enter_held(const std::function<void(const held_call&)>& resume)
{
    for (const auto& [ref, history] : replay_.held()) {
        const auto number = held_numbers + held_numbers_.size();
        held_numbers_.emplace(ref, number);
        auto& what = calls_[number];
        what.sequence = ref.sequence;
        what.id_hash = ref.id_hash;
        what.bytes = history.call_bytes;
        what.answered = history.reached == replay::stage::answered;
        held(what, history.whole_at, history.whole_bytes);
        if (history.schedule_at != 0)
            scheduled(what, history.schedule_at);
        resume({number, &what, &history, &replay_.owner_of(history)});
    }
    forget_replay();
}

// The journal may speak of calls that entered the log after its extent was asked for.
void partition::forget_replay()
{
    if (read_ >= std::max(log_last_, replay_.highest_call()))
        replay_.clear();
}

partition::entered partition::enter(const journal::call_ref& ref, std::uint32_t bytes)
{
    mark_->read(ref.sequence, bytes);
    const auto* history = replay_.find(ref);
    if (history && (history->reached == replay::stage::settled || history->whole_at != 0)) {
        mark_->settled(ref.sequence);
        return {nullptr, history};
    }
    auto& what = calls_[ref.sequence];
    what.sequence = ref.sequence;
    what.id_hash = ref.id_hash;
    what.bytes = bytes;
    what.in_log = true;
    if (history && history->schedule_at != 0)
        scheduled(what, history->schedule_at);
    return {&what, history};
}

void partition::read_up_to(const journal::call_ref& ref)
{
    read_ = ref.sequence;
    read_hash_ = ref.id_hash;
    if (replay_.size() == 0)
        return;
    replay_.forget(ref);
    forget_replay();
}

call* partition::find(std::uint64_t number)
{
    auto at = calls_.find(number);
    return at == calls_.end() ? nullptr : &at->second;
}

call* partition::find(const journal::call_ref& ref, std::uint64_t& number)
{
    const auto held = held_numbers_.find(ref);
    number = held == held_numbers_.end() ? ref.sequence : held->second;
    auto* what = find(number);
    return what && what->ref() == ref ? what : nullptr;
}

std::uint64_t partition::body_bytes() const
{
    std::uint64_t sum = 0;
    for (const auto& [number, what] : calls_)
        sum += what.body ? what.bytes : 0;
    return sum;
}

void partition::held(call& what, std::uint64_t at, std::uint64_t bytes)
{
    if (what.whole_at != 0)
        space_.release(what.whole_at, what.whole_bytes);
    what.whole_at = at;
    what.whole_bytes = static_cast<std::uint32_t>(bytes);
    space_.hold(at, bytes);
    leave_log(what);
}

void partition::carried(call& what, std::uint64_t at, std::uint64_t bytes)
{
    carrying_ -= what.in_log ? 1 : 0; // else it is a copy
    held(what, at, bytes);
}

void partition::leave_log(call& what)
{
    if (std::exchange(what.in_log, false))
        mark_->settled(what.sequence);
}

void partition::scheduled(call& what, std::uint64_t at)
{
    if (what.schedule_at != 0)
        space_.release(what.schedule_at, schedule_bytes);
    what.schedule_at = at;
    if (at != 0)
        space_.hold(at, schedule_bytes);
}

void partition::settle(std::uint64_t number)
{
    auto at = calls_.find(number);
    if (at == calls_.end())
        return;
    auto& what = at->second;
    if (what.whole_at != 0)
        space_.release(what.whole_at, what.whole_bytes);
    leave_log(what);
    scheduled(what, 0);
    if (number >= held_numbers)
        held_numbers_.erase(what.ref());
    calls_.erase(at);
}

void partition::reserved(const journal::reserved& what, std::uint64_t at)
{
    if (const auto before = reserve_.stored(what, at); before != 0)
        space_.release(before, 0);
    if (what.slots > 0)
        space_.hold(at, 0);
}

void partition::hand_over()
{
    // Calls of an owner before this one may still run: whoever is next goes on counting them.
    if (!std::exchange(handed_over_, true) && !reserve_.ghosts())
        record(journal::handed_over{});
}

// ---- the journal

void partition::pump(instant now, std::vector<journal_writer::stored>& stored, std::vector<action>& out)
{
    if (!writer_)
        return;
    for (auto& next : writer_->actions(now.mono)) {
        if (auto* done = std::get_if<journal_writer::stored>(&next)) {
            space_.add(done->sequence, done->bytes, highest_settled(done->records), false);
            if (phase_ == phase::claiming) {
                phase_ = phase::owning;
                reserve_.begin(now.mono);
                out.push_back(act::read_log{slot_, read_ + 1});
            }
            stored.push_back(std::move(*done));
        } else if (auto* sent = std::get_if<journal_writer::append>(&next)) {
            out.push_back(act::append{slot_, std::move(*sent)});
        } else if (auto* place = std::get_if<journal_writer::read_back>(&next)) {
            out.push_back(act::read_back{slot_, place->sequence});
        } else if (std::get_if<journal_writer::ask_last>(&next)) {
            out.push_back(act::ask_last{slot_});
        } else if (auto* gone = std::get_if<journal_writer::lost>(&next)) {
            return close(std::move(gone->reason), gone->final, out);
        }
    }
}

}
