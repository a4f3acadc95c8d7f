#pragma once
#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <vector>

// Processes that left their group: a child that calls setsid, or forks twice, is out of reach of a signal to the group. Linux only, any thread.
namespace sluice::process {

// From now on an orphan among our descendants becomes our child (PR_SET_CHILD_SUBREAPER), and we must reap it.
void adopt_orphans() noexcept;

// Our children, launched or adopted, zombies included.
std::vector<int> children();

// The value of a variable in the environment that the process was started with; nothing when it has none, is gone, or may not be read.
std::optional<std::string> variable_of(int pid, const std::string& name);

// Reaps this child if it has ended.
bool reap_if_ended(int pid) noexcept;

// SIGKILL to all children, and to the orphans that this makes ours, until none is left or the time is over. Blocks that long.
void end_children(std::chrono::milliseconds within);

// SIGKILL to every process whose environment has this variable with one of these values, until none is left or some rounds are over: it was
// killed faster than it could fork, or it was not. Reads all of /proc, and blocks for some milliseconds where one was found. A process that
// cleared its environment is not found.
void end_processes_with(const std::string& name, const std::set<std::string>& values) noexcept;

}
