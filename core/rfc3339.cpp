#include "core/rfc3339.hpp"

#include <cstdio>

namespace sluice::core {

std::string rfc3339(unix_ms time)
{
    using namespace std::chrono;
    const sys_seconds at = floor<seconds>(sys_time<milliseconds>(milliseconds(time)));
    const auto day = floor<days>(at);
    const year_month_day date(day);
    const hh_mm_ss clock(at - day);
    char text[64];
    const int length =
        std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02dZ", static_cast<int>(date.year()),
                      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
                      static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()));
    return {text, static_cast<std::size_t>(length)};
}

}
