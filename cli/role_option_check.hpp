#pragma once
#include "cli/up/up.hpp"

#include <string>

namespace sluice::cli {

// Asks the role that an entry of `role_option` of `sluice up` is for, so that a wrong one ends `up` before anything is started. Throws
// std::invalid_argument that continues "the entry ...".
void check_role_option(const std::string& entry);

// What no single entry shows: each role's own check() of all its entries, on top of what `up` gives it. Throws config::error.
void check_role_options(const up::options& given);

}
