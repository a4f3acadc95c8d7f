#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// How configuration values and names are written as text: what core/config.cpp reads and core/config_pages.cpp prints. Internal to the two.
namespace sluice::config {

std::string quoted(std::string_view text);
std::string_view trimmed(std::string_view text);
// A quoted value in a file keeps its outer blanks.
std::string_view unquoted(std::string_view value);

std::string flag_of(std::string_view key);     // body_bytes_max -> --body-bytes-max
std::string variable_of(std::string_view key); // body_bytes_max -> SLUICE_BODY_BYTES_MAX

std::string format_bytes(std::uint64_t value);

std::vector<std::string> split_list(std::string_view text); // the inverse of join_list()

}
