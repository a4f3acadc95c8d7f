#include "queue-worker/shard_runner.hpp"

#include "adapters/asio/clock.hpp"
#include "adapters/process/random.hpp"
#include "core/retry.hpp"

#include <algorithm>

namespace sluice::queue_worker {

namespace {

constexpr milliseconds reopen_wait_min{100};
constexpr milliseconds reopen_wait_max{5'000};
constexpr milliseconds ask_again_wait{200};
constexpr std::chrono::seconds replay_silence_max{30}; // without a journal message a replay is begun anew
constexpr milliseconds append_deadline{5'000};

// Why a callback has to be sent again; empty: it was delivered.
std::string failure_of(const outcome& result)
{
    if (result.kind != outcome_kind::delivered)
        return result.reason;
    return result.reply.status / 100 == 2 ? std::string() : "status " + std::to_string(result.reply.status);
}

}

shard_runner::shard_runner(loop& on, core::shard_options with, milliseconds left_alone_wait, std::vector<partition_ports> ports,
                           lease_keeper& leases, core::directory& functions, call_sender& calls, callback_sender& callbacks,
                           meters& counted, logger& log)
    : loop_(on),
      retry_(with.retry),
      shard_(std::move(with)),
      left_alone_wait_(left_alone_wait),
      ports_(std::move(ports)),
      leases_(leases),
      functions_(functions),
      calls_(calls),
      callbacks_(callbacks),
      meters_(counted),
      log_(log),
      failures_(ports_.size()),
      refused_(ports_.size()),
      due_(on),
      every_second_(on)
{
    for (std::size_t i = 0; i < ports_.size(); ++i)
        open_timers_.push_back(std::make_unique<timer>(on));
    functions_.on_function([this](const function_name& name) {
        if (!functions_.find(name))
            meters_.remove(name);
        tell_about(name);
    });
    functions_.on_endpoints([this](const function_name& name) { tell_about(name); });
    functions_.on_current([this] { tell_about_all(); });
    functions_.on_space([this](const std::string&) { tell_about_all(); }); // one that could not be read may have stood in the way
}

void shard_runner::start(std::function<void()> settled)
{
    settled_ = std::move(settled);
    leases_.start([this](std::uint32_t partition) { lease_changed(partition); });
    turn_soon();
}

void shard_runner::lease_changed(std::uint32_t partition)
{
    if (closed_)
        return;
    if (!leases_.mine(partition)) {
        open_timers_[partition]->cancel();
        refused_[partition].clear();
        for (const auto& [slot, held] : slots_)
            if (held.partition == partition)
                shard_.close(slot, "another worker holds its lease");
    } else if (!has_slot(partition))
        open(partition);
    turn_soon();
}

bool shard_runner::has_slot(std::uint32_t partition) const
{
    return std::any_of(slots_.begin(), slots_.end(), [partition](const auto& entry) { return entry.second.partition == partition; });
}

bool shard_runner::settled() const
{
    std::size_t ours = 0;
    for (std::uint32_t partition = 0; partition < failures_.size(); ++partition)
        ours += leases_.mine(partition) && refused_[partition].empty();
    return leases_.all_held() && shard_.count().partitions_owned == ours;
}

// Asked before each effect outside, so that a process that was stopped after it had decided on one finds out. Of a slot that is gone: no.
bool shard_runner::may_act(std::uint32_t slot) const
{
    const auto held = slots_.find(slot);
    return held != slots_.end() && leases_.may_act(held->second.partition);
}

void shard_runner::open(std::uint32_t partition)
{
    auto& made = slots_[shard_.open(partition, process::random_hex(16))];
    made.partition = partition;
    made.again = std::make_unique<timer>(loop_);
    turn_soon();
}

void shard_runner::open_later(std::uint32_t partition, milliseconds wait)
{
    open_timers_[partition]->after(wait, [this, partition] {
        if (leases_.mine(partition) && !has_slot(partition))
            open(partition);
    });
}

void shard_runner::drain()
{
    shard_.drain();
    turn_soon();
}

void shard_runner::close()
{
    closed_ = true;
    due_.cancel();
    every_second_.cancel();
    open_timers_.clear();
    slots_.clear();
    ports_.clear();
}

void shard_runner::turn_soon()
{
    if (turn_posted_ || closed_)
        return;
    turn_posted_ = true;
    loop_.post([this] {
        turn_posted_ = false;
        if (!closed_)
            turn();
    });
}

void shard_runner::turn()
{
    const auto now = clock_now();
    for (const auto& [slot, held] : slots_)
        shard_.suspend(slot, !leases_.may_act(held.partition));
    for (auto& next : shard_.take_actions(now))
        std::visit([this](auto& what) { perform(std::move(what)); }, next);
    watch_replays(now);
    if (settled_ && settled())
        std::exchange(settled_, nullptr)();
    if (auto due = shard_.next_due())
        due_.at(*due, [this] { turn_soon(); });
    else
        due_.cancel();
    if (!every_second_.armed())
        every_second_.after(std::chrono::seconds(1), [this] { turn_soon(); });
}

// A journal that ends before what its extent promised would be waited for for ever.
void shard_runner::watch_replays(instant now)
{
    for (auto& [number, held] : slots_)
        if (held.journal_reader && held.replay_deadline < now.mono) {
            held.replay_deadline = now.mono + replay_silence_max;
            shard_.close(number, "the journal gave nothing for " + std::to_string(replay_silence_max.count()) + " s while it was replayed");
            turn_soon();
        }
}

void shard_runner::tell_about(const function_name& function)
{
    if (!functions_.current())
        return;
    const auto now = clock_now();
    const auto* spec = functions_.find(function);
    shard_.set_exists(function, spec || functions_.unknown(function), now);
    if (spec)
        shard_.set_retry(function, core::with_annotations(spec->annotations, retry_).policy);
    const auto* running = functions_.endpoints(function);
    shard_.set_replicas(function, running ? running->replicas : std::vector<endpoint>{});
    turn_soon();
}

void shard_runner::tell_about_all()
{
    shard_.each_function([this](const function_name& name, std::size_t, std::size_t) { tell_about(name); });
}

// ---- taking over and reading

void shard_runner::perform(core::act::ask_extents&& what)
{
    auto& ports = ports_of(what.slot);
    ports.journal->info([this, slot = what.slot](message_log::result<log_info> journal) {
        if (closed_ || !slots_.contains(slot))
            return;
        if (!journal)
            return ask_extents_again(slot);
        ports_of(slot).log->info([this, slot, journal = *journal](message_log::result<log_info> log) {
            if (closed_ || !slots_.contains(slot))
                return;
            if (!log)
                return ask_extents_again(slot);
            shard_.opened(slot, journal, *log);
            turn_soon();
        });
    });
}

void shard_runner::ask_extents_again(std::uint32_t slot)
{
    slots_.at(slot).again->after(ask_again_wait, [this, slot] { perform(core::act::ask_extents{slot}); });
}

void shard_runner::perform(core::act::read_journal&& what)
{
    auto& held = slots_.at(what.slot);
    held.replay_deadline = clock_now().mono + replay_silence_max;
    held.journal_reader = ports_of(what.slot).journal->read(1, [this, slot = what.slot](log_message message) {
        slots_.at(slot).replay_deadline = clock_now().mono + replay_silence_max;
        shard_.journal_message(slot, message);
        turn_soon();
    });
}

void shard_runner::perform(core::act::read_log&& what)
{
    auto& held = slots_.at(what.slot);
    held.journal_reader.reset();
    held.log_reader = ports_of(what.slot).log->read(what.from, [this, slot = what.slot](log_message message) {
        shard_.log_message(slot, std::move(message), clock_now());
        turn_soon();
    });
    failures_[held.partition] = 0;
    refused_[held.partition].clear();
    log_.info("partition owned partition={} slot={} from={}", held.partition, what.slot, what.from);
}

void shard_runner::perform(core::act::pause_log&& what)
{
    auto& reader = slots_.at(what.slot).log_reader;
    if (!reader)
        return;
    if (what.paused)
        reader->pause();
    else
        reader->resume();
}

void shard_runner::perform(core::act::closed&& what)
{
    slots_.erase(what.slot);
    const bool still_ours = leases_.mine(what.partition);
    if (!what.final) {
        log_.warn("partition lost partition={} reason=\"{}\"", what.partition, what.reason);
        if (still_ours)
            open_later(what.partition, core::backoff(++failures_[what.partition], reopen_wait_min, reopen_wait_max));
        return;
    }
    log_.error("partition is left alone partition={} retry_in_ms={} reason=\"{}\"", what.partition, left_alone_wait_.count(), what.reason);
    if (!still_ours)
        return;
    refused_[what.partition] = std::move(what.reason); // the lease is kept: another worker would end here too
    open_later(what.partition, left_alone_wait_);
    turn_soon();
}

// ---- the journal

void shard_runner::perform(core::act::append&& what)
{
    append_request request;
    request.id = std::move(what.what.id);
    request.payload = std::move(what.what.payload);
    request.expected_last_sequence = what.what.expected_last_sequence;
    request.deadline = append_deadline;
    ports_of(what.slot).journal->append(request, told([this, slot = what.slot, batch = what.what.batch](auto& result) {
                                            shard_.append_result(slot, batch, result, clock_now());
                                        }));
}

void shard_runner::perform(core::act::read_back&& what)
{
    ports_of(what.slot).journal->get(what.sequence,
                                     told([this, slot = what.slot](auto& result) { shard_.read_back_result(slot, result, clock_now()); }));
}

void shard_runner::perform(core::act::ask_last&& what)
{
    ports_of(what.slot).journal->info(told([this, slot = what.slot](auto& result) { shard_.last_result(slot, result, clock_now()); }));
}

void shard_runner::perform(core::act::check_log&& what)
{
    ports_of(what.slot).log->get(what.sequence, told([this, what](auto& result) { shard_.log_checked(what.slot, what.sequence, result); }));
}

void shard_runner::perform(core::act::ask_log&& what)
{
    ports_of(what.slot).log->info(told([this, slot = what.slot](auto& result) { shard_.log_extent(slot, result); }));
}

void shard_runner::perform(core::act::purge_log&& what)
{
    ports_of(what.slot).log->purge_below(
        what.below, told([this, what](auto& result) { shard_.log_purged(what.slot, what.below, result.has_value()); }));
}

void shard_runner::perform(core::act::purge_journal&& what)
{
    ports_of(what.slot).journal->purge_below(what.below, [](message_log::result<void>) {});
}

// ---- calls and callbacks

void shard_runner::perform(core::act::fetch_call&& what)
{
    auto& ports = ports_of(what.call.slot);
    auto& from = what.from_journal ? ports.journal : ports.log;
    from->get(what.sequence, told([this, call = what.call](auto& result) { shard_.call_fetched(call, std::move(result), clock_now()); }));
}

void shard_runner::perform(core::act::fetch_straggler&& what)
{
    ports_of(what.slot).log->get(what.sequence, told([this, what](auto& result) {
                                     shard_.straggler_fetched(what.slot, what.sequence, std::move(result), clock_now());
                                 }));
}

void shard_runner::perform(core::act::fetch_journal&& what)
{
    ports_of(what.slot).journal->get(
        what.sequence, told([this, what](auto& result) { shard_.journal_fetched(what.slot, what.sequence, result, clock_now()); }));
}

void shard_runner::perform(core::act::fetch_answer&& what)
{
    ports_of(what.call.slot).journal->get(what.journal_sequence, told([this, call = what.call](auto& result) {
                                              shard_.answer_fetched(call, result, clock_now());
                                          }));
}

void shard_runner::perform(core::act::dispatch&& what)
{
    const auto may_send = [this, slot = what.call.slot] { return may_act(slot); };
    auto done = told([this, call = what.call, sent = what.what](auto& result) {
        meters_.attempt(sent->function, result);
        if (result.kind != outcome_kind::delivered)
            log_.warn("attempt failed invocation={} function={} sequence={} reason=\"{}\"", core::call_id_of(*sent), sent->function.full(),
                      sent->sequence, result.reason);
        shard_.attempt_finished(call, result, clock_now());
    });
    calls_.send(what, may_send, std::move(done));
}

void shard_runner::perform(core::act::send_callback&& what)
{
    const auto may_send = [this, slot = what.call.slot] { return may_act(slot); };
    auto done = told([this, call = what.call, attempt = what.attempt, sent = what.what](auto& result) {
        meters_.callback(result);
        if (const auto why = failure_of(result); !why.empty())
            log_.warn("callback failed invocation={} sequence={} attempt={} reason=\"{}\"", core::field_of(sent->head, "X-Call-Id"),
                      sent->call.sequence, attempt, why);
        shard_.callback_finished(call, result, clock_now());
    });
    callbacks_.send(what.what, may_send, std::move(done));
}

void shard_runner::perform(core::act::settled&& what) { meters_.settled(what); }

void shard_runner::perform(core::act::lookup&& what) { tell_about(what.function); }

void shard_runner::perform(core::act::warn&& what)
{
    const auto held = what.slot ? slots_.find(*what.slot) : slots_.end();
    if (held == slots_.end())
        log_.warn("{}", what.message);
    else
        log_.warn("{} partition={}", what.message, held->second.partition);
}

}
