#pragma once
#include <cstddef>
#include <string>

// Small files of the state folder. Blocking: a supervisor has nothing that waits for it.
namespace sluice::up {

// Nothing when it does not exist. Throws std::system_error naming the path.
void remove_file(const std::string& path);
// The last line with something in it, without its end; empty when there is none. At most 4 KiB are looked at.
std::string last_line(const std::string& path);
// A log file above bytes_max becomes PATH.1 and starts anew. It is copied and cut, not renamed: those who write it keep it open
// (O_APPEND). What they write between the two steps is lost.
void bound_log(const std::string& path, std::size_t bytes_max);

}
