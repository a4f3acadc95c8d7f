#include "adapters/process/ends_at_once.hpp"

#include <unistd.h>

namespace sluice::process {

namespace {

void end(int) { ::_exit(0); }

}

ends_at_once::ends_at_once(std::initializer_list<int> signals)
{
    struct sigaction ending {};
    ending.sa_handler = end;
    for (const int number : signals) {
        struct sigaction old {};
        ::sigaction(number, &ending, &old);
        before_.emplace_back(number, old);
    }
}

ends_at_once::~ends_at_once()
{
    for (const auto& [number, old] : before_)
        ::sigaction(number, &old, nullptr);
}

}
