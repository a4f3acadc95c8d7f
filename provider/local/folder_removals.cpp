#include "provider/local/folder_removals.hpp"

#include <filesystem>

namespace sluice::provider {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t processes_max = 4;
constexpr std::string_view prefix = ".gone-";

}

folder_removals::~folder_removals() { *self_ = nullptr; }

void folder_removals::remove(const std::string& path) noexcept
{
    const fs::path before(path);
    auto after = before;
    if (!before.filename().string().starts_with(prefix)) {
        after.replace_filename(std::string(prefix) + before.filename().string());
        std::error_code wrong;
        fs::rename(before, after, wrong);
        if (wrong == std::errc::no_such_file_or_directory)
            return;
        if (wrong)
            after = before;
    }
    waiting_.push_back(after.string());
    start_some();
}

void folder_removals::start_some()
{
    while (!waiting_.empty() && running_.size() < processes_max) {
        const auto path = std::move(waiting_.front());
        waiting_.pop_front();
        try {
            start(path);
        } catch (const std::exception&) { // no process to be had: then by ourselves
            std::error_code ignored;
            fs::remove_all(path, ignored);
        }
    }
}

void folder_removals::start(const std::string& path)
{
    process::launch_options launch;
    launch.argv = {"rm", "-rf", "--", path};
    launch.env = {{"PATH", "/usr/bin:/bin"}};
    launch.new_session = true;
    const auto process = process::launch(launch);
    running_[process.pid] = std::make_unique<process::watch>(loop_, process, [self = self_, pid = process.pid, on = &loop_](auto) {
        on->post([self, pid] { // the watch may not end in its own callback
            if (!*self)
                return;
            (*self)->running_.erase(pid);
            (*self)->start_some();
        });
    });
}

}
