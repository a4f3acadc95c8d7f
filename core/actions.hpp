#pragma once
#include "core/invocation.hpp"
#include "core/journal_records.hpp"
#include "core/journal_writer.hpp"
#include "core/retry.hpp"
#include "sluice/function.hpp"

#include <memory>
#include <string>
#include <variant>

// What a shard asks of whoever runs it. Each action that wants an answer says which member of core::shard takes it. Actions are performed in
// order; an answer never arrives inside the call that performs one.
namespace sluice::core {

// A call of one ownership of a partition, by its number there (see partition::held_numbers). A slot number is never used again, so what
// belongs to an ownership that ended is recognised.
struct call_key {
    std::uint32_t slot = 0;
    std::uint64_t sequence = 0;

    friend auto operator<=>(const call_key&, const call_key&) = default;
    friend std::size_t hash_value(const call_key& key) noexcept
    {
        return static_cast<std::size_t>(key.sequence * 0x9E3779B97F4A7C15u + key.slot);
    }
};

namespace act {

// The extents of the partition's log and journal; answer: opened().
struct ask_extents {
    std::uint32_t slot = 0;
};
// Read the journal from its first message; answers: journal_message() each, until read_log or closed.
struct read_journal {
    std::uint32_t slot = 0;
};
// Read the log in order from this sequence, for as long as the slot lives; the journal is not read any more. Answers: log_message() each.
struct read_log {
    std::uint32_t slot = 0;
    std::uint64_t from = 1;
};
// Ask the log's reader for no more, or for more again.
struct pause_log {
    std::uint32_t slot = 0;
    bool paused = false;
};
// Answers: append_result().
struct append {
    std::uint32_t slot = 0;
    journal_writer::append what;
};
// Read this sequence of the journal from the leader; answer: read_back_result().
struct read_back {
    std::uint32_t slot = 0;
    std::uint64_t sequence = 0;
};
// Answer: last_result().
struct ask_last {
    std::uint32_t slot = 0;
};
// Read a call again, from its log message or from the journal message that carries it; answer: call_fetched().
struct fetch_call {
    call_key call;
    std::uint64_t sequence = 0;
    bool from_journal = false;
};
// Read a log message that is to be carried; answer: straggler_fetched().
struct fetch_straggler {
    std::uint32_t slot = 0;
    std::uint64_t sequence = 0;
};
// Read a journal message what counts in which is to be copied; answer: journal_fetched().
struct fetch_journal {
    std::uint32_t slot = 0;
    std::uint64_t sequence = 0;
};
// Read the journal message that holds a call's answer; answer: answer_fetched().
struct fetch_answer {
    call_key call;
    std::uint64_t journal_sequence = 0;
};
// Send the call to the replica; answer: attempt_finished().
struct dispatch {
    call_key call;
    std::uint32_t attempt = 1;
    std::uint64_t epoch = 0; // of the ownership that sends it
    std::shared_ptr<const invocation> what;
    std::shared_ptr<const endpoint> target;
};
// Send the callback; answer: callback_finished().
struct send_callback {
    call_key call;
    std::uint32_t attempt = 1;
    std::shared_ptr<const journal::answered> what;
};
// Read the log's last message that was read, from the leader, before the log is purged; answer: log_checked().
struct check_log {
    std::uint32_t slot = 0;
    std::uint64_t sequence = 0;
};
// Ask how far the log is purged, where that message is gone; answer: log_extent().
struct ask_log {
    std::uint32_t slot = 0;
};
// Remove everything below the sequence; answer: log_purged().
struct purge_log {
    std::uint32_t slot = 0;
    std::uint64_t below = 0;
};
// Remove everything below the sequence; no answer.
struct purge_journal {
    std::uint32_t slot = 0;
    std::uint64_t below = 0;
};
// The partition is not ours any more, or cannot be read: let go of the slot's readers, and take the partition over anew later; when it
// is `final`, only after a while, because it would end here again. What is under way of its calls, callbacks and fetches is still
// answered: until then they hold their permits.
struct closed {
    std::uint32_t slot = 0;
    std::uint32_t partition = 0;
    std::string reason;
    bool final = false;
};
// The call is settled on record; for counters and logs.
struct settled {
    call_key call;
    function_name function; // empty: unreadable
    journal::settled::how_kind how = journal::settled::how_kind::done;
    std::uint32_t status = 0;
    std::uint32_t attempts = 0;
};
// The shard met this function for the first time: tell it what is known, with set_exists() and set_replicas().
struct lookup {
    function_name function;
};
// For the log: something a person should know.
struct warn {
    std::optional<std::uint32_t> slot; // none: of no partition in particular
    std::string message;
};

}

using action =
    std::variant<act::ask_extents, act::read_journal, act::read_log, act::pause_log, act::append, act::read_back, act::ask_last,
                 act::fetch_call, act::fetch_straggler, act::fetch_journal, act::fetch_answer, act::dispatch, act::send_callback,
                 act::check_log, act::ask_log, act::purge_log, act::purge_journal, act::closed, act::settled, act::lookup, act::warn>;

}
