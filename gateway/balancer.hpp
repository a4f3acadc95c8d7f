#pragma once
#include "sluice/function.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sluice::gateway {

// Which replica gets a synchronous call: the ready one with the fewest calls of this gateway under way, in turn among equals. Pure; loop
// thread only.
class balancer {
public:
    // nullptr when none is ready besides those in `tried`. Counts the call until finished().
    const endpoint* start(const function_endpoints& among, const std::vector<std::string>& tried);
    void finished(const function_name& function, const std::string& replica);

    std::uint32_t under_way(const function_name& function, const std::string& replica) const;

private:
    std::map<function_name, std::map<std::string, std::uint32_t>> under_way_;
    std::size_t turn_ = 0;
};

}
