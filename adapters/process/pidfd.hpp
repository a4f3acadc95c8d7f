#pragma once
#include "adapters/process/owned_fd.hpp"
#include "adapters/process/process.hpp"

#include <cstdint>
#include <optional>

// Processes as the kernel shows them: proc(5), pidfd_open(2). Any thread.
namespace sluice::process {

struct kernel_view {
    bool ended = false; // a zombie, or being removed
    int group = 0;
    std::uint64_t start_ticks = 0;
};

// Nothing when no process has this pid. Zombies are seen too.
std::optional<kernel_view> look_up(int pid);
// Nothing when the process is gone, or another one has its pid; a zombie still has its own. Throws std::system_error when out of
// descriptors.
owned_fd open_pidfd(const identity& process);
// signal_group() for a pidfd that is open already; needs no further descriptor.
bool signal_group_of(const owned_fd& pidfd, int pid, int number);

}
