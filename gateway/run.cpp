#include "adapters/nats/run_role.hpp"
#include "adapters/process/descriptor_limit.hpp"
#include "gateway/frontend.hpp"
#include "gateway/gateway.hpp"

namespace sluice::gateway {

int run(const options& with)
{
    process::raise_descriptor_limit();
    return nats::run_role<frontend>("gateway", with);
}

}
