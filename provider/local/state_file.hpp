#pragma once
#include "adapters/process/owned_fd.hpp"
#include "core/replica_records.hpp"

#include <string>
#include <vector>

namespace sluice::provider {

// The provider's folder: replicas.json, log/, and a lock for as long as this lives, because two providers would end each other's replicas.
class state_file {
public:
    // Makes the folder (0700) if it is missing. Throws std::runtime_error when another process has the lock.
    explicit state_file(std::string folder);

    const std::string& folder() const noexcept { return folder_; }
    std::string log_folder() const { return folder_ + "/log"; }
    // Throws std::runtime_error when there is a file that cannot be read: replicas that nobody knows must not be taken for none.
    std::vector<core::replica_record> read() const;
    void write(const std::vector<core::replica_record>& records) const; // atomic; throws std::system_error

private:
    std::string path() const { return folder_ + "/replicas.json"; }

    std::string folder_;
    process::owned_fd lock_;
};

}
