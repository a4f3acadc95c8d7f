#include "provider/local/state_file.hpp"

#include "adapters/process/files.hpp"

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <stdexcept>
#include <sys/file.h>
#include <system_error>

namespace sluice::provider {

state_file::state_file(std::string folder) : folder_(std::move(folder))
{
    namespace fs = std::filesystem;
    fs::create_directories(folder_);
    fs::permissions(folder_, fs::perms::owner_all);
    fs::create_directories(log_folder());
    const auto lock_path = folder_ + "/lock";
    lock_ = process::owned_fd(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock_)
        throw std::system_error(errno, std::system_category(), lock_path);
    if (::flock(lock_.number(), LOCK_EX | LOCK_NB) != 0)
        throw std::runtime_error("state_folder: " + folder_ + " is in use by another provider");
}

std::vector<core::replica_record> state_file::read() const
{
    std::error_code ignored;
    if (!std::filesystem::exists(path(), ignored))
        return {};
    auto records = core::decode_replica_records(process::read_file(path()));
    if (!records)
        throw std::runtime_error("state_folder: " + path() + " cannot be read: damaged, or of a newer release");
    return *std::move(records);
}

void state_file::write(const std::vector<core::replica_record>& records) const
{
    process::write_file_durably(path(), core::encode(records));
}

}
