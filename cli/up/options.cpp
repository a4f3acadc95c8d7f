#include "cli/up/up.hpp"
#include "core/layout.hpp"
#include "core/option_checks.hpp"
#include "core/replica_plan.hpp"

#include <utility>

namespace sluice::up {

std::uint64_t stream_bytes_max(const options& given) noexcept { return given.nats_store_bytes_max / 100 * 45 / given.partitions; }

void check(const options& given)
{
    nats::check(given.nats);
    if (given.state.empty())
        throw config::error("state: names no folder");
    core::parse_static_functions(given.static_function);
    if (given.nats.url.empty() && stream_bytes_max(given) < core::stream_bytes_min)
        throw config::error("nats_store_bytes_max: " + std::to_string(given.nats_store_bytes_max)
                            + " bytes leave less than 16 MiB for each log and journal of " + std::to_string(given.partitions)
                            + " partitions");
    if (given.run_then_stop && given.run.empty())
        throw config::error("run_then_stop: there is no command to wait for: set run");
    if (given.nats.url.empty() && (!given.nats.user.empty() || !given.nats.credentials_file.empty() || !given.nats.ca_file.empty()))
        throw config::error("nats: is not given, so that nats_user, nats_credentials_file and nats_ca_file are for nothing");
}

void add_to(config::table& table, options& into, config::value_check check_role_option)
{
    using namespace std::chrono_literals;
    constexpr std::uint64_t mebi = 1024 * 1024;
    table.text("state", "Folder that keeps everything: secrets, the store, logs. Made private (0700); one `up` at a time.", into.state);
    table.text("listen", "Address of the gateway, HOST:PORT; port 0: any free one (see run/gateway.ready in the state folder).",
               into.listen, core::check_listen_address);
    table.choice("log_level", "Least level of what every process logs.", into.log_level, {"debug", "info", "warn", "error"});
    table.bytes("body_bytes_max", "Largest body of a call; above it 413.", into.body_bytes_max, 1024, 32 * mebi);
    table.list("callback_allow", "Where callbacks may go beside public addresses: CIDR, address or host name, with or without port.",
               into.callback_allow, core::check_callback_allow);
    table.list("static_function", "A function that is a server of yours: NAME[.NS]=http://HOST:PORT[,max_inflight=N].",
               into.static_function, core::check_static_function);
    table.number("partitions", "Partitions of the log, fixed when the store is made; ignored afterwards.", into.partitions, 1, 256);
    table.list("role_option", "An option of one role: ROLE.KEY=VALUE (roles: gateway, queue-worker, provider).", into.role_option,
               std::move(check_role_option));
    table.text("nats_server", "The nats-server to run; empty: found on PATH.", into.nats_server);
    table.bytes("nats_payload_bytes_max", "Largest message of our nats-server; more where body_bytes_max asks for it.",
                into.nats_payload_bytes_max, mebi, 64 * mebi);
    table.bytes("nats_store_bytes_max",
                "Most bytes that our nats-server keeps on disk; 45 % of it for the partitions' logs, as much for their journals.",
                into.nats_store_bytes_max, 256 * mebi, 1024 * 1024 * mebi);
    table.duration("nats_answer_deadline", "Our nats-server is started anew when JetStream has not answered for so long.",
                   into.nats_answer_deadline, 1s, 600s);
    nats::add_to(table, into.nats, "nats", "URL of a NATS server or cluster to use instead of one of our own.");
    table.text(
        "run",
        "Shell command to run once everything is ready; OPENFAAS_URL in its environment is the gateway, SLUICE_STATE the state folder.",
        into.run);
    table.flag("run_then_stop", "Stop when the command of `run` has ended, with its exit code.", into.run_then_stop);
    table.duration("start_deadline", "How long a process may take to be ready.", into.start_deadline, 1s, 600s);
    table.duration("drain_deadline", "How long running calls may take to finish when stopping.", into.drain_deadline, 1s, 600s);
    table.bytes("log_bytes_max", "A log file beyond this becomes FILE.1 and starts anew.", into.log_bytes_max, 64 * 1024, 1024 * mebi);
}

}
