#pragma once
#include "adapters/process/process.hpp"

#include <cstdint>
#include <optional>

// What the files of this folder share: owned descriptors, and processes as the kernel shows them (proc(5), pidfd_open(2)). Any thread.
namespace sluice::process {

class descriptor {
public:
    descriptor() = default;
    explicit descriptor(int number) noexcept : number_(number) {}
    descriptor(descriptor&& other) noexcept;
    descriptor& operator=(descriptor&& other) noexcept;
    ~descriptor();

    bool valid() const noexcept { return number_ >= 0; }
    int number() const noexcept { return number_; }
    void close() noexcept;

private:
    int number_ = -1;
};

struct kernel_view {
    bool ended = false; // a zombie, or being removed
    int group = 0;
    std::uint64_t start_ticks = 0;
};

// Nothing when no process has this pid. Zombies are seen too.
std::optional<kernel_view> look_up(int pid);
// Invalid when the process is gone, or another one has its pid; a zombie still has its own. Throws std::system_error when out of descriptors.
descriptor open_pidfd(const identity& process);

}
