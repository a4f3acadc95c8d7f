#pragma once
#include "adapters/asio/loop.hpp"
#include "adapters/process/process.hpp"

#include <deque>
#include <map>
#include <memory>
#include <string>

namespace sluice::provider {

// Removes folders with whatever functions left in them, by processes of their own: a large one would hold the loop up for seconds. What is
// still under way when this goes is finished without us. Loop thread only.
class folder_removals {
public:
    explicit folder_removals(loop& on) : loop_(on) {}
    ~folder_removals();

    // On return nothing is at `path` any more: it has another name, beginning with ".gone-", until it has gone.
    void remove(const std::string& path) noexcept;
    bool idle() const noexcept { return waiting_.empty() && running_.empty(); }

private:
    void start_some();
    void start(const std::string& path);

    loop& loop_;
    std::deque<std::string> waiting_;
    std::map<int, std::unique_ptr<process::watch>> running_; // by pid
    std::shared_ptr<folder_removals*> self_ = std::make_shared<folder_removals*>(this);
};

}
