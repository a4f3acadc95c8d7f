#include "adapters/memory/memory_store.hpp"

#include <algorithm>
#include <utility>

namespace sluice::memory {

key_value::result<std::uint64_t> bucket::store(kv_entry entry, std::optional<std::uint64_t> expected)
{
    if (*down)
        return log_errc::unavailable;
    const auto found = entries.find(entry.key);
    if (expected && *expected != (found == entries.end() ? 0 : found->second.revision))
        return log_errc::wrong_sequence;
    entry.revision = ++last_revision;
    entries[entry.key] = entry;
    std::erase_if(watchers, [](const auto& each) { return each.expired(); });
    for (const auto& each : watchers)
        if (const auto watcher = each.lock()) {
            watcher->queue.push_back(entry);
            watcher->schedule();
        }
    return last_revision;
}

void watching::schedule()
{
    if (std::exchange(scheduled, true))
        return;
    on->post([me = weak_from_this()] {
        if (const auto self = me.lock())
            self->deliver();
    });
}

void watching::deliver()
{
    scheduled = false;
    while (!closed) {
        if (until_current == 0 && !std::exchange(told_current, true)) {
            on_current();
            continue;
        }
        if (queue.empty())
            return;
        auto entry = std::move(queue.front());
        queue.pop_front();
        until_current -= until_current > 0 ? 1 : 0;
        on_entry(std::move(entry));
    }
}

namespace {

class watcher_port final : public key_value::watcher {
public:
    explicit watcher_port(std::shared_ptr<watching> what) : what_(std::move(what)) { what_->schedule(); }
    ~watcher_port() override { what_->closed = true; }

private:
    std::shared_ptr<watching> what_;
};

class bucket_port final : public key_value {
public:
    explicit bucket_port(std::shared_ptr<bucket> on) : bucket_(std::move(on)) {}

    void get(std::string key, std::function<void(result<kv_entry>)> done) override { answer(find(key), std::move(done)); }
    void put(std::string key, std::string value, std::function<void(result<std::uint64_t>)> done) override
    {
        answer(bucket_->store({std::move(key), std::move(value)}, std::nullopt), std::move(done));
    }
    void create(std::string key, std::string value, std::function<void(result<std::uint64_t>)> done) override
    {
        const auto found = bucket_->entries.find(key);
        const auto expected = found != bucket_->entries.end() && found->second.erased ? found->second.revision : 0;
        answer(bucket_->store({std::move(key), std::move(value)}, expected), std::move(done));
    }
    void update(std::string key, std::string value, std::uint64_t revision, std::function<void(result<std::uint64_t>)> done) override
    {
        answer(bucket_->store({std::move(key), std::move(value)}, revision), std::move(done));
    }
    void erase(std::string key, std::function<void(result<void>)> done) override
    {
        const auto stored = bucket_->store({std::move(key), {}, 0, true}, std::nullopt);
        answer(stored ? result<void>() : result<void>(stored.error()), std::move(done));
    }
    std::unique_ptr<watcher> watch(std::function<void(kv_entry)> on_entry, std::function<void()> on_current) override
    {
        auto what = std::make_shared<watching>();
        what->on = bucket_->on;
        what->on_entry = std::move(on_entry);
        what->on_current = std::move(on_current);
        for (const auto& [key, entry] : bucket_->entries)
            what->queue.push_back(entry);
        std::sort(what->queue.begin(), what->queue.end(), [](const auto& a, const auto& b) { return a.revision < b.revision; });
        what->until_current = what->queue.size();
        bucket_->watchers.push_back(what);
        return std::make_unique<watcher_port>(std::move(what));
    }

private:
    result<kv_entry> find(const std::string& key) const
    {
        if (*bucket_->down)
            return log_errc::unavailable;
        const auto found = bucket_->entries.find(key);
        if (found == bucket_->entries.end() || found->second.erased)
            return log_errc::not_found;
        return found->second;
    }
    // On the loop, and not at all once we are gone.
    template <class Result, class Done> void answer(Result what, Done done)
    {
        bucket_->on->post([alive = std::weak_ptr(alive_), what = std::move(what), done = std::move(done)]() mutable {
            if (!alive.expired())
                done(std::move(what));
        });
    }

    std::shared_ptr<bucket> bucket_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}

std::unique_ptr<key_value> make_bucket(std::shared_ptr<bucket> on) { return std::make_unique<bucket_port>(std::move(on)); }

}
