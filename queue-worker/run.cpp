#include "adapters/nats/run_role.hpp"
#include "adapters/process/descriptor_limit.hpp"
#include "queue-worker/queue_worker.hpp"
#include "queue-worker/worker.hpp"

namespace sluice::queue_worker {

int run(const options& with)
{
    process::raise_descriptor_limit();
    return nats::run_role<worker>("queue-worker", with);
}

}
