#pragma once
#include "adapters/http/status_pages.hpp"
#include "adapters/nats/store_health.hpp"
#include "adapters/nats/stores.hpp"
#include "core/directory.hpp"
#include "queue-worker/queue_worker.hpp"
#include "queue-worker/shard_runner.hpp"

#include <memory>
#include <optional>
#include <string>

namespace sluice::queue_worker {

// The role's life: open the buckets and the partitions' streams, run the shard, and at the end let running calls finish. Loop thread only.
class worker {
public:
    worker(loop& on, nats::connection& store, const options& with, logger& log);

    // What start-up needs and cannot have ends it: see failure(). Else runs until stop().
    void start();
    void stop();
    // Why start-up failed; empty: it did not.
    const std::string& failure() const noexcept { return failure_; }
    // Partitions owned now.
    std::size_t owned() const { return runner_ ? runner_->shard().count().partitions_owned : 0; }
    // Calls in the index.
    std::size_t live() const { return runner_ ? runner_->shard().count().live : 0; }
    // Why it is not ready; empty: it is.
    std::string illness() const;
    // Called once everything is closed, so that the loop can run dry.
    void on_closed(std::function<void()> closed) { on_closed_ = std::move(closed); }

private:
    void run_shard();
    core::shard_options shard_options() const;
    void fail(std::string why);
    void close_when_quiet();
    void close();

    loop& loop_;
    nats::connection& store_;
    options options_;
    logger& log_;
    meters meters_;
    call_sender calls_;
    callback_sender callbacks_;
    nats::stores stores_; // the logs and journals: until the runner has them
    std::optional<nats::store_health> store_health_;
    std::optional<core::directory> functions_;
    std::optional<lease_keeper> leases_;
    std::optional<shard_runner> runner_;
    http::status_pages pages_;
    timer drain_deadline_;
    timer drain_poll_;
    std::function<void()> on_closed_;
    std::string failure_;
    bool stopping_ = false;
    bool closed_ = false;
};

}
