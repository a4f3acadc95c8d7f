#pragma once
#include <string>
#include <string_view>

// An entry of `role_option`: ROLE.KEY=VALUE.
namespace sluice::up {

struct role_option {
    std::string role, flag; // "gateway", "--connections-max=7"
};

role_option parse_role_option(std::string_view text); // throws std::invalid_argument: "is not ROLE.KEY=VALUE ..."

}
