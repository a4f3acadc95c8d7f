#pragma once
#include <cstdint>

namespace sluice::process {

// Lets this process open as many descriptors as the system allows it to (RLIMIT_NOFILE, soft to hard): one a connection. For processes
// that start no others, because children inherit it and some old programs fail above 1024. Returns the limit now.
std::uint64_t raise_descriptor_limit() noexcept;

}
