#pragma once
#include "sluice/message_log.hpp"
#include "tests/support/engine_timeline.hpp"

#include <span>
#include <string>
#include <string_view>

namespace sluice::testing_support {

// Engines that are broken on purpose, each in one rule: what they write, read, do or are told is changed where it passes. The books must notice
// each by the check that is there for it.
enum class mutation {
    none,
    // the order of effects
    callback_before_record,
    attempt_not_recorded,
    callback_attempt_not_recorded,
    answer_not_recorded,
    settled_not_recorded,
    settled_for_no_reason,
    refused_callback_delivered,
    dispatched_twice,
    answer_forgotten,
    // the journal
    no_fencing,
    ack_without_storing,
    append_kept_for_later,
    epoch_not_raised,
    replay_skips,
    attempts_forgotten,
    callback_attempts_forgotten,
    hash_ignored,
    handed_over_too_soon,
    // the log and its cleaning
    log_skips,
    log_purged_too_far,
    log_unchecked,
    log_not_purged,
    journal_purged_too_far,
    journal_not_purged,
    straggler_dropped,
    straggler_changed,
    body_mixed_up,
    answer_changed,
    // limits
    replica_overbooked,
    tenant_overbooked,
    workers_calls_overbooked,
    callbacks_overbooked,
    tenant_callbacks_overbooked,
    one_attempt_more,
    retries_overbooked,
    reservation_not_recorded,
    former_calls_not_counted,
    drain_not_heard,
    // who acts, and what is promised
    lease_ignored,
    lease_overrun,
    accepted_without_ack,
};

struct broken_engine {
    mutation how;
    std::string_view name;
    std::string_view what;    // it does
    std::string_view noticed; // what the books say
};
std::span<const broken_engine> broken_engines();
// Does its harm only where a log lost its tail and was filled again: looked for where that happens often, it is found in few histories.
bool shows_in_lost_tails(mutation how);

// A batch as that engine writes it.
std::string as_written(mutation how, std::string payload);
// A batch as that engine reads it at a take-over.
std::string as_replayed(mutation how, std::string payload);
// A message as that engine gets it, when it fetches the answer in it.
log_message with_another_answer(log_message message);

}
