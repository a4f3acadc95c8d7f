#include "tests/support/engine_leases.hpp"

#include <algorithm>

namespace sluice::testing_support {

using core::lease;
using kind = lease::step::kind;

namespace {

// Two clocks differ by 5 % at most, as the margin of a sixth allows for.
constexpr double rate_spread = 0.05;
constexpr milliseconds ttl{300};

core::lease_options terms(const environment& env)
{
    auto made = core::lease_terms(ttl);
    if (env.is(mutation::lease_overrun))
        made.margin = -ttl / 3;
    return made;
}

}

key_value::result<std::uint64_t> environment::store_lease(std::uint32_t number, const lease::step& what, std::uint64_t worker)
{
    auto& key = lease_keys[number];
    const bool fits = what.what == kind::create ? key.entry.revision == 0 : key.entry.revision == what.revision;
    if (!fits)
        return log_errc::wrong_sequence;
    const auto holder = what.value.find(R"("worker":"")") != std::string::npos ? 0 : worker;
    if (holder != key.holder && key.holder != 0 && holder != 0)
        faults.hit(fault::lease_claimed);
    key.holder = holder;
    key.entry = {"p" + std::to_string(number), what.value, key.entry.revision + 1, false};
    books.note("lease partition=", number, " holder=", holder);
    lease_changed(number);
    return key.entry.revision;
}

engine_leases::engine_leases(environment& in, std::uint64_t worker, const std::string& name, told who)
    : env_(in), worker_(worker), who_(std::move(who)), rate_(1 + rate_spread * (static_cast<double>(in.random.below(1'001)) / 1'000 - 0.5))
{
    for (std::size_t p = 0; p < env_.partitions.size(); ++p)
        held_.emplace_back(name, name + '/' + std::to_string(worker), terms(env_));
    was_mine_.resize(held_.size());
    could_act_.resize(held_.size());
    due_.resize(held_.size(), mono_time::max());
}

mono_time engine_leases::now() const
{
    return mono_time(std::chrono::duration_cast<mono_time::duration>(env_.clock.now().time_since_epoch() * rate_));
}

void engine_leases::later(microseconds wait, std::function<void()> what)
{
    env_.clock.after(wait, [me = weak_from_this(), what = std::move(what)] {
        if (auto self = me.lock())
            self->who_.receive([me, what] {
                if (me.lock())
                    what();
            });
    });
}

void engine_leases::start()
{
    later(env_.random.wait(100, 20'000), [this] {
        for (std::uint32_t p = 0; p < held_.size(); ++p) {
            if (const auto& known = env_.lease_keys[p].entry; known.revision != 0)
                held_[p].seen(known, now());
            held_[p].current();
            step(p);
        }
    });
}

void engine_leases::entry_changed(std::uint32_t partition)
{
    const bool late = env_.goes_wrong(50, fault::lease_change_told_late);
    later(env_.random.wait(20, late ? 200'000 : 2'000), [this, partition, entry = env_.lease_keys[partition].entry] {
        held_[partition].seen(entry, now());
        step(partition);
    });
}

bool engine_leases::may_act(std::uint32_t partition) const
{
    return env_.is(mutation::lease_ignored) ? mine(partition) : held_[partition].may_act(now());
}

void engine_leases::give_back()
{
    for (std::uint32_t p = 0; p < held_.size(); ++p) {
        held_[p].give_back(now());
        step(p);
    }
}

void engine_leases::step(std::uint32_t partition)
{
    auto& one = held_[partition];
    const bool mine = one.mine(), acts = may_act(partition);
    if (was_mine_[partition] != mine || (acts && !could_act_[partition]))
        who_.changed(partition);
    if (was_mine_[partition] && !mine)
        env_.faults.hit(fault::lease_lost);
    was_mine_[partition] = mine;
    could_act_[partition] = acts;
    if (const auto next = one.next(now()); next.what != kind::none)
        carry_out(partition, next);
    const auto due = one.next_due();
    if (!due || (*due >= due_[partition] && due_[partition] > now()))
        return;
    due_[partition] = std::max(*due, now() + milliseconds(1));
    later(std::chrono::duration_cast<microseconds>((due_[partition] - now()) / rate_) + microseconds(1), [this, partition] {
        due_[partition] = mono_time::max();
        step(partition);
    });
}

void engine_leases::carry_out(std::uint32_t partition, const lease::step& what)
{
    env_.clock.after(env_.random.wait(20, 300), [this, me = weak_from_this(), &env = env_, partition, what, worker = worker_] {
        const auto self = me.lock();
        const bool reached = env.clock.now() >= env.leases_down_until && !env.goes_wrong(20);
        if (!reached)
            env.faults.hit(fault::lease_store_away);
        const bool answered = reached && !env.goes_wrong(30, fault::lease_answer_lost);
        const auto wait = answered ? env.random.wait(20, 300) : env.random.wait(10'000, 200'000);
        if (what.what == kind::read) {
            key_value::result<kv_entry> found = log_errc::unknown;
            if (const auto& known = env.lease_keys[partition].entry; answered && known.revision != 0)
                found = known;
            else if (answered)
                found = log_errc::not_found;
            if (self)
                later(wait, [this, partition, found] {
                    held_[partition].read(found, now());
                    step(partition);
                });
            return;
        }
        // What was sent by one that has died since is stored all the same.
        key_value::result<std::uint64_t> result = log_errc::unknown;
        if (reached)
            result = env.store_lease(partition, what, worker);
        if (!answered)
            result = log_errc::unknown;
        if (self)
            later(wait, [this, partition, number = what.number, result] {
                held_[partition].written(number, result, now());
                step(partition);
            });
    });
}

}
