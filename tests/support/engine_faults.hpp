#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::testing_support {

// What goes wrong in a simulated history, and what the engine does seldom. Each is counted when it really took place, not when it was rolled.
enum class fault : std::uint8_t {
    // the store
    append_never_arrived,
    append_unavailable,
    ack_lost,
    ack_late,
    append_was_stored_before,
    stale_writer_refused,
    stale_batch_stored_and_void,
    request_slow,
    read_failed,
    ids_forgotten,
    leader_changed,
    request_cut_off,
    reader_made_again,
    tail_lost,
    tail_refilled_unseen,
    purge_checked_after_a_loss,
    replay_overtaken_by_a_purge,
    replay_slow,
    purge_slow,
    purge_failed,
    purge_unacknowledged,
    purge_looked_for,
    // gateways
    publish_never_arrived,
    publish_ack_lost,
    publish_ack_late,
    publish_was_stored_before,
    publish_given_up,
    gateway_crash,
    // leases
    lease_store_away,
    lease_answer_lost,
    lease_change_told_late,
    lease_claimed,
    lease_lost,
    effect_without_a_lease_held_back,
    // workers
    crash,
    crash_between_actions,
    stopped_between_actions,
    pause_of_an_owner,
    owner_moved,
    owner_moved_untold,
    two_owners_at_once,
    drain,
    handed_over,
    wall_clock_set,
    // functions and replicas
    function_vanished,
    function_returned,
    replicas_changed,
    replica_not_ready,
    call_refused,
    replica_full,
    call_broken_before,
    call_broken_after,
    component_error,
    call_timed_out,
    own_error,
    answer_slow,
    // receivers of callbacks
    callback_refused,
    callback_hangs,
    callback_answer_lost,
    callback_rejected,
    // what is seldom done
    body_fetched_again,
    carried_body_fetched,
    answer_fetched_again,
    straggler_carried,
    record_copied,
    log_purged,
    journal_purged,
    kinds, // how many there are
};

struct fault_counts {
    static constexpr std::size_t kinds = static_cast<std::size_t>(fault::kinds);
    std::array<std::uint64_t, kinds> counts{};

    void hit(fault what) noexcept { ++counts[static_cast<std::size_t>(what)]; }
    fault_counts& operator+=(const fault_counts& more) noexcept
    {
        for (std::size_t i = 0; i < kinds; ++i)
            counts[i] += more.counts[i];
        return *this;
    }
};

std::string_view name_of(fault what) noexcept;

}
