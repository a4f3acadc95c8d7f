#pragma once
#include "adapters/log/log.hpp"
#include "adapters/nats/config.hpp"

#include <csignal>
#include <stdexcept>
#include <string>

namespace sluice::nats {

// A role's whole life: logger, loop, the connection to NATS, the role itself, and its end at SIGTERM or SIGINT. Returns the exit code; throws
// what the connection or the role's constructor throws, or std::runtime_error with the role's failure().
//
// Role(loop&, connection&, const Options&, logger&); start(); stop(), a second time without waiting; failure(), empty: none;
// on_closed(callback), called once nothing of it needs the loop or the connection.
template <class Role, class Options> int run_role(const std::string& name, const Options& with)
{
    const auto log = make_logger(name, with.log_level);
    loop on;
    connection store(on, to_options(with.nats, "sluice-" + name));
    Role role(on, store, with, *log);
    signal_watch signals(on, {SIGTERM, SIGINT}, [&](int) { role.stop(); });
    role.on_closed([&] {
        signals.cancel();
        store.close();
    });
    role.start();
    on.run();
    if (!role.failure().empty())
        throw std::runtime_error(role.failure());
    log->info("stopped");
    return 0;
}

}
