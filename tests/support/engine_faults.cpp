#include "tests/support/engine_faults.hpp"

namespace sluice::testing_support {

namespace {

constexpr std::array<std::string_view, fault_counts::kinds> names{
    "append never arrived",
    "append refused: unavailable",
    "append's answer lost",
    "append's answer late",
    "append was stored before",
    "stale writer refused",
    "stale batch stored, and void",
    "request slow",
    "read failed",
    "ids forgotten",
    "leader changed",
    "request cut off",
    "reader made again",
    "tail lost",
    "tail refilled before its reader came back",
    "purge checked after a loss",
    "replay overtaken by a purge",
    "replay slow",
    "purge slow",
    "purge failed",
    "purge done, its answer lost",
    "crash",
    "crash between two actions",
    "pause of an owner",
    "owner moved",
    "owner moved untold",
    "two owners at once",
    "drain",
    "handed over",
    "wall clock set",
    "function vanished",
    "function returned",
    "replicas changed",
    "replica not ready",
    "call refused",
    "replica full",
    "call broken before it ran",
    "call broken after it ran",
    "component's error",
    "call timed out",
    "function's own error",
    "answer slow",
    "callback refused",
    "callback hangs",
    "callback's answer lost",
    "callback rejected",
    "body fetched again",
    "carried body fetched",
    "answer fetched again",
    "straggler carried",
    "record copied",
    "log purged",
    "journal purged",
};
static_assert(!names.back().empty(), "each kind has a name");

}

std::string_view name_of(fault what) noexcept { return names[static_cast<std::size_t>(what)]; }

}
