#pragma once
#include <string>

namespace sluice::cli {

// Asks the role that an entry of `role_option` of `sluice up` is for, so that a wrong one ends `up` before anything is started. Throws
// std::invalid_argument that continues "the entry ...".
void check_role_option(const std::string& entry);

}
