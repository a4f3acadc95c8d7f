#include "tests/support/engine_worker.hpp"

namespace sluice::testing_support {

using namespace core;

engine_worker::engine_worker(environment& in, std::uint64_t number, std::string name)
    : env_(in), number_(number), name_(std::move(name)), engine_(in.options)
{
    for (const auto& each : env_.partitions)
        connections_.push_back(each.connection);
}

void engine_worker::start()
{
    if (!env_.leases)
        return;
    leases_ = std::make_shared<engine_leases>(env_, number_, name_,
                                              engine_leases::told{[this](std::uint32_t partition) { lease_changed(partition); },
                                                                  [me = weak_from_this()](const std::function<void()>& what) {
                                                                      if (auto self = me.lock())
                                                                          self->receive(what);
                                                                  }});
    leases_->start();
}

void engine_worker::lease_changed(std::uint32_t partition)
{
    if (!leases_->mine(partition))
        close(partition);
    else if (!has(partition) && !draining())
        open(partition);
    turn_soon(microseconds(0));
}

// Asked before each effect outside. That a worker without a lease says no is what keeps a stale owner from acting.
bool engine_worker::may_act(std::uint32_t partition) const
{
    if (!env_.leases)
        return true;
    const bool may = leases_->may_act(partition);
    if (!may)
        env_.faults.hit(fault::effect_without_a_lease_held_back);
    else if (env_.lease_keys[partition].holder != number_)
        env_.books.fail("an effect of a worker whose lease another one holds");
    return may;
}

instant engine_worker::now() const
{
    const auto steady = std::chrono::duration_cast<milliseconds>(env_.clock.now().time_since_epoch());
    return {env_.clock.now(), 1'790'000'000'000 + steady.count() + wall_offset_};
}

bool engine_worker::has(std::uint32_t partition) const
{
    return std::any_of(slots_.begin(), slots_.end(), [partition](const auto& entry) { return entry.second.partition == partition; });
}

void engine_worker::open(std::uint32_t partition)
{
    const auto owner = "w" + std::to_string(number_) + '.' + std::to_string(by_slot_.size());
    const auto slot = engine_.open(partition, owner);
    auto& held = slots_[slot];
    held.partition = partition;
    held.owner = owner;
    by_slot_[slot] = {number_, partition, owner, env_.partitions[partition].log.losses()};
    env_.books.note("open partition=", partition, " owner=", owner);
    turn_soon(microseconds(0));
}

void engine_worker::close(std::uint32_t partition)
{
    for (const auto& [slot, held] : slots_)
        if (held.partition == partition)
            engine_.close(slot, "told to");
    turn_soon(microseconds(0));
}

void engine_worker::drain()
{
    drain_asked_ = true; // what was decided before is carried out
    turn_soon(microseconds(0));
}

// ---- events

void engine_worker::receive(const std::function<void()>& what)
{
    if (paused() || !decided_.empty() || !arrived_.empty()) {
        arrived_.push_back(what);
        return wake_up_later();
    }
    what();
    turn_soon(env_.random.wait(0, 30));
}

void engine_worker::wake_up_later()
{
    if (std::exchange(wake_up_posted_, true))
        return;
    env_.clock.at(paused_until_, [me = weak_from_this()] {
        if (auto self = me.lock())
            self->wake_up();
    });
}

// It goes on where it was stopped; then comes what arrived meanwhile.
void engine_worker::wake_up()
{
    wake_up_posted_ = false;
    if (paused())
        return wake_up_later();
    const auto alive = shared_from_this();
    carry_out();
    while (decided_.empty() && !arrived_.empty()) {
        const auto what = std::move(arrived_.front());
        arrived_.pop_front();
        what();
    }
    turn_soon(env_.random.wait(0, 30));
}

void engine_worker::deliver(microseconds wait, std::function<void()> what)
{
    env_.clock.after(wait, [me = weak_from_this(), what = std::move(what)] {
        if (auto self = me.lock())
            self->receive(what);
    });
}

bool engine_worker::connected(std::uint32_t partition) const
{
    return env_.up(partition) && connections_[partition] == env_.partitions[partition].connection;
}

void engine_worker::request(std::uint32_t slot, std::function<void(bool reached)> at_server)
{
    wire_free_ = std::max(wire_free_, env_.clock.now() + env_.random.wait(20, env_.goes_wrong(50, fault::request_slow) ? 50'000 : 300));
    const auto partition = by_slot_.at(slot).partition;
    const auto connection = connections_[partition];
    env_.clock.at(wire_free_, [&env = env_, partition, connection, at_server = std::move(at_server)] {
        const bool reached = env.up(partition) && env.partitions[partition].connection == connection;
        if (!reached)
            env.faults.hit(fault::request_cut_off);
        at_server(reached);
    });
}

// The leader of a partition's streams is back, or another one is leader: the readers go on where they were.
void engine_worker::connect_again(std::uint32_t partition)
{
    // That the connection is gone is seen by one who is awake, after what came before; a new one takes its time.
    deliver(env_.random.wait(100, 50'000), [this, partition] {
        deliver(env_.random.wait(50, 1'000), [this, partition] {
            if (!env_.up(partition))
                return; // gone again
            connections_[partition] = env_.partitions[partition].connection;
            for (auto& [slot, held] : slots_)
                if (held.partition == partition && held.log_next != 0)
                    make_reader_again(slot, held);
        });
    });
}

void engine_worker::turn_soon(microseconds wait)
{
    if (std::exchange(turn_posted_, true))
        return;
    env_.clock.after(wait, [me = weak_from_this()] {
        if (auto self = me.lock())
            self->turn();
    });
}

void engine_worker::turn()
{
    turn_posted_ = false;
    if (paused() || !decided_.empty())
        return wake_up_later();
    if (env_.clock.now() >= wake_at_)
        wake_at_ = mono_time::max();
    if (env_.leases)
        for (const auto& [slot, held] : slots_)
            engine_.suspend(slot, !leases_->may_act(held.partition));
    for (auto& next : engine_.take_actions(now()))
        decided_.push_back(std::move(next));
    carry_out();
}

// What was decided is done, unless the process dies or is stopped between two steps of it.
void engine_worker::carry_out()
{
    while (!decided_.empty()) {
        if (env_.goes_wrong(1, fault::crash_between_actions))
            return crash();
        if (env_.goes_wrong(1, fault::stopped_between_actions)) {
            pause(env_.random.wait(1'000, 600'000));
            return wake_up_later();
        }
        auto next = std::move(decided_.front());
        decided_.pop_front();
        std::visit([this](auto& what) { perform(what); }, next);
    }
    if (std::exchange(drain_asked_, false)) {
        draining_ = true;
        if (!env_.is(mutation::drain_not_heard))
            engine_.drain();
    }
    if (const auto due = engine_.next_due(); due && *due < wake_at_) {
        wake_at_ = std::max(*due, env_.clock.now());
        env_.clock.at(wake_at_, [me = weak_from_this()] {
            if (auto self = me.lock())
                self->turn_soon(microseconds(0));
        });
    }
}

// ---- taking over and reading

void engine_worker::perform(act::ask_extents& what) { ask_extents_of(what.slot); }

void engine_worker::ask_extents_of(std::uint32_t slot)
{
    // The two answers come one after the other, in either order, and the world goes on in between.
    const bool journal_first = env_.random.below(2) == 0;
    request(slot, [this, me = weak_from_this(), slot, journal_first, &of = streams(slot), &env = env_](bool reached) {
        const auto first = journal_first ? of.journal.info() : of.log.info();
        env.clock.after(env.random.wait(20, 2'000), [this, me, slot, journal_first, first, &of, &env, reached] {
            const auto second = journal_first ? of.log.info() : of.journal.info();
            const auto self = me.lock();
            if (!self)
                return;
            deliver(env.random.wait(20, reached ? 300 : 20'000), [this, slot, journal_first, first, second, reached] {
                if (reached)
                    engine_.opened(slot, journal_first ? first : second, journal_first ? second : first);
                else if (slots_.contains(slot))
                    ask_extents_of(slot);
            });
        });
    });
}

void engine_worker::perform(act::read_journal& what)
{
    slots_.at(what.slot).journal_next = 1;
    read_journal_on(what.slot);
}

std::string engine_worker::with_hashes_of_today(std::uint32_t slot, std::string payload)
{
    auto batch = journal::decode(payload);
    if (!env_.is(mutation::hash_ignored) || !batch)
        return payload;
    auto changed = journal::encode_head(batch->epoch, batch->owner, batch->number);
    for (auto& next : batch->records) {
        if (const auto* of = journal::call_of(next))
            if (const auto now_there = streams(slot).log.get(of->sequence))
                const_cast<journal::call_ref*>(of)->id_hash = hash_id(now_there->fields[0].value);
        journal::append_record(changed, next);
    }
    return changed;
}

void engine_worker::read_journal_on(std::uint32_t slot)
{
    deliver(env_.random.wait(20, env_.goes_wrong(200, fault::replay_slow) ? 50'000 : 200), [this, slot] {
        auto held = slots_.find(slot);
        if (held == slots_.end() || held->second.journal_next == 0)
            return;
        if (!connected(held->second.partition))
            return read_journal_on(slot);
        const auto& journal = streams(slot).journal;
        auto& next = held->second.journal_next;
        for (auto some = 1 + env_.random.below(5); some > 0; --some) {
            next = std::max(next, journal.first());
            const auto message = journal.get(next);
            if (!message)
                break;
            ++next;
            if (next <= journal.last() && env_.is(mutation::replay_skips) && env_.random.below(10) == 0)
                continue;
            engine_.journal_message(slot, {message->sequence, {}, as_replayed(env_.broken, with_hashes_of_today(slot, message->payload))});
        }
        if (next <= journal.last())
            read_journal_on(slot);
    });
}

void engine_worker::perform(act::read_log& what)
{
    auto& held = slots_.at(what.slot);
    held.journal_next = 0;
    held.log_next = held.log_told = what.from;
    read_log_on(what.slot);
}

void engine_worker::perform(act::pause_log& what)
{
    slots_.at(what.slot).log_paused = what.paused;
    read_log_on(what.slot);
}

void engine_worker::log_grew(std::uint32_t partition)
{
    for (const auto& [slot, held] : slots_)
        if (held.partition == partition)
            read_log_on(slot);
}

// What was under way is lost, and asked for again. A log that ends before what was read, or whose last message that was read is another one
// now, has lost its tail: one that was read comes again.
void engine_worker::make_reader_again(std::uint32_t slot, held_slot& held)
{
    const auto& log = streams(slot).log;
    env_.faults.hit(fault::reader_made_again);
    held.log_busy = false;
    ++held.reader;
    const auto stamp = held.log_stamp == 0 ? 0 : log.stamp(held.log_told - 1);
    if (held.log_told > log.last() + 1) {
        held.log_told = std::max(log.first(), log.last());
        held.log_stamp = 0;
    } else if (stamp != 0 && stamp != held.log_stamp) {
        env_.faults.hit(fault::tail_refilled_unseen);
        --held.log_told;
    }
    held.log_next = held.log_told;
    read_log_on(slot);
}

void engine_worker::read_log_on(std::uint32_t slot)
{
    auto& held = slots_.at(slot);
    const auto& log = streams(slot).log;
    if (held.log_next == 0 || held.log_paused || held.log_busy || held.log_next > log.last() || !connected(held.partition))
        return;
    held.log_next = std::max(held.log_next, log.first());
    std::vector<read_message> some;
    while (some.size() < 4 && held.log_next <= log.last()) {
        if (env_.is(mutation::log_skips) && env_.random.below(30) == 0)
            ++held.log_next;
        if (const auto message = log.get(held.log_next++))
            some.push_back({*message, log.stamp(message->sequence)});
    }
    held.log_busy = true;
    deliver(env_.random.wait(20, 200), [this, slot, some = std::move(some), reader = held.reader] { log_arrived(slot, some, reader); });
}

void engine_worker::log_arrived(std::uint32_t slot, const std::vector<read_message>& some, std::uint64_t reader)
{
    auto at = slots_.find(slot);
    if (at == slots_.end() || at->second.reader != reader)
        return;
    at->second.log_busy = false;
    for (const auto& [message, stamp] : some) {
        at->second.log_told = message.sequence + 1;
        at->second.log_stamp = stamp;
        if (env_.is(mutation::log_unchecked))
            at->second.last_told = message;
        engine_.log_message(slot, message, now());
    }
    read_log_on(slot);
}

void engine_worker::perform(act::closed& what)
{
    env_.books.note("closed partition=", what.partition, " owner=", by(what.slot).owner, ' ' + what.reason);
    if (what.final)
        env_.books.fail("a partition was given up for good: " + what.reason);
    if (what.reason.find("removed while it was replayed") != std::string::npos)
        env_.faults.hit(fault::replay_overtaken_by_a_purge);
    const auto of = by(what.slot);
    if (env_.books.current(of) && what.reason.find("does not hold the answer") != std::string::npos)
        env_.books.fail("the journal keeps what it has: " + what.reason);
    if (env_.books.current(of) && what.reason.find("lost its tail") != std::string::npos
        && of.log_losses == streams(what.slot).log.losses())
        env_.books.fail("the log keeps what it has: " + what.reason);
    slots_.erase(what.slot);
    closed(what.partition);
}

// It learns in order: what it is told is the state when it hears of it.
void engine_worker::tell(const std::string& function)
{
    deliver(env_.random.wait(20, 2'000), [this, function] {
        const auto& known = env_.functions.at(function);
        auto replicas = known.replicas;
        for (auto& each : replicas)
            each.max_inflight += env_.is(mutation::replica_overbooked) ? 1 : 0;
        const auto name = *parse_function_name(function);
        engine_.set_exists(name, known.exists, now());
        engine_.set_replicas(name, replicas);
    });
}

}
