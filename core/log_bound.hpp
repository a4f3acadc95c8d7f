#pragma once
#include "sluice/time.hpp"

#include <cstdint>
#include <optional>

namespace sluice::core {

// How many lines of one kind may be logged: some a second, the rest counted and named by the next line that may. Pure.
class log_bound {
public:
    explicit log_bound(std::uint32_t lines_per_second_max = 10) : lines_max_(lines_per_second_max) {}

    // Nothing: not this one. Else how many were left out since the last.
    std::optional<std::uint64_t> allow(mono_time now) noexcept
    {
        if (now - window_ >= std::chrono::seconds(1)) {
            window_ = now;
            lines_ = 0;
        }
        if (lines_ == lines_max_) {
            ++left_out_;
            return std::nullopt;
        }
        ++lines_;
        const auto left_out = left_out_;
        left_out_ = 0;
        return left_out;
    }

private:
    mono_time window_{};
    std::uint64_t left_out_ = 0;
    std::uint32_t lines_max_;
    std::uint32_t lines_ = 0;
};

}
