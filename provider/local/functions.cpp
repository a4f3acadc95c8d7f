#include "provider/local/functions.hpp"

#include "core/retry.hpp"

#include <algorithm>
#include <system_error>

namespace sluice::provider {

namespace {

using core::replica_action;
using core::replica_phase;
using std::chrono::milliseconds;

constexpr milliseconds kill_grace{5'000};          // above the watchdog's own deadline
constexpr milliseconds failures_forgotten{10'000}; // a replica that was ready that long had started well
constexpr milliseconds publish_deadline{2'000};    // at the end
constexpr milliseconds stop_check{10};

mono_time now() { return std::chrono::steady_clock::now(); }

core::reconcile_policy policy_of(const options& given)
{
    return {given.start_deadline, given.leave_wait, given.drain_deadline + kill_grace};
}

}

functions::functions(loop& on, const options& given, ports buckets, const state_file& state, logger& events, metrics::registry& meters)
    : loop_(on),
      options_(given),
      buckets_(buckets),
      state_(state),
      events_(events),
      launcher_(on, given, state),
      client_(on, {.connections_per_address_max = 4, .idle_per_address_max = 1}),
      publisher_(on, buckets.endpoints, events),
      replicas_gauge_(meters.make_gauge("sluice_provider_replicas", "Replicas whose process runs")),
      starts_(meters.make_counter("sluice_provider_replica_starts_total", "Replicas started")),
      failures_(meters.make_counter("sluice_provider_replica_failures_total", "Replicas that ended or could not be started, unasked"))
{
    statics_ = core::parse_static_functions(given.static_function);
}

functions::~functions() { *here_ = false; }

std::size_t functions::running() const noexcept
{
    std::size_t count = 0;
    for (const auto& [key, each] : entries_)
        count += each.replicas.size();
    return count;
}

void functions::start(std::function<void()> settled)
{
    settled_ = std::move(settled);
    adopt();
    specs_ = buckets_.functions.watch([this](const kv_entry& change) { on_spec(change); },
                                      [this] {
                                          specs_current_ = true;
                                          begin_if_current();
                                      });
    found_endpoints_ = buckets_.endpoints.watch([this](const kv_entry& change) { on_found_endpoints(change); },
                                                [this] {
                                                    endpoints_current_ = true;
                                                    begin_if_current();
                                                });
}

void functions::adopt()
{
    auto records = state_.read();
    const auto gone = std::partition(records.begin(), records.end(), [](const auto& record) {
        return process::alive({record.pid, record.start_ticks});
    });
    for (auto at = gone; at != records.end(); ++at)
        ended_.push_back({*at, false});
    launcher_.clean_up(std::exchange(ended_, {}));
    records.erase(gone, records.end());
    launcher_.remove_folders_but(records);
    for (auto& record : records) {
        events_.info("replica adopted function={} replica={} pid={} port={}", record.function.full(), record.replica, record.pid,
                     record.port);
        auto& of = entries_[record.function.key()];
        of.name = record.function;
        add_replica(of, std::move(record));
    }
    save();
}

void functions::schedule(const std::string& key)
{
    if (!dirty_.insert(key).second || dirty_.size() > 1)
        return;
    loop_.post([this, here = here_] {
        if (!*here)
            return;
        begin_if_current();
        for (const auto& each : std::exchange(dirty_, {}))
            settle(each);
    });
}

void functions::settle(const std::string& key)
{
    const auto at = entries_.find(key);
    if (at == entries_.end() || (stopping_ ? options_.keep_replicas : !begun_))
        return;
    auto& of = at->second;
    core::function_state state;
    state.desired = of.wanted && of.plan && !stopping_ ? of.plan->replicas : 0;
    state.spec_hash = of.plan ? of.plan->spec_hash : 0;
    state.start_not_before = of.start_not_before;
    for (const auto& runs : of.replicas)
        state.replicas.push_back({runs->record().replica, runs->record().spec_hash, runs->phase(), runs->since()});
    const auto total = static_cast<std::uint32_t>(running());
    const auto free_slots = options_.replicas_max > total ? options_.replicas_max - total : 0;
    // A function whose spec cannot be run keeps what ran before.
    const bool keep = of.wanted && !of.plan && !stopping_;
    const auto decision = keep ? core::reconcile_decision{} : core::reconcile(state, policy_of(options_), free_slots, now());
    for (const auto& step : decision.steps)
        perform(of, step);
    note_room(of, decision.no_room_for);
    publish(of);
    if (!of.wanted && of.replicas.empty()) {
        entries_.erase(at);
        return;
    }
    if (!of.wake)
        of.wake = std::make_unique<timer>(loop_);
    if (decision.wake)
        of.wake->at(*decision.wake, [this, key] { schedule(key); });
    else
        of.wake->cancel();
}

void functions::perform(entry& of, const core::reconcile_step& step)
{
    if (step.action == replica_action::start)
        return start_replica(of);
    const auto at =
        std::find_if(of.replicas.begin(), of.replicas.end(), [&](const auto& each) { return each->record().replica == step.replica; });
    if (at == of.replicas.end())
        return;
    auto& runs = **at;
    switch (step.action) {
    case replica_action::start: break;
    case replica_action::leave:
        events_.info("replica leaves function={} replica={} reason=\"{}\"", of.name.full(), step.replica,
                     stopping_ ? "stopping" : step.reason);
        return runs.leave();
    case replica_action::terminate: return runs.terminate();
    case replica_action::kill:
        events_.warn("replica killed function={} replica={} reason=\"{}\"", of.name.full(), step.replica, step.reason);
        return runs.kill(step.reason + ": " + runs.why_not_ready());
    }
}

void functions::start_replica(entry& of)
{
    if (of.start_not_before && now() < *of.start_not_before)
        return; // the one before it in the same decision failed
    try {
        auto launched = launcher_.launch(of.name, *of.plan);
        const auto record = launched.record;
        add_replica(of, record);
        save();
        launcher_.release(launched);
        starts_.add();
        events_.info("replica started function={} replica={} pid={} port={}", of.name.full(), record.replica, record.pid, record.port);
    } catch (const std::exception& error) {
        events_.error("replica not started function={} error=\"{}\"", of.name.full(), error.what());
        count_failure(of, error.what());
    }
}

void functions::add_replica(entry& of, core::replica_record record)
{
    const auto key = of.name.key();
    const auto id = record.replica;
    replica::listener told{[this, key] { schedule(key); },
                           [this, key, id](process::exit_status status) {
                               loop_.post([this, key, id, status, here = here_] {
                                   if (*here)
                                       remove_replica(key, id, status);
                               });
                           }};
    of.replicas.push_back(std::make_unique<replica>(loop_, client_, std::move(record), options_.slow_start_after, std::move(told)));
    replicas_gauge_.set(static_cast<double>(running()));
}

void functions::remove_replica(const std::string& key, const std::string& id, process::exit_status status)
{
    const auto found = entries_.find(key);
    if (found == entries_.end())
        return; // stopped meanwhile
    auto& of = found->second;
    const auto at = std::find_if(of.replicas.begin(), of.replicas.end(), [&](const auto& each) { return each->record().replica == id; });
    const auto ended = std::move(*at);
    of.replicas.erase(at);
    auto reason = launcher_.end_reason(ended->record());
    clean_up_later({ended->record(), status.known && status.signal == 0 && status.code == 0});
    if (ended->phase() < replica_phase::leaving) {
        if (!ended->kill_reason().empty())
            reason = ended->kill_reason();
        else if (reason.empty())
            reason = "the replica ended: " + process::how_it_ended(status);
        events_.warn("replica ended function={} replica={} code={} signal={} reason=\"{}\"", of.name.full(), id, status.code, status.signal,
                     reason);
        if (ended->phase() == replica_phase::ready && now() - ended->since() >= failures_forgotten)
            of.failures = 0;
        if (of.plan && ended->record().spec_hash == of.plan->spec_hash)
            count_failure(of, std::move(reason));
    } else {
        events_.info("replica stopped function={} replica={}", of.name.full(), id);
    }
    replicas_gauge_.set(static_cast<double>(running()));
    schedule(key);
    for (const auto& [other, waits] : entries_) // there is room now
        if (waits.no_room_for > 0)
            schedule(other);
    if (stopping_)
        finish_stop();
}

// Once for all that end at the same time, as a whole function's replicas do.
void functions::clean_up_later(ended_replica of)
{
    ended_.push_back(std::move(of));
    if (ended_.size() > 1)
        return;
    loop_.post([this, here = here_] {
        if (*here)
            clean_up_ended();
    });
}

void functions::clean_up_ended()
{
    if (ended_.empty())
        return;
    launcher_.clean_up(std::exchange(ended_, {}));
    try {
        save();
    } catch (const std::system_error& error) { // a record too many is found dead by whoever reads it
        events_.error("state not written error=\"{}\"", error.what());
    }
}

void functions::count_failure(entry& of, std::string reason)
{
    of.failure = std::move(reason);
    failures_.add();
    ++of.failures;
    of.start_not_before = now() + core::backoff(of.failures, options_.restart_wait_min, options_.restart_wait_max);
    schedule(of.name.key());
}

void functions::save() const
{
    std::vector<core::replica_record> records;
    for (const auto& [key, each] : entries_)
        for (const auto& runs : each.replicas)
            records.push_back(runs->record());
    for (const auto& ended : ended_)
        records.push_back(ended.record);
    state_.write(records);
}

void functions::stop(std::function<void()> stopped)
{
    if (stopping_) {
        for (const auto& [key, each] : entries_)
            for (const auto& runs : each.replicas)
                runs->kill("stopped");
        return;
    }
    stopping_ = true;
    stopped_ = std::move(stopped);
    specs_.reset();
    found_endpoints_.reset();
    stop_timer_ = std::make_unique<timer>(loop_);
    stop_by_ = now() + publish_deadline;
    if (!options_.keep_replicas)
        for (const auto& [key, each] : entries_)
            schedule(key);
    stop_timer_->after(stop_check, [this] { finish_stop(); });
}

// Once nothing runs any more, the last word about endpoints gets a moment to be stored.
void functions::finish_stop()
{
    const bool waits_for_replicas = !options_.keep_replicas && running() > 0;
    if (waits_for_replicas) {
        stop_by_ = now() + publish_deadline;
        return;
    }
    clean_up_ended();
    if (!dirty_.empty() || ((!publisher_.idle() || !launcher_.idle()) && now() < stop_by_))
        return stop_timer_->after(stop_check, [this] { finish_stop(); });
    stop_timer_->cancel();
    publisher_.close();
    entries_.clear();
    client_.close();
    if (stopped_)
        std::exchange(stopped_, nullptr)();
}

}
