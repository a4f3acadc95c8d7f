#pragma once
#include "sluice/time.hpp"

namespace sluice {

// Reads both clocks; any thread. What decides takes the time as a parameter instead.
inline instant clock_now()
{
    using namespace std::chrono;
    return {steady_clock::now(), duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count()};
}

}
