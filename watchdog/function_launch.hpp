#pragma once
#include "adapters/process/process.hpp"
#include "core/watchdog_config.hpp"

#include <cstdint>
#include <string>

namespace sluice::watchdog {

// As whom functions run.
struct function_rights {
    std::uint32_t uid = 0; // 0: as we do
    std::uint32_t gid = 0;
    std::string hidden_folder;
    std::string working_folder; // where they start or, failing that, do not run; empty: ours, else /
};

// What every process of a function has in common: its own session and process group, so that all of it can be ended at once; an end
// with ours; nothing inherited.
inline process::launch_options function_launch(const core::watchdog_config& config, const function_rights& rights)
{
    process::launch_options launch;
    launch.argv = config.command;
    launch.new_session = true;
    launch.die_with_parent = true;
    launch.no_new_privileges = true;
    if (rights.uid != 0) {
        launch.uid = rights.uid;
        launch.gid = rights.gid != 0 ? rights.gid : rights.uid;
    }
    launch.hidden_folder = rights.hidden_folder;
    launch.working_folder = rights.working_folder;
    return launch;
}

}
