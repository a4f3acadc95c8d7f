#include "adapters/process/files.hpp"

#include "adapters/process/owned_fd.hpp"

#include <cerrno>
#include <fcntl.h>
#include <stdexcept>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <system_error>
#include <unistd.h>

namespace sluice::process {

namespace {

constexpr std::size_t read_bytes_max = 64 * 1024 * 1024;

[[noreturn]] void fail_to_read(const std::string& path) { throw std::system_error(errno, std::generic_category(), "cannot read " + path); }

bool is_regular(const std::string& path)
{
    struct stat found {};
    if (::stat(path.c_str(), &found) != 0)
        fail_to_read(path);
    if (S_ISDIR(found.st_mode)) {
        errno = EISDIR;
        fail_to_read(path);
    }
    return S_ISREG(found.st_mode);
}

[[noreturn]] void fail(const std::string& path) { throw std::system_error(errno, std::generic_category(), "cannot write " + path); }

void write_all(int fd, const std::string& content, const std::string& path)
{
    for (std::size_t at = 0; at < content.size();) {
        const auto wrote = ::write(fd, content.data() + at, content.size() - at);
        if (wrote < 0 && errno != EINTR)
            fail(path);
        at += wrote > 0 ? static_cast<std::size_t>(wrote) : 0;
    }
}

void sync(int fd, const std::string& path)
{
    if (::fsync(fd) != 0)
        fail(path);
}

void sync_folder_of(const std::string& path)
{
    const auto slash = path.rfind('/');
    const auto folder = slash == path.npos ? std::string(".") : path.substr(0, slash + 1);
    const owned_fd opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!opened)
        fail(folder);
    sync(opened.number(), folder);
}

void replace_file(const std::string& path, const std::string& content, bool durably)
{
    const auto part = path + ".part." + std::to_string(::getpid());
    const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        fail(part);
    try {
        write_all(fd, content, part);
        if (durably)
            sync(fd, part);
    } catch (...) {
        ::close(fd);
        ::unlink(part.c_str());
        throw;
    }
    ::close(fd);
    if (::rename(part.c_str(), path.c_str()) != 0) {
        ::unlink(part.c_str());
        fail(path);
    }
}

}

void write_file_atomically(const std::string& path, const std::string& content) { replace_file(path, content, false); }

void write_file_durably(const std::string& path, const std::string& content)
{
    replace_file(path, content, true);
    sync_folder_of(path);
}

std::string read_file(const std::string& path)
{
    const owned_fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::string content;
    char part[16 * 1024];
    for (;;) {
        const auto got = file.number() < 0 ? -1 : ::read(file.number(), part, sizeof part);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            fail_to_read(path);
        if (got == 0)
            return content;
        content.append(part, static_cast<std::size_t>(got));
        if (content.size() > read_bytes_max) {
            errno = EFBIG;
            fail_to_read(path);
        }
    }
}

std::string read_file_if_any(const std::string& path)
{
    try {
        return read_file(path);
    } catch (const std::system_error& wrong) {
        if (wrong.code() == std::errc::no_such_file_or_directory)
            return {};
        throw;
    }
}

std::optional<std::string> look_into_file(const std::string& path)
{
    if (!is_regular(path))
        return std::nullopt;
    return read_file(path);
}

void check_readable(const std::string& path)
{
    try {
        if (is_regular(path) && !owned_fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)))
            fail_to_read(path);
    } catch (const std::system_error& wrong) {
        throw std::invalid_argument("cannot be read: " + wrong.code().message());
    }
}

std::optional<std::uint64_t> free_bytes(const std::string& folder) noexcept
{
    struct statvfs found {};
    if (::statvfs(folder.c_str(), &found) != 0)
        return std::nullopt;
    return std::uint64_t{found.f_bavail} * found.f_frsize;
}

void write_ready_file(const std::string& path, const std::string& host, unsigned port)
{
    if (path.empty())
        return;
    const bool v6 = host.find(':') != std::string::npos;
    write_file_atomically(path, port == 0 ? "no listener\n" : (v6 ? '[' + host + ']' : host) + ':' + std::to_string(port) + '\n');
}

}
