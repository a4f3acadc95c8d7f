#include "queue-worker/worker.hpp"

#include "adapters/process/files.hpp"
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

nats::stores_wanted stores_of(const options& with)
{
    nats::stores_wanted wanted;
    wanted.buckets = {wire::functions_bucket, wire::endpoints_bucket, wire::namespaces_bucket, wire::leases_bucket};
    wanted.logs = wanted.journals = true;
    wanted.replicas = with.replicas;
    wanted.partitions = with.partitions;
    wanted.log_bytes_max = with.log_bytes_max;
    wanted.journal_bytes_max = with.journal_bytes_max;
    return wanted;
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
      pages_(
          on, [this] { return runner_ ? meters_.text(runner_->shard()) : std::string(); }, [this] { return illness(); }),
      drain_deadline_(on),
      drain_poll_(on)
{}

core::shard_options worker::shard_options() const
{
    auto with = options_.shard;
    with.retry.codes = core::parse_retry_codes(options_.retry_codes);
    with.retry.jitter = core::parse_jitter(options_.retry_jitter);
    auto& batch_bytes_max = with.partitions.writer.batch_bytes_max;
    batch_bytes_max = std::min<std::uint64_t>(batch_bytes_max, answer_room(store_.payload_bytes_max()));
    with.partitions.record_bytes_max = answer_room(store_.payload_bytes_max());
    return with;
}

void worker::start()
{
    store_.on_change([this](bool up) {
        log_.info("nats connection up={}", up);
        meters_.reconnects(store_.reconnects());
    });
    pages_.listen(options_.metrics_listen);
    nats::open_stores(store_, stores_of(options_), [this](boost::system::result<nats::stores, std::string> opened) {
        if (closed_)
            return;
        if (!opened)
            return fail(opened.error());
        stores_ = std::move(*opened);
        run_shard();
    });
}

void worker::run_shard()
{
    if (stopping_)
        return;
    functions_.emplace(*stores_.functions, *stores_.endpoints, *stores_.namespaces,
                       [this](std::string_view message) { log_.error("directory {}", message); });
    store_health_.emplace(loop_, store_, stores_.streams, log_);
    std::vector<shard_runner::partition_ports> ports(stores_.logs.size());
    for (std::size_t i = 0; i < ports.size(); ++i)
        ports[i] = {std::move(stores_.logs[i]), std::move(stores_.journals[i])};
    leases_.emplace(loop_, *stores_.leases, options_.worker_id, static_cast<std::uint32_t>(ports.size()),
                    core::lease_terms(options_.lease_ttl), log_);
    runner_.emplace(loop_, shard_options(), options_.left_alone_wait, std::move(ports), *leases_, *functions_, calls_, callbacks_, meters_,
                    log_);
    runner_->start([this] {
        log_.info("ready nats={} version={}", options_.nats.url, store_.server_version());
        process::write_ready_file(options_.ready_file, pages_.host(), pages_.port());
    });
}

std::string worker::illness() const
{
    if (!runner_)
        return store_.connected() ? "starting" : "no connection to NATS";
    if (auto why = store_health_->illness(); !why.empty())
        return why;
    if (!leases_->all_renewed())
        return "leases could not be renewed in time";
    if (auto refusal = runner_->refusal(); !refusal.empty())
        return refusal;
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
    pages_.close();
    store_health_.reset();
    functions_.reset();
    if (on_closed_)
        on_closed_();
}

}
