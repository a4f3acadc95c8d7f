#pragma once
#include "adapters/process/owned_fd.hpp"
#include "core/replica_plan.hpp"
#include "core/replica_records.hpp"
#include "provider/local/folder_removals.hpp"
#include "provider/local/provider.hpp"
#include "provider/local/state_file.hpp"

#include <string>
#include <vector>

namespace sluice::provider {

// A watchdog that runs and waits for its setup. Until release() it serves nobody, and it ends by itself when we die: so none
// can run that no record names.
struct launched_replica {
    core::replica_record record;
    process::owned_fd setup;
    std::string document;
};

// A replica whose process is gone.
struct ended_replica {
    core::replica_record record;
    bool in_order = false; // its watchdog ended all that its function left running
};

// Makes what a replica needs (socket, log, folder, token), and takes it away again. Loop thread only.
class launcher {
public:
    // Makes the work folder; throws std::runtime_error when it belongs to somebody else.
    launcher(loop& on, const options& given, const state_file& state);
    ~launcher(); // the work folder goes too if nothing is left in it

    launched_replica launch(const function_name& function, const core::replica_plan& plan); // throws std::system_error
    void release(launched_replica& replica) const;                                          // throws std::system_error
    // Why its process ended, in its watchdog's words; empty: it could not say.
    std::string end_reason(const core::replica_record& record) const;
    // After the replicas' processes have ended: what their functions left running ends, their folders go, their logs become the functions'
    // previous ones. Many at once, because finding what was left means to look at every process of the machine.
    void clean_up(const std::vector<ended_replica>& of) noexcept;
    // What a provider that died between the steps left behind.
    void remove_folders_but(const std::vector<core::replica_record>& of) noexcept;
    bool idle() const noexcept { return removals_.idle(); } // no folder is being removed
    std::string log_path(const core::replica_record& record) const;

private:
    std::string make_folder(const core::replica_record& record) const;
    std::string end_path(const core::replica_record& record) const;
    std::vector<std::string> arguments(const core::replica_record& record) const;
    bool drops_rights() const noexcept;

    const options& options_;
    const state_file& state_;
    std::string work_folder_;
    folder_removals removals_;
};

}
