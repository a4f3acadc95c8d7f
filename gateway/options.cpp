#include "gateway/gateway.hpp"

#include "adapters/nats/stores.hpp"
#include "adapters/process/files.hpp"
#include "core/layout.hpp"
#include "core/option_checks.hpp"

#include <algorithm>
#include <stdexcept>

namespace sluice::gateway {

namespace {

using std::chrono::hours;
constexpr std::uint64_t mib = 1024 * 1024;

void check_secret_file(const std::string& path)
{
    process::check_readable(path);
    if (const auto content = process::look_into_file(path); content && content->find_first_not_of(" \t\r\n") == content->npos)
        throw std::invalid_argument("names a file that is empty");
}

void add_bounds(config::table& table, options& into)
{
    table.bytes("body_bytes_max", "largest body of an asynchronous call; a server's max_payload may lower it", into.body_bytes_max, 1024,
                64 * mib);
    table.bytes("function_body_bytes_max", "largest body of a synchronous call", into.function_body_bytes_max, 1024, 1024 * mib);
    table.bytes("function_answer_bytes_max", "largest answer to a synchronous call", into.function_answer_bytes_max, 1024, 1024 * mib);
    table.bytes("api_body_bytes_max",
                "largest body of a request to /system/*; what it describes must fit into the server's max_payload too",
                into.api_body_bytes_max, 1024, 64 * mib);
    table.bytes("body_bytes_budget", "request bodies held at once, those above 16 KiB; above it 503 for the next one",
                into.body_bytes_budget, mib, 1ull << 40);
    table.bytes("answer_bytes_budget", "answers to synchronous calls held at once, those above 16 KiB; above it 502 for the next one",
                into.answer_bytes_budget, mib, 1ull << 40);
    table.duration("upstream_timeout", "of a synchronous call, to the function's whole answer", into.upstream_timeout, milliseconds(1),
                   hours(24));
    table.number("function_calls_max", "synchronous calls under way; above it 503", into.function_calls_max, 1, 1'000'000);
    table.number("function_replicas_max", "replicas that a deployment may ask for (label com.openfaas.scale.min); above it 400",
                 into.function_replicas_max, 1, 100'000);
    // The log forgets an id after its duplicate window, 20 s: a call may not be published again after that.
    table.duration("publish_deadline", "until the log has answered for an asynchronous call; then 503", into.publish_deadline,
                   milliseconds(100), milliseconds(15'000));
    table.duration("ready_deadline", "/readyz is 503 when JetStream has not answered for that long", into.ready_deadline, milliseconds(400),
                   hours(1));
    table.number("publishes_max", "asynchronous calls that wait for the log's answer; above it 503", into.publishes_max, 1, 1'000'000);
    table.bytes("publish_bytes_max", "bytes of the calls that wait for the log's answer; above it 503", into.publish_bytes_max, mib,
                1ull << 40);
    table.number("connections_max", "client connections; above it 503", into.connections_max, 1, 1'000'000);
    table.duration("header_deadline", "for a request's whole header", into.header_deadline, milliseconds(10), hours(1));
    table.duration("body_deadline", "for a request's whole body", into.body_deadline, milliseconds(10), hours(1));
    table.duration("body_pace_deadline", "for each further 16 KiB, once so much of a body has come", into.body_pace_deadline,
                   milliseconds(10), hours(1));
    table.duration("write_deadline", "for a whole response", into.write_deadline, milliseconds(10), hours(1));
    table.duration("idle_deadline", "between two requests of a connection", into.idle_deadline, milliseconds(10), hours(1));
}

}

void check(const options& given)
{
    nats::check(given.nats);
    if (given.basic_auth_user_file.empty() != given.basic_auth_password_file.empty())
        throw config::error("basic_auth_user_file and basic_auth_password_file: one was given without the other");
    // A body that is within its own bound must find room in an empty budget.
    const auto largest = std::max({given.body_bytes_max, given.function_body_bytes_max, given.api_body_bytes_max});
    if (given.body_bytes_budget < largest)
        throw config::error("body_bytes_budget: smaller than the largest body, " + std::to_string(largest) + " bytes");
    if (given.answer_bytes_budget < given.function_answer_bytes_max)
        throw config::error("answer_bytes_budget: smaller than function_answer_bytes_max");
}

void add_to(config::table& table, options& into)
{
    table.text("listen", "HOST:PORT that clients connect to; port 0: any free one", into.listen, core::check_listen_address);
    nats::add_to(table, into.nats);
    table.choice("log_level", "what is logged", into.log_level, {"debug", "info", "warn", "error"});
    table.text("ready_file", "written with host:port once calls are accepted", into.ready_file);
    table.number("partitions", "of a new cluster; an existing one keeps its own", into.partitions, 1, core::partitions_max);
    table.bytes("log_bytes_max", "of a partition's log, when it is made; calls are refused from 80 % of what the log has",
                into.log_bytes_max, core::stream_bytes_min, 1ull << 50);
    table.text("store_folder", "folder of the NATS server's store where that is on this machine, to watch its disk; empty: not watched",
               into.store_folder);
    table.bytes("store_free_min",
                "asynchronous calls are refused while the disk of store_folder has less left, so that what is accepted can be finished",
                into.store_free_min, 0, 1ull << 50);
    nats::add_replicas_to(table, into.replicas);
    add_bounds(table, into);
    table.list("callback_allow", "addresses, CIDRs or host names, with or without port, that callbacks may go to besides public addresses",
               into.callback_allow, core::check_callback_allow);
    table.text("basic_auth_user_file", "file with the user of /system/*; empty: no authentication", into.basic_auth_user_file,
               check_secret_file);
    table.text("basic_auth_password_file", "file with the password of /system/*", into.basic_auth_password_file, check_secret_file);
    table.duration("drain_deadline", "requests under way get that long to finish at shutdown", into.drain_deadline, milliseconds(0),
                   hours(1));
}

}
