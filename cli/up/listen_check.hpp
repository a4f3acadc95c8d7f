#pragma once
#include "cli/up/up.hpp"

#include <string>

// The addresses that the roles are to listen on are tried before anything is started, rather than found taken by a role after the others run.
// Another process may still take one in between, which the role then says.
namespace sluice::up {

// "ROLE: listen on HOST:PORT: REASON" of the first that cannot be had, as the role would say it; empty: all can. Asks the kernel.
std::string listen_fault(const options& with);

}
