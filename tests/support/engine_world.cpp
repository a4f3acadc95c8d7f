#include "tests/support/engine_world.hpp"

namespace sluice::testing_support {

using namespace core;

namespace {

constexpr microseconds bad_times{2'000'000};
constexpr std::int64_t calls_max = 40;
constexpr microseconds rest_within{600'000'000};
constexpr std::uint64_t events_max = 60'000;
constexpr std::uint64_t journal_bytes_never_purged = 4'000;
const std::array<std::string, 4> functions{"f1.s", "f2.s", "f3.s", "f4.s"};

}

engine_world::engine_world(std::uint64_t seed, mutation how, bool trace)
    : env_(seed, how, trace),
      gateway_(env_, [this](std::uint32_t partition) { each_worker([partition](engine_worker& each) { each.log_grew(partition); }); })
{
    env_.new_owner = [this](const ledger::ownership& which) { new_owner(which); };
    env_.lease_changed = [this](std::uint32_t partition) {
        each_worker([partition](engine_worker& each) { each.lease_entry_changed(partition); });
    };
    for (const auto& name : functions) {
        gateway_.tell_of(name);
        change_function(name);
    }
    for (std::uint32_t p = 0; p < environment::partition_count; ++p)
        preferred_.push_back(env_.random.below(2));
    for (std::size_t where = 0; where < places_.size(); ++where)
        start(where);
}

std::optional<std::string> engine_world::run()
{
    accept_calls();
    misfortunes();
    env_.clock.after(bad_times, [this] { calm_down(); });
    const auto give_up = env_.clock.now() + rest_within;
    mono_time rest_since = mono_time::max();
    while (!env_.books.failure() && env_.clock.run_next()) {
        retired_.clear();
        if (env_.clock.now() > give_up || env_.clock.events() > events_max)
            env_.books.fail("the world does not come to rest: " + std::to_string(env_.books.unsettled()) + " calls are not settled");
        if (!env_.calm)
            continue;
        if (!at_rest())
            rest_since = mono_time::max();
        else if (rest_since == mono_time::max())
            rest_since = env_.clock.now();
        else if (env_.clock.now() > rest_since + std::chrono::seconds(1))
            break;
    }
    if (!env_.books.failure())
        check_rest();
    return env_.books.failure();
}

// ---- workers

void engine_world::start(std::size_t where)
{
    auto& here = places_[where];
    here.worker = std::make_shared<engine_worker>(env_, ++incarnations_, "worker-" + std::to_string(where));
    here.worker->set_clock(static_cast<unix_ms>(env_.random.below(20'000)) - 10'000);
    here.worker->crash = [this, where] { crash(where); };
    here.worker->closed = [this, where](std::uint32_t partition) { reopen(where, partition); };
    here.worker->start();
    for (std::uint32_t p = 0; p < environment::partition_count && !env_.leases; ++p)
        if (preferred_[p] == where)
            here.worker->open(p);
}

void engine_world::crash(std::size_t where)
{
    auto& here = places_[where];
    if (!here.worker)
        return;
    env_.books.note("crash worker=", here.worker->number());
    env_.faults.hit(fault::crash);
    env_.books.worker_gone(here.worker->number());
    retired_.push_back(std::move(here.worker)); // it may be in the middle of its turn
    here.worker = nullptr;
    env_.clock.after(env_.random.wait(1'000, 200'000), [this, where] {
        if (!places_[where].worker)
            start(where);
    });
}

void engine_world::reopen(std::size_t where, std::uint32_t partition)
{
    const auto number = places_[where].worker->number();
    env_.clock.after(env_.random.wait(10'000, 100'000), [this, where, partition, number] {
        const auto& worker = places_[where].worker;
        if (worker && worker->number() == number && should_own(where, partition) && !worker->has(partition) && !worker->draining())
            worker->open(partition);
    });
}

bool engine_world::should_own(std::size_t where, std::uint32_t partition) const
{
    return env_.leases ? places_[where].worker->holds(partition) : preferred_[partition] == where;
}

void engine_world::move(std::uint32_t partition, bool tell_the_old_one)
{
    const auto from = preferred_[partition], to = 1 - from;
    preferred_[partition] = to;
    if (places_[from].worker && places_[from].worker->has(partition))
        env_.faults.hit(tell_the_old_one ? fault::owner_moved : fault::owner_moved_untold);
    if (tell_the_old_one && places_[from].worker)
        places_[from].worker->close(partition);
    if (const auto& next = places_[to].worker; next && !next->has(partition) && !next->draining())
        next->open(partition);
}

// A partition was taken over while another worker still believes that it is its owner.
void engine_world::new_owner(const ledger::ownership& which)
{
    for (const auto& each : places_)
        if (each.worker && each.worker->number() != which.worker && each.worker->has(which.partition))
            env_.faults.hit(fault::two_owners_at_once);
}

// An orderly stop: what runs is finished, and when all is on record the next one starts.
void engine_world::hand_over(std::size_t where)
{
    const auto& leaving = places_[where].worker;
    if (!leaving || leaving->draining())
        return;
    env_.books.note("drain worker=", leaving->number());
    env_.faults.hit(fault::drain);
    leaving->drain();
    const auto later = [this, where, number = leaving->number()](microseconds wait, const auto& what) {
        env_.clock.after(wait, [this, where, number, what] {
            if (const auto& worker = places_[where].worker; worker && worker->number() == number)
                what(*worker);
        });
    };
    const auto done = env_.random.wait(100'000, 700'000);
    if (env_.leases)
        later(done, [](engine_worker& worker) { worker.give_leases_back(); });
    later(done + env_.random.wait(1'000, 50'000), [this, where](engine_worker&) { crash(where); });
}

// ---- what comes in, and what goes wrong

void engine_world::accept_calls()
{
    if (gateway_.calls() == calls_max || env_.calm)
        return;
    gateway_.accept();
    env_.clock.after(env_.random.wait(0, 2 * bad_times.count() / calls_max), [this] { accept_calls(); });
}

void engine_world::misfortunes()
{
    if (env_.calm)
        return;
    env_.clock.after(env_.random.wait(0, 300'000), [this] {
        if (!env_.calm)
            misfortune();
        misfortunes();
    });
}

void engine_world::misfortune()
{
    auto& random = env_.random;
    const auto where = random.below(places_.size());
    const auto partition = static_cast<std::uint32_t>(random.below(environment::partition_count));
    const auto& worker = places_[where].worker;
    if (shows_in_lost_tails(env_.broken) && random.below(2) == 0)
        return change_leader(partition, true);
    switch (random.below(13)) {
    case 0:
    case 1: return crash(where);
    case 2: // paused, and meanwhile followed
        pause(where);
        return env_.leases ? void() : move(partition, false);
    case 3:
    case 4:
        if (!env_.leases)
            return move(partition, random.below(2) == 0);
        env_.leases_down_until = env_.clock.now() + random.wait(1'000, 500'000);
        return;
    case 5: return forget_ids(env_.partitions[partition]);
    case 6: return change_leader(partition, true);
    case 7: return change_leader(partition, false);
    case 8:
    case 9: return change_function(functions[random.below(functions.size())]);
    case 10:
        if (!worker)
            return;
        env_.faults.hit(fault::wall_clock_set);
        return worker->set_clock(static_cast<unix_ms>(random.below(2'000'000)) - 1'000'000);
    case 11: return hand_over(where);
    case 12: return gateway_.crash();
    }
}

void engine_world::forget_ids(environment::partition& of)
{
    const bool some_of_journal = of.journal.forget_ids(), some_of_log = of.log.forget_ids();
    if (some_of_journal || some_of_log)
        env_.faults.hit(fault::ids_forgotten);
}

void engine_world::each_worker(const std::function<void(engine_worker&)>& what)
{
    for (const auto& each : places_)
        if (each.worker)
            what(*each.worker);
}

void engine_world::pause(std::size_t where)
{
    const auto& worker = places_[where].worker;
    if (!worker)
        return;
    if (worker->engine().count().partitions_owned > 0)
        env_.faults.hit(fault::pause_of_an_owner);
    worker->pause(env_.random.wait(1'000, 600'000));
}

// The leader of a partition's streams is gone for a while, and what was under way to it. Where its machine lost power, the log may have lost its
// tail; what was acknowledged of the journal was synced.
void engine_world::change_leader(std::uint32_t partition, bool tail_lost)
{
    auto& of = env_.partitions[partition];
    env_.books.note("leader gone partition=", partition);
    env_.faults.hit(fault::leader_changed);
    ++of.connection;
    of.down_until = env_.clock.now() + env_.random.wait(1'000, 100'000);
    if (const auto lost = tail_lost ? of.log.lose_tail(env_.random.below(shows_in_lost_tails(env_.broken) ? 16 : 4)) : 0; lost > 0) {
        env_.faults.hit(fault::tail_lost);
        env_.books.tail_lost(partition, of.log.last());
    }
    env_.clock.at(of.down_until, [this, partition] { lead_again(partition); });
}

void engine_world::lead_again(std::uint32_t partition)
{
    if (!env_.up(partition))
        return; // gone again
    each_worker([partition](engine_worker& each) { each.connect_again(partition); });
}

void engine_world::change_function(const std::string& name)
{
    auto& function = env_.functions[name];
    const bool existed = std::exchange(function.exists, env_.calm || env_.random.below(5) != 0);
    if (existed != function.exists)
        env_.faults.hit(existed ? fault::function_vanished : fault::function_returned);
    else if (existed)
        env_.faults.hit(fault::replicas_changed);
    function.replicas.clear();
    for (auto left = env_.calm ? 2 : env_.random.below(3); left > 0 && function.exists; --left) {
        const bool ready = env_.calm || env_.random.below(5) != 0;
        if (!ready)
            env_.faults.hit(fault::replica_not_ready);
        function.replicas.push_back({"r" + std::to_string(++replicas_), "127.0.0.1", 1, environment::replica_slots, "", ready});
    }
    each_worker([&name](engine_worker& each) { each.tell(name); });
}

// ---- rest

void engine_world::calm_down()
{
    env_.calm = true;
    env_.books.note("calm");
    env_.leases_down_until = env_.clock.now();
    bad_events_ = env_.clock.events();
    for (std::uint32_t p = 0; p < environment::partition_count; ++p) {
        env_.partitions[p].down_until = env_.clock.now();
        lead_again(p);
    }
    for (const auto& name : functions)
        change_function(name);
    for (std::size_t where = 0; where < places_.size(); ++where) {
        const auto& worker = places_[where].worker;
        if (!worker)
            continue;
        if (worker->draining()) {
            crash(where);
            continue;
        }
        worker->pause(microseconds(0));
        for (std::uint32_t p = 0; p < environment::partition_count && !env_.leases; ++p)
            if (preferred_[p] != where)
                worker->close(p);
            else if (!worker->has(p))
                worker->open(p);
    }
}

bool engine_world::at_rest() const
{
    std::size_t owned = 0;
    for (const auto& each : places_) {
        if (!each.worker || !each.worker->engine().quiet())
            return false;
        owned += each.worker->engine().count().partitions_owned;
    }
    return env_.books.unsettled() == 0 && owned == environment::partition_count;
}

// What was worth purging is purged. The journal of a log that lost its tail waits until the log has come as far again, and one that is being
// purged may need a while more, at a few messages a step.
void engine_world::check_cleaned()
{
    const auto bytes_of = [](const model_stream& stream) {
        std::uint64_t bytes = 0;
        for (auto at = stream.first(); at <= stream.last(); ++at)
            bytes += stream.get(at)->payload.size();
        return bytes;
    };
    for (const auto& each : env_.partitions) {
        if (bytes_of(each.log) >= env_.options.partitions.purge_bytes_min)
            env_.books.fail("a log was not purged of what is settled");
        if (each.journal.first() == 1 && each.log.losses() == 0 && bytes_of(each.journal) >= journal_bytes_never_purged)
            env_.books.fail("a journal was not purged of what is settled");
    }
}

void engine_world::check_rest()
{
    if (!at_rest())
        env_.books.fail("nothing happens any more, and " + std::to_string(env_.books.unsettled()) + " calls are not settled");
    env_.books.check_end();
    for (const auto& each : places_) {
        if (!each.worker)
            continue;
        const auto left = each.worker->engine().count();
        if (left.live + left.waiting + left.running + left.callbacks_waiting + left.callbacks_running + left.body_bytes != 0)
            env_.books.fail("a worker at rest holds on to something: live=" + std::to_string(left.live)
                            + " waiting=" + std::to_string(left.waiting) + " running=" + std::to_string(left.running)
                            + " body_bytes=" + std::to_string(left.body_bytes));
    }
    check_cleaned();
    // Whoever takes over now finds nothing to do, in what purging has left of log and journal.
    for (std::uint32_t p = 0; p < environment::partition_count; ++p) {
        const auto &log = env_.partitions[p].log, &journal = env_.partitions[p].journal;
        replay read;
        for (auto at = journal.first(); at <= journal.last(); ++at)
            if (!read.add(at, journal.get(at)->payload))
                env_.books.fail("the journal cannot be read");
        if (!read.held().empty())
            env_.books.fail("the journal that is left holds on to a call");
        for (auto at = log.first(); at <= log.last(); ++at)
            if (const auto* word = read.find({at, hash_id(log.get(at)->fields[0].value)}); !word || word->reached != replay::stage::settled)
                env_.books.fail("the journal that is left does not settle what is left of the log");
    }
}

}
