#pragma once
#include "adapters/log/log.hpp"
#include "adapters/nats/config.hpp"
#include "adapters/process/ends_at_once.hpp"
#include "core/option_checks.hpp"

#include <csignal>
#include <initializer_list>
#include <optional>
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
    Role* running = nullptr; // the loop does not run before there is one
    signal_watch signals(on, {SIGTERM, SIGINT}, [&](int) { running->stop(); });
    std::optional<process::ends_at_once> connecting(std::in_place, std::initializer_list<int>{SIGTERM, SIGINT});
    connection store(on, to_options(with.nats, "sluice-" + name));
    connecting.reset();
    // The role talks through the connection alone: what it says of its configuration shows no password.
    auto shown = with;
    shown.nats.url = core::without_userinfo(with.nats.url);
    Role role(on, store, shown, *log);
    running = &role;
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
