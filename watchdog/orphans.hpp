#pragma once
#include "adapters/asio/loop.hpp"
#include "watchdog/executor.hpp"

#include <string>

namespace sluice::watchdog {

// What calls leave behind: processes that left their call's group and lost their parent come to us (subreaper). Those of a call that has
// ended are ended too, the others are reaped when they end. A call's processes are known by a variable in their environment: one
// that clears it is ended with the replica. Loop thread only; one a process.
class orphans {
public:
    orphans(loop& on, const executor& runs);
    void close();
    // Blocks, at the very end: nothing of ours runs after it.
    static void end_all();

private:
    void look();
    void look_in(std::chrono::milliseconds wait);

    const executor& executor_;
    bool closed_ = false;
    signal_watch child_ended_;
    timer again_;
};

}
