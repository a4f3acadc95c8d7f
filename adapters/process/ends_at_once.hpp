#pragma once
#include <csignal>
#include <initializer_list>
#include <utility>
#include <vector>

namespace sluice::process {

// While it lives these signals end the process at once, with exit code 0: for a blocking call at start, when nothing is there yet that would
// have to be given up. What handled them before does so again afterwards (a signal_watch made earlier, too). As process 1 of a container
// the default action would not end us. One at a time.
class ends_at_once {
public:
    explicit ends_at_once(std::initializer_list<int> signals);
    ~ends_at_once();
    ends_at_once(const ends_at_once&) = delete;
    ends_at_once& operator=(const ends_at_once&) = delete;

private:
    std::vector<std::pair<int, struct sigaction>> before_;
};

}
