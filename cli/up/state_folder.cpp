#include "cli/up/state_folder.hpp"

#include "adapters/process/files.hpp"
#include "adapters/process/random.hpp"
#include "cli/up/files.hpp"
#include "core/config.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sluice::up {

namespace {

constexpr std::size_t secret_bytes = 32;

void make_private(const std::string& path)
{
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
        throw config::error("state: cannot make " + path + ": " + std::strerror(errno));
    struct stat found {};
    if (::stat(path.c_str(), &found) != 0 || !S_ISDIR(found.st_mode))
        throw config::error("state: " + path + " is no folder");
    if (found.st_uid != ::geteuid())
        throw config::error("state: " + path + " belongs to another user");
    if ((found.st_mode & 0777) != 0700 && ::chmod(path.c_str(), 0700) != 0)
        throw config::error("state: cannot make " + path + " private: " + std::strerror(errno));
}

constexpr const char* parts[] = {"run", "secrets", "nats", "provider", "log"};

// One that was copied or restored may have lost what was empty, and its lock.
bool has_only_parts(const std::string& path)
{
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(path, error))
        if (std::find(std::begin(parts), std::end(parts), entry.path().filename()) == std::end(parts) || !entry.is_directory(error))
            return false;
    return !error;
}

// A folder that has anything but a state's parts in it is somebody's home or project, not to be made private. A lock file of ours makes it
// ours whatever else is in it; a folder of that name does not: the system's own /run/lock is one.
void refuse_foreign(const std::string& path)
{
    std::error_code error;
    if (path == "/")
        throw config::error("state: / is not a folder for it");
    if (!std::filesystem::exists(path, error) || std::filesystem::is_regular_file(path + "/run/lock", error))
        return;
    if (!std::filesystem::is_directory(path, error))
        throw config::error("state: " + path + " is no folder");
    if (!has_only_parts(path))
        throw config::error("state: " + path + " is neither empty nor a state folder");
}

std::string absolute(const std::string& path)
{
    std::error_code error;
    const auto whole = std::filesystem::absolute(path, error);
    if (error)
        throw config::error("state: " + path + " is below the working folder, which is not there any more: " + error.message());
    return whole.lexically_normal();
}

int lock(const std::string& path, const std::string& state)
{
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        throw config::error("state: cannot open " + path + ": " + std::strerror(errno));
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    ::close(fd);
    throw config::error("state: " + state + " is in use by another `sluice up`");
}

}

state_folder::state_folder(const std::string& path) : path_(absolute(path))
{
    while (path_.size() > 1 && path_.back() == '/')
        path_.pop_back();
    refuse_foreign(path_);
    std::error_code error;
    std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), error);
    make_private(path_);
    for (const char* part : parts)
        make_private(path_ + '/' + part);
    lock_ = lock(run_folder() + "/lock", path_);
}

state_folder::~state_folder() { ::close(lock_); }

state_folder::secret state_folder::keep_secret(const std::string& name, const std::string& first) const
{
    const auto path = secret_file(name);
    auto value = process::read_file_if_any(path);
    while (!value.empty() && (value.back() == '\n' || value.back() == ' '))
        value.pop_back();
    if (!value.empty())
        return {value, false};
    value = first.empty() ? process::random_hex(secret_bytes) : first;
    process::write_file_durably(path, value + '\n');
    return {value, true};
}

}
