#include "cli/role_option_check.hpp"

#include "cli/up/role_option.hpp"
#include "gateway/gateway.hpp"
#include "provider/local/provider.hpp"
#include "queue-worker/queue_worker.hpp"

#include <stdexcept>
#include <utility>
#include <vector>

namespace sluice::cli {

namespace {

template <class Options> void read_alone(void (*describe)(config::table&, Options&), const std::string& flag)
{
    Options given;
    config::table table;
    describe(table, given);
    table.read({{flag}, {}, {}, {}});
}

template <class Options>
void check_together(const up::options& all, const std::string& role, void (*describe)(config::table&, Options&),
                    void (*check)(const Options&), Options given)
{
    // Our own nats-server's access is made later, and is right.
    given.nats = all.nats.url.empty() ? nats::config{.user = "made", .password_file = "made"} : all.nats;
    std::vector<std::string> flags;
    for (const auto& entry : all.role_option)
        if (auto option = up::parse_role_option(entry); option.role == role)
            flags.push_back(std::move(option.flag));
    config::table table;
    describe(table, given);
    try {
        table.read({flags, {}, {}, {}});
        check(given);
    } catch (const config::error& wrong) {
        throw config::error("role_option: is refused by the " + role + ": " + wrong.what());
    }
}

}

void check_role_options(const up::options& given)
{
    gateway::options at_gateway;
    at_gateway.body_bytes_max = given.body_bytes_max;
    at_gateway.basic_auth_user_file = at_gateway.basic_auth_password_file = "made";
    check_together(given, "gateway", gateway::add_to, gateway::check, std::move(at_gateway));
    check_together(given, "queue-worker", queue_worker::add_to, queue_worker::check, queue_worker::options{});
    check_together(given, "provider", provider::add_to, provider::check, provider::options{});
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
