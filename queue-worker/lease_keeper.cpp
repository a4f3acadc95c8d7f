#include "queue-worker/lease_keeper.hpp"

#include "adapters/asio/clock.hpp"
#include "adapters/process/random.hpp"
#include "sluice/wire.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace sluice::queue_worker {

lease_keeper::lease_keeper(loop& on, key_value& bucket, std::string worker, std::uint32_t partitions, core::lease_options with, logger& log)
    : loop_(on), bucket_(bucket), log_(log), leave_deadline_(on)
{
    const auto session = process::random_hex(16); // this process's alone
    if (worker.empty())
        worker = "session-" + session;
    for (std::uint32_t i = 0; i < partitions; ++i)
        held_.push_back(std::make_unique<held_lease>(on, core::lease(worker, session, with)));
}

void lease_keeper::start(std::function<void(std::uint32_t)> changed)
{
    changed_ = std::move(changed);
    watcher_ = bucket_.watch([this](kv_entry entry) { entered(entry); },
                             [this] {
                                 for (std::uint32_t i = 0; i < held_.size(); ++i) {
                                     held_[i]->terms.current();
                                     step(i);
                                 }
                             });
}

void lease_keeper::entered(const kv_entry& entry)
{
    for (std::uint32_t i = 0; i < held_.size(); ++i)
        if (wire::lease_key(i) == entry.key) {
            auto& one = *held_[i];
            one.terms.seen(entry, boot_now());
            const auto& problem = one.terms.problem();
            if (!std::exchange(one.complained, !problem.empty()) && one.complained)
                log_.error("lease is not claimed partition={} reason=\"{}\"", i, problem);
            return step(i);
        }
}

bool lease_keeper::may_act(std::uint32_t partition) const { return held_[partition]->terms.may_act(boot_now()); }

bool lease_keeper::all_renewed() const
{
    return std::all_of(held_.begin(), held_.end(), [](const auto& one) { return !one->terms.mine() || one->terms.may_act(boot_now()); });
}

bool lease_keeper::all_held() const
{
    return std::all_of(held_.begin(), held_.end(), [](const auto& one) { return one->terms.mine() || !one->terms.holder().empty(); });
}

// Tells of what changed, and does what is to be done next.
void lease_keeper::step(std::uint32_t partition)
{
    auto& one = *held_[partition];
    tell(partition);
    const auto now = boot_now();
    const auto key = wire::lease_key(partition);
    auto next = one.terms.next(now);
    const auto stored = [this, partition, number = next.number, weak = std::weak_ptr(alive_)](key_value::result<std::uint64_t> result) {
        if (weak.expired())
            return;
        held_[partition]->terms.written(number, result, boot_now());
        step(partition);
    };
    switch (next.what) {
    case core::lease::step::kind::create: bucket_.create(key, std::move(next.value), stored); break;
    case core::lease::step::kind::update: bucket_.update(key, std::move(next.value), next.revision, stored); break;
    case core::lease::step::kind::read:
        bucket_.get(key, [this, partition, weak = std::weak_ptr(alive_)](const key_value::result<kv_entry>& result) {
            if (weak.expired())
                return;
            held_[partition]->terms.read(result, boot_now());
            step(partition);
        });
        break;
    case core::lease::step::kind::none: break;
    }
    if (const auto due = one.terms.next_due())
        one.due.after(std::max(*due - now, mono_time::duration(milliseconds(1))), [this, partition] { step(partition); });
    else
        one.due.cancel();
    finish_leaving();
}

void lease_keeper::tell(std::uint32_t partition)
{
    auto& one = *held_[partition];
    const bool mine = one.terms.mine(), acts = one.terms.may_act(boot_now());
    const bool was_mine = std::exchange(one.was_mine, mine), could_act = std::exchange(one.could_act, acts);
    if (left_) {
        if (was_mine && !mine)
            log_.info("lease given back partition={}", partition);
        return;
    }
    if (one.terms.taken_by_namesake() && !std::exchange(complained_of_namesake_, true))
        log_.error("two workers are named {}, this one stands by partition={}", one.terms.holder(), partition);
    if (mine != was_mine)
        log_.info("lease {} partition={} holder={}", mine ? "held" : "lost", partition, one.terms.holder());
    else if (mine && acts != could_act)
        acts ? log_.info("lease renewed again partition={}", partition)
             : log_.warn("lease not renewed in time, nothing is started partition={}", partition);
    if (mine != was_mine || (acts && !could_act))
        changed_(partition);
}

void lease_keeper::give_back(milliseconds deadline, std::function<void()> done)
{
    left_ = std::move(done);
    leave_deadline_.after(deadline, [this] {
        if (left_)
            std::exchange(left_, nullptr)();
    });
    for (auto& one : held_)
        one->terms.give_back(boot_now());
    for (std::uint32_t i = 0; i < held_.size(); ++i)
        step(i);
}

void lease_keeper::finish_leaving()
{
    if (!left_ || std::any_of(held_.begin(), held_.end(), [](const auto& one) { return one->terms.mine(); }))
        return;
    leave_deadline_.cancel();
    loop_.post([done = std::exchange(left_, nullptr)] { done(); });
}

void lease_keeper::close()
{
    alive_.reset();
    watcher_.reset();
    leave_deadline_.cancel();
    for (auto& one : held_)
        one->due.cancel();
}

}
