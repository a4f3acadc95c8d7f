#pragma once
#include "adapters/asio/loop.hpp"
#include "adapters/log/log.hpp"

#include <chrono>
#include <functional>
#include <string>

// What a supervisor that was killed may have left, and what processes of ours leave when they end.
namespace sluice::up {

// Ends each process whose identity file lies in the folder and that still runs: SIGTERM, and SIGKILL after the deadline. done runs when none
// is left. A process number that was used again by somebody else is not touched.
void end_leftovers(loop& on, logger& log, const std::string& run_folder, std::chrono::milliseconds deadline, std::function<void()> done);

// From now on a process whose parent ends becomes our child, not init's: whatever a function starts can be found and ended.
void adopt_orphans();
// Takes the exit status of adopted processes that have ended, so that they do not stay as zombies. `ours` says which are watched elsewhere.
void reap_orphans(const std::function<bool(int pid)>& ours);
// SIGKILL to every child and to what becomes our child by that, until there is none. Blocks for a moment.
void end_orphans();

}
