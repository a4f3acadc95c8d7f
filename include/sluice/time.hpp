#pragma once
#include <chrono>
#include <cstdint>

// Time is always a parameter: nothing below main reads a clock by itself except the adapters.
namespace sluice {

using milliseconds = std::chrono::milliseconds;

// Steady time: deadlines, waits, durations.
using mono_time = std::chrono::steady_clock::time_point;

// Wall time in whole milliseconds since 1970-01-01T00:00:00Z: only for what is stored or shown.
using unix_ms = std::int64_t;

// One reading of both clocks.
struct instant {
    mono_time mono;
    unix_ms wall = 0;
};

}
