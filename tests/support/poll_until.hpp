#pragma once
#include "tests/support/loop_until.hpp"

#include <functional>

namespace sluice::test {

// loop_until for a condition that no handler of the loop brings about, a file or a process: asks every few milliseconds.
template <class Condition> bool poll_until(loop& on, Condition holds, std::chrono::steady_clock::duration deadline = generous)
{
    timer tick(on);
    std::function<void()> again = [&] { tick.after(std::chrono::milliseconds(5), again); };
    again();
    return loop_until(on, holds, deadline);
}

}
