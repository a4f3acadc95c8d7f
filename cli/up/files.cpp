#include "cli/up/files.hpp"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <unistd.h>

namespace sluice::up {

namespace {

[[noreturn]] void fail(const std::string& path) { throw std::system_error(errno, std::generic_category(), path); }

}

void remove_file(const std::string& path)
{
    if (!path.empty() && ::unlink(path.c_str()) != 0 && errno != ENOENT)
        fail(path);
}

std::string last_line(const std::string& path)
{
    std::ifstream in(path, std::ios::binary | std::ios::ate);
    if (!in)
        return {};
    const auto size = static_cast<std::streamoff>(in.tellg());
    const auto start = std::max<std::streamoff>(0, size - 4096);
    in.seekg(start);
    std::string tail(static_cast<std::size_t>(size - start), '\0');
    in.read(tail.data(), static_cast<std::streamsize>(tail.size()));
    const auto end = tail.find_last_not_of("\r\n ");
    if (end == std::string::npos)
        return {};
    tail.resize(end + 1);
    const auto before = tail.find_last_of('\n');
    return before == std::string::npos ? tail : tail.substr(before + 1);
}

void bound_log(const std::string& path, std::size_t bytes_max)
{
    std::error_code error;
    if (std::filesystem::file_size(path, error) <= bytes_max || error)
        return;
    std::filesystem::copy_file(path, path + ".1", std::filesystem::copy_options::overwrite_existing, error);
    std::filesystem::resize_file(path, 0, error); // the bound holds even when there was no room for the copy
}

}
