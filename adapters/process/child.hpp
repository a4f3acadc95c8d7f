#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <sys/types.h>

// A child between fork and exec. The parent may have threads, so it calls async-signal-safe functions only (signal-safety(7)) and
// allocates nothing: the plan holds all that it needs.
namespace sluice::process {

struct child_plan {
    struct assignment {
        int ours = -1; // -1, or not open: /dev/null
        int number = -1;
        int null_mode = 0; // how /dev/null is opened
    };

    std::span<const char* const> paths; // tried in order; ends in nullptr
    const char* const* argv = nullptr;
    const char* const* env = nullptr;
    std::span<const assignment> files;
    std::span<int> copies;        // scratch, one per file
    int copies_from = 3;          // above every number that is assigned
    unsigned descriptors_end = 0; // beyond the highest possible descriptor
    const char* working_folder = nullptr;
    bool folder_is_ours = false; // not asked for: / does where it cannot be entered
    const char* hidden_folder = nullptr;
    bool own_user_namespace = false; // what an unprivileged process needs in order to mount
    std::string_view uid_map, gid_map;
    std::optional<std::uint32_t> uid, gid;
    bool new_session = false;
    pid_t parent_if_dying_with_it = 0; // 0: it may outlive us
    bool no_new_privileges = false;
};

enum class child_step { arrange_descriptors, new_session, hide_folder, drop_privileges, follow_parent, enter_folder, exec };
const char* describe(child_step step) noexcept;

// Written to the report pipe when a step fails; exec closes the pipe.
struct child_failure {
    child_step step{};
    int error = 0; // errno
};

[[noreturn]] void become(const child_plan& plan, int report_fd) noexcept;

}
