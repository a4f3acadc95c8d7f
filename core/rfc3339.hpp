#pragma once
#include "sluice/time.hpp"

#include <string>

namespace sluice::core {

// A time as text, in UTC, to the second: "2026-01-02T03:04:05Z" (RFC 3339).
std::string rfc3339(unix_ms time);

}
