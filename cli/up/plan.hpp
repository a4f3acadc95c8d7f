#pragma once
#include "cli/up/child.hpp"
#include "cli/up/state_folder.hpp"
#include "cli/up/up.hpp"

// What `sluice up` runs: the options translated to command lines.
namespace sluice::up {

struct surroundings {
    std::string self;                               // the sluice binary
    std::map<std::string, std::string> environment; // the children's
};

// Our own nats-server; writes its configuration file. Throws config::error when there is no nats-server.
child_spec nats_server_child(const options& with, const state_folder& state, const surroundings& around, nats::config& access);
// provider, queue-worker and gateway, in this order of start.
std::vector<child_spec> role_children(const options& with, const state_folder& state, const surroundings& around,
                                      const nats::config& access);

}
