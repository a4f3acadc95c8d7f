#include "queue-worker/worker.hpp"

#include "adapters/process/files.hpp"
#include "core/layout.hpp"
#include "core/listen_address.hpp"
#include "sluice/wire.hpp"

#include <algorithm>

namespace sluice::queue_worker {

namespace {

constexpr milliseconds quiet_poll{20};
constexpr milliseconds give_back_deadline{1'000};
// What a journal message holds beside an answer's body: the answer's header fields (bounded by the http client), URL, and framing.
constexpr std::uint64_t record_overhead = 128 * 1024;

// What the server's max_payload leaves for an answer's body.
std::uint64_t answer_room(std::uint64_t payload_bytes_max)
{
    return payload_bytes_max > record_overhead ? payload_bytes_max - record_overhead : 0;
}

// The configured bound is lowered to that, with a warning.
options lowered(options with, std::uint64_t payload_bytes_max, logger& log)
{
    const auto room = answer_room(payload_bytes_max);
    if (with.answer_bytes_max > room) {
        log.warn("answer_bytes_max is lowered to what the server's max_payload allows from={} to={}", with.answer_bytes_max, room);
        with.answer_bytes_max = room;
    }
    return with;
}

}

worker::worker(loop& on, nats::connection& store, const options& with, logger& log)
    : loop_(on),
      store_(store),
      options_(lowered(with, store.payload_bytes_max(), log)),
      log_(log),
      meters_(std::string(wire::default_queue)),
      calls_(on, {options_.call_deadline, options_.answer_bytes_max}),
      callbacks_(on, with.callback_allow, {with.callback_deadline, with.callback_ca_file}),
      pages_([this](const http_request& asked) { return page(asked); }),
      drain_deadline_(on),
      drain_poll_(on)
{}

core::shard_options worker::shard_options() const
{
    auto with = options_.shard;
    auto& batch_bytes_max = with.partitions.writer.batch_bytes_max;
    batch_bytes_max = std::min<std::uint64_t>(batch_bytes_max, answer_room(store_.payload_bytes_max()));
    with.partitions.record_bytes_max = answer_room(store_.payload_bytes_max());
    with.partitions.reserve.call_timeout = options_.call_deadline;
    return with;
}

void worker::start()
{
    store_.on_change([this](bool up) {
        log_.info("nats connection up={}", up);
        meters_.reconnects(store_.reconnects());
    });
    serve_status();
    to_open_ = 5;
    open_bucket(wire::functions_bucket, &worker::functions_bucket_);
    open_bucket(wire::endpoints_bucket, &worker::endpoints_bucket_);
    open_bucket(wire::namespaces_bucket, &worker::namespaces_bucket_);
    open_bucket(wire::cluster_bucket, &worker::cluster_bucket_);
    open_bucket(wire::leases_bucket, &worker::leases_bucket_);
}

void worker::serve_status()
{
    if (options_.metrics_listen.empty())
        return;
    const auto where = core::parse_listen_address("metrics_listen", options_.metrics_listen);
    http::server_options at;
    at.host = where.host;
    at.port = where.port;
    server_.emplace(loop_, at, pages_);
}

void worker::open_bucket(std::string_view name, std::unique_ptr<key_value> worker::*into)
{
    const nats::stream_options with{0, static_cast<int>(options_.replicas), std::chrono::minutes(2)};
    store_.open_bucket(std::string(name), with, [this, name, into](boost::system::result<std::unique_ptr<key_value>> bucket) {
        if (closed_)
            return;
        if (!bucket)
            return fail("bucket " + std::string(name) + " cannot be opened: " + bucket.error().message());
        this->*into = std::move(*bucket);
        if (--to_open_ == 0)
            agree_on_layout();
    });
}

void worker::agree_on_layout()
{
    core::agree_on_layout(*cluster_bucket_, options_.partitions, [this](boost::system::result<std::uint32_t, std::string> partitions) {
        if (closed_)
            return;
        if (!partitions)
            return fail(partitions.error());
        open_partitions(*partitions);
    });
}

void worker::open_partitions(std::uint32_t partitions)
{
    opening_.resize(partitions);
    to_open_ = 2 * partitions;
    for (std::uint32_t i = 0; i < partitions; ++i) {
        open_stream(wire::log_stream(wire::default_queue, i), wire::log_subject(wire::default_queue, i), options_.log_bytes_max,
                    opening_[i].log);
        open_stream(wire::journal_stream(wire::default_queue, i), wire::journal_subject(wire::default_queue, i), options_.journal_bytes_max,
                    opening_[i].journal);
    }
}

void worker::open_stream(std::string stream, std::string subject, std::uint64_t bytes_max, std::unique_ptr<message_log>& into)
{
    nats::stream_options with;
    with.bytes_max = bytes_max;
    with.replicas = static_cast<int>(options_.replicas);
    store_.open_log(stream, std::move(subject), with, [this, stream, &into](boost::system::result<std::unique_ptr<message_log>> port) {
        if (closed_)
            return;
        if (!port)
            return fail("stream " + stream + " cannot be opened: " + port.error().message());
        into = std::move(*port);
        if (--to_open_ == 0)
            run_shard();
    });
}

void worker::run_shard()
{
    if (stopping_)
        return;
    functions_.emplace(*functions_bucket_, *endpoints_bucket_, *namespaces_bucket_,
                       [this](std::string_view message) { log_.error("directory {}", message); });
    leases_.emplace(loop_, *leases_bucket_, options_.worker_id, static_cast<std::uint32_t>(opening_.size()),
                    core::lease_terms(options_.lease_ttl), log_);
    runner_.emplace(loop_, shard_options(), std::move(opening_), *leases_, *functions_, calls_, callbacks_, meters_, log_);
    runner_->start(
        [this] {
            log_.info("ready nats={} version={}", options_.nats.url, store_.server_version());
            const auto host = server_ ? core::parse_listen_address("metrics_listen", options_.metrics_listen).host : std::string();
            process::write_ready_file(options_.ready_file, host, server_ ? server_->port() : 0);
        },
        [this](std::string why) { fail(std::move(why)); });
}

http_response worker::page(const http_request& asked)
{
    const auto plain = [](unsigned status, std::string body) {
        return http_response{status, {{"Content-Type", "text/plain; charset=utf-8"}}, std::move(body)};
    };
    if (asked.method != "GET" && asked.method != "HEAD")
        return plain(405, "only GET\n");
    if (asked.path() == "/metrics")
        return {
            200, {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}}, runner_ ? meters_.text(runner_->shard()) : std::string()};
    if (asked.path() != "/healthz")
        return plain(404, "not found\n");
    const auto ill = illness();
    return ill.empty() ? plain(200, "OK\n") : plain(503, ill + '\n');
}

std::string worker::illness() const
{
    if (!store_.connected())
        return "no connection to NATS";
    if (!runner_)
        return "starting";
    return runner_->settled() ? "" : "not all partitions are owned";
}

void worker::fail(std::string why)
{
    if (failure_.empty())
        failure_ = std::move(why);
    close();
}

// Shutdown, in order: nothing new is started, running calls finish or meet the deadline, records and callbacks under way are stored, then
// everything is closed.
void worker::stop()
{
    if (stopping_)
        return close(); // asked twice: at once
    stopping_ = true;
    if (!runner_)
        return close();
    log_.info("stopping running={}", runner_->shard().count().running);
    runner_->drain();
    drain_deadline_.after(options_.drain_deadline, [this] {
        log_.warn("running calls did not finish in time running={}", runner_->shard().count().running);
        close();
    });
    close_when_quiet();
}

void worker::close_when_quiet()
{
    if (closed_)
        return;
    if (runner_->quiet()) {
        // So that the next worker need not wait for the leases to lapse.
        drain_deadline_.cancel();
        return leases_->give_back(give_back_deadline, [this] { close(); });
    }
    drain_poll_.after(quiet_poll, [this] { close_when_quiet(); });
}

void worker::close()
{
    if (closed_)
        return;
    closed_ = true;
    drain_deadline_.cancel();
    drain_poll_.cancel();
    if (runner_)
        runner_->close();
    if (leases_)
        leases_->close();
    calls_.close();
    callbacks_.close();
    if (server_)
        server_->close();
    functions_.reset();
    if (on_closed_)
        on_closed_();
}

}
