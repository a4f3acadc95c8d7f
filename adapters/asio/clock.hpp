#pragma once
#include "sluice/time.hpp"

#include <ctime>

namespace sluice {

// Reads both clocks; any thread. What decides takes the time as a parameter instead.
inline instant clock_now()
{
    using namespace std::chrono;
    return {steady_clock::now(), duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count()};
}

// A steady clock that goes on while the machine sleeps (CLOCK_BOOTTIME): for leases alone, never mixed with the other one. Any thread.
inline mono_time boot_now()
{
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return mono_time(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

}
