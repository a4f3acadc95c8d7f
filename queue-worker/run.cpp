#include "adapters/process/descriptor_limit.hpp"
#include "queue-worker/queue_worker.hpp"

#include "queue-worker/worker.hpp"

#include <stdexcept>

namespace sluice::queue_worker {

int run(const options& with)
{
    auto log = make_logger("queue-worker", with.log_level);
    process::raise_descriptor_limit();
    loop on;
    nats::connection store(on, nats::to_options(with.nats, "sluice-queue-worker"));
    worker role(on, store, with, *log);
    signal_watch signals(on, {SIGTERM, SIGINT}, [&](int) { role.stop(); });
    role.on_closed([&] {
        signals.cancel();
        store.close();
    });
    role.start();
    on.run();
    if (!role.failure().empty())
        throw std::runtime_error(role.failure());
    log->info("stopped");
    return 0;
}

}
