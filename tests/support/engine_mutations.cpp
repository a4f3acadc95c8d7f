#include "tests/support/engine_mutations.hpp"

#include "core/journal_records.hpp"

#include <array>
#include <functional>

namespace sluice::testing_support {

using namespace core;

namespace {

constexpr std::array engines{
    broken_engine{mutation::callback_before_record, "callback_before_record", "sends a callback together with the append of its answer",
                  "a callback was sent whose answer is not on record"},
    broken_engine{mutation::attempt_not_recorded, "attempt_not_recorded", "makes the next attempt without the last one on record",
                  "an attempt was made before the one before it was on record"},
    broken_engine{mutation::callback_attempt_not_recorded, "callback_attempt_not_recorded",
                  "sends a callback again without the last attempt on record",
                  "a callback was sent before the attempt before it was on record"},
    broken_engine{mutation::answer_not_recorded, "answer_not_recorded", "leaves answers out of the batch that should hold them",
                  "a callback was sent whose answer is not on record"},
    broken_engine{mutation::settled_not_recorded, "settled_not_recorded", "leaves ends of calls out of the batch that should hold them",
                  "a call was purged from the log that is neither settled nor kept on record"},
    broken_engine{mutation::settled_for_no_reason, "settled_for_no_reason", "records every end as one without a callback",
                  "a call is done that was not executed, or whose callback is due"},
    broken_engine{mutation::refused_callback_delivered, "refused_callback_delivered", "takes a refused callback for a delivered one",
                  "a callback is settled that was not delivered"},
    broken_engine{mutation::dispatched_twice, "dispatched_twice", "starts a call that runs",
                  "a call was dispatched twice at once by one owner"},
    broken_engine{mutation::answer_forgotten, "answer_forgotten", "never hears of the end of an attempt", "are not settled"},
    broken_engine{mutation::no_fencing, "no_fencing", "appends without an expected sequence",
                  "the journal took a record of one who is not its owner"},
    broken_engine{mutation::ack_without_storing, "ack_without_storing", "believes an append that was not stored",
                  "a callback was sent whose answer is not on record"},
    broken_engine{mutation::append_kept_for_later, "append_kept_for_later", "sends again what was not answered, after what is newer",
                  "a record of a call that is settled"},
    broken_engine{mutation::epoch_not_raised, "epoch_not_raised", "takes over in the epoch of the owner before it",
                  "the journal took a record of one who is not its owner"},
    broken_engine{mutation::replay_skips, "replay_skips", "passes over a message of the journal at a take-over",
                  "dispatched a call whose outcome is on record"},
    broken_engine{mutation::attempts_forgotten, "attempts_forgotten", "does not count the attempts before a take-over",
                  "an attempt that is on record was forgotten"},
    broken_engine{mutation::callback_attempts_forgotten, "callback_attempts_forgotten",
                  "does not count the attempts to deliver a callback before a take-over",
                  "an attempt to deliver a callback that is on record was forgotten"},
    broken_engine{mutation::hash_ignored, "hash_ignored", "takes records by their sequence alone for a call's own", "are not settled"},
    broken_engine{mutation::handed_over_too_soon, "handed_over_too_soon", "says that nothing runs while something does",
                  "a partition was handed over while a call of it ran"},
    broken_engine{mutation::log_skips, "log_skips", "passes over a message of the log", "are not settled"},
    broken_engine{mutation::log_purged_too_far, "log_purged_too_far", "has its watermark off by one",
                  "a call was purged from the log that is neither settled nor kept on record"},
    broken_engine{mutation::log_unchecked, "log_unchecked", "purges a log that lost its tail and was filled again",
                  "a call was purged from the log that is neither settled nor kept on record"},
    broken_engine{mutation::log_not_purged, "log_not_purged", "never purges the log", "a log was not purged of what is settled"},
    broken_engine{mutation::journal_purged_too_far, "journal_purged_too_far", "purges one message of the journal too many",
                  "was purged from the journal"},
    broken_engine{mutation::journal_not_purged, "journal_not_purged", "believes a purge of the journal that was not made",
                  "a journal was not purged of what is settled"},
    broken_engine{mutation::straggler_dropped, "straggler_dropped", "lets the watermark pass a call without carrying it",
                  "a call was purged from the log that is neither settled nor kept on record"},
    broken_engine{mutation::straggler_changed, "straggler_changed", "carries a call that is not what was accepted",
                  "a call was changed when it was carried"},
    broken_engine{mutation::body_mixed_up, "body_mixed_up", "fetches another body than the call's",
                  "what was dispatched is not what was accepted"},
    broken_engine{mutation::answer_changed, "answer_changed", "fetches another answer than the one on record",
                  "a callback was sent whose answer is not on record"},
    broken_engine{mutation::replica_overbooked, "replica_overbooked", "gives a replica one call more than it takes",
                  "limit exceeded: running calls of a replica"},
    broken_engine{mutation::tenant_overbooked, "tenant_overbooked", "gives a tenant one place more than it has",
                  "limit exceeded: running calls of a tenant"},
    broken_engine{mutation::workers_calls_overbooked, "workers_calls_overbooked", "runs one call more than it may in all",
                  "limit exceeded: running calls"},
    broken_engine{mutation::callbacks_overbooked, "callbacks_overbooked", "sends one callback more than it may at once",
                  "limit exceeded: callbacks"},
    broken_engine{mutation::tenant_callbacks_overbooked, "tenant_callbacks_overbooked", "sends one callback of a tenant more than it may",
                  "limit exceeded: callbacks of a tenant"},
    broken_engine{mutation::one_attempt_more, "one_attempt_more", "tries once more than it should", "there were too many attempts"},
    broken_engine{mutation::retries_overbooked, "retries_overbooked", "gives retries all that a tenant has",
                  "limit exceeded: running retries of a tenant"},
    broken_engine{mutation::reservation_not_recorded, "reservation_not_recorded", "starts calls before their reservation is on record",
                  "a call was started that nothing reserves"},
    broken_engine{mutation::former_calls_not_counted, "former_calls_not_counted",
                  "does not count what a former owner's calls may still use", "a tenant has more running at the functions than its limit"},
    broken_engine{mutation::drain_not_heard, "drain_not_heard", "starts calls after it was told to stop",
                  "a call was started after draining began"},
    broken_engine{mutation::lease_ignored, "lease_ignored", "acts though its lease has run out",
                  "an effect of a worker whose lease another one holds"},
    broken_engine{mutation::lease_overrun, "lease_overrun", "acts a third of a lease longer than it may",
                  "an effect of a worker whose lease another one holds"},
    broken_engine{mutation::accepted_without_ack, "accepted_without_ack", "says 202 before the log has the call",
                  "a call was answered 202 that is not stored"},
};

std::string changed(const std::string& payload, const std::function<void(journal::batch&)>& how)
{
    auto batch = journal::decode(payload);
    if (!batch)
        return payload;
    how(*batch);
    auto written = journal::encode_head(batch->epoch, batch->owner, batch->number);
    for (const auto& next : batch->records)
        journal::append_record(written, next);
    return written;
}

template <class Record> std::string without(const std::string& payload)
{
    return changed(payload, [](journal::batch& of) {
        std::erase_if(of.records, [](const journal::record& what) { return std::holds_alternative<Record>(what); });
    });
}

template <class Record> std::string with_each(const std::string& payload, const std::function<void(Record&)>& how)
{
    return changed(payload, [&how](journal::batch& of) {
        for (auto& next : of.records)
            if (auto* what = std::get_if<Record>(&next))
                how(*what);
    });
}

}

std::span<const broken_engine> broken_engines() { return engines; }

bool shows_in_lost_tails(mutation how) { return how == mutation::hash_ignored || how == mutation::log_unchecked; }

std::string as_written(mutation how, std::string payload)
{
    switch (how) {
    case mutation::attempt_not_recorded: return without<journal::retry_scheduled>(payload);
    case mutation::callback_attempt_not_recorded: return without<journal::callback_scheduled>(payload);
    case mutation::answer_not_recorded: return without<journal::answered>(payload);
    case mutation::settled_not_recorded: return without<journal::settled>(payload);
    case mutation::straggler_dropped: return without<journal::carried>(payload);
    case mutation::reservation_not_recorded: return without<journal::reserved>(payload);
    case mutation::settled_for_no_reason:
        return with_each<journal::settled>(payload, [](auto& what) { what.how = journal::settled::how_kind::done; });
    case mutation::handed_over_too_soon:
        return changed(payload, [](journal::batch& of) {
            if (of.number % 8 == 7)
                of.records.emplace_back(journal::handed_over{});
        });
    case mutation::epoch_not_raised:
        return changed(payload, [](journal::batch& of) { of.epoch = std::max<std::uint64_t>(of.epoch, 2) - 1; });
    default: return payload;
    }
}

std::string as_replayed(mutation how, std::string payload)
{
    switch (how) {
    case mutation::attempts_forgotten: return with_each<journal::retry_scheduled>(payload, [](auto& what) { what.attempts = 0; });
    case mutation::callback_attempts_forgotten:
        return with_each<journal::callback_scheduled>(payload, [](auto& what) { what.attempts = 0; });
    default: return payload;
    }
}

log_message with_another_answer(log_message message)
{
    message.payload = with_each<journal::answered>(message.payload, [](auto& what) { what.body += " and more"; });
    return message;
}

}
