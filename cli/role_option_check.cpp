#include "cli/role_option_check.hpp"

#include "cli/up/role_option.hpp"
#include "gateway/gateway.hpp"
#include "provider/local/provider.hpp"
#include "queue-worker/queue_worker.hpp"

#include <stdexcept>

namespace sluice::cli {

namespace {

template <class Options> void read_alone(void (*describe)(config::table&, Options&), const std::string& flag)
{
    Options given;
    config::table table;
    describe(table, given);
    table.read({{flag}, {}, {}, {}});
}

}

void check_role_option(const std::string& text)
{
    const auto option = up::parse_role_option(text);
    try {
        if (option.role == "gateway")
            read_alone(gateway::add_to, option.flag);
        else if (option.role == "queue-worker")
            read_alone(queue_worker::add_to, option.flag);
        else if (option.role == "provider")
            read_alone(provider::add_to, option.flag);
        else
            throw std::invalid_argument("is for none of the roles gateway, queue-worker and provider");
    } catch (const config::error& wrong) {
        throw std::invalid_argument(std::string("is refused by the role: ") + wrong.what());
    }
}

}
