#pragma once

namespace sluice {

// The release, as `/system/info`, User-Agent and X-Served-By report it.
inline constexpr const char* release = "0.1.0";

}
