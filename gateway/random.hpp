#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace sluice::gateway {

// Unpredictable numbers for ids, from the kernel, taken by the page so that a call costs no system call. Loop thread only.
class random_source {
public:
    std::uint64_t next(); // throws std::system_error when the kernel has none

private:
    std::array<std::uint64_t, 512> page_;
    std::size_t used_ = page_.size();
};

}
