#include "cli/up/up.hpp"

namespace sluice::up {

void add_to(config::table& table, options& into)
{
    using namespace std::chrono_literals;
    constexpr std::uint64_t mebi = 1024 * 1024;
    table.text("state", "Folder that keeps everything: secrets, the store, logs. Made private (0700); one `up` at a time.", into.state);
    table.text("listen", "Address of the gateway, HOST:PORT; port 0: any free one (see run/gateway.ready in the state folder).",
               into.listen);
    table.choice("log_level", "Least level of what every process logs.", into.log_level, {"debug", "info", "warn", "error"});
    table.bytes("body_bytes_max", "Largest body of a call; above it 413.", into.body_bytes_max, 1024, 32 * mebi);
    table.list("callback_allow", "Where callbacks may go beside public addresses: CIDR, address or host name, with or without port.",
               into.callback_allow);
    table.list("static_function", "A function that is a server of yours: NAME[.NS]=http://HOST:PORT[,max_inflight=N].",
               into.static_function);
    table.number("partitions", "Partitions of the log, fixed when the store is made; ignored afterwards.", into.partitions, 1, 256);
    table.list("role_option", "An option of one role: ROLE.KEY=VALUE (roles: gateway, queue-worker, provider).", into.role_option);
    table.text("nats_server", "The nats-server to run; empty: found on PATH.", into.nats_server);
    table.bytes("nats_payload_bytes_max", "Largest message of our nats-server; more where body_bytes_max asks for it.",
                into.nats_payload_bytes_max, mebi, 64 * mebi);
    table.bytes("nats_store_bytes_max", "Most bytes that our nats-server keeps on disk.", into.nats_store_bytes_max, 256 * mebi,
                1024 * 1024 * mebi);
    table.duration("nats_answer_deadline", "Our nats-server is started anew when JetStream has not answered for so long.",
                   into.nats_answer_deadline, 1s, 600s);
    table.text("nats", "URL of a NATS server or cluster to use instead of one of our own.", into.nats);
    table.text("nats_user", "User for `nats`.", into.nats_user);
    table.text("nats_password_file", "File with the password for `nats`.", into.nats_password_file);
    table.text("nats_credentials_file", "Credentials file (.creds) for `nats`.", into.nats_credentials_file);
    table.text("nats_ca_file", "CA certificates for `nats`; given: TLS.", into.nats_ca_file);
    table.text("nats_cert_file", "Client certificate for `nats`.", into.nats_cert_file);
    table.text("nats_key_file", "Key of the client certificate for `nats`.", into.nats_key_file);
    table.text("run", "Shell command to run once everything is ready; OPENFAAS_URL in its environment is the gateway.", into.run);
    table.flag("run_then_stop", "Stop when the command of `run` has ended, with its exit code.", into.run_then_stop);
    table.duration("start_deadline", "How long a process may take to be ready.", into.start_deadline, 1s, 600s);
    table.duration("drain_deadline", "How long running calls may take to finish when stopping.", into.drain_deadline, 1s, 600s);
    table.bytes("log_bytes_max", "A log file beyond this becomes FILE.1 and starts anew.", into.log_bytes_max, 64 * 1024, 1024 * mebi);
}

}
