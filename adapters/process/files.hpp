#pragma once
#include <cstdint>
#include <optional>
#include <string>

// Small files of ours.
namespace sluice::process {

// Replaces the file at once: a reader sees the old content or the new, never a part. Mode 0600. Throws std::system_error naming the path.
void write_file_atomically(const std::string& path, const std::string& content);
// The same, and it is on the disk, name included, when this returns: after a power cut the file is old or new, not empty.
void write_file_durably(const std::string& path, const std::string& content);

// The whole content. Throws std::system_error naming the path, also when it is larger than a file of ours may be (64 MiB).
std::string read_file(const std::string& path);
// The same, and empty when there is no such file.
std::string read_file_if_any(const std::string& path);
// The content of a regular file; nothing for a pipe or a device, which gives its content to one reader only.
std::optional<std::string> look_into_file(const std::string& path);
// For an option that names a file: throws std::invalid_argument saying why it cannot be read, such as "cannot be read: No such file ...".
// A pipe or a device only has to be there.
void check_readable(const std::string& path);

// Bytes that the file system below the folder has left for us; nothing where that cannot be learnt.
std::optional<std::uint64_t> free_bytes(const std::string& folder) noexcept;

// Tells whoever waits for it that a role is ready, and where it listens: "host:port\n", a numeric IPv6 host in brackets;
// without a listener (port 0) "no listener\n". Does nothing when `path` is empty.
void write_ready_file(const std::string& path, const std::string& host, unsigned port);

}
