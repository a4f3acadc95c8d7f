#include "cli/roles.hpp"

#include "adapters/process/files.hpp"
#include "cli/role_option_check.hpp"
#include "cli/up/up.hpp"
#include "core/config.hpp"
#include "gateway/gateway.hpp"
#include "provider/local/provider.hpp"
#include "queue-worker/queue_worker.hpp"
#include "watchdog/watchdog.hpp"

#include <cstdio>
#include <system_error>

namespace sluice::cli {

namespace {

config::table::sources sources_of(const call& with)
{
    config::table::sources from;
    from.arguments = with.arguments;
    for (const auto& variable : with.environment)
        if (variable.first.rfind("SLUICE_", 0) == 0)
            from.environment.insert(variable);
    from.file_name = config::table::file_of(from.arguments, from.environment);
    if (from.file_name.empty())
        return from;
    try {
        from.file_text = process::read_file(from.file_name);
    } catch (const std::system_error& wrong) {
        throw config::error(std::string("config: ") + wrong.what());
    }
    return from;
}

// The whole configuration is judged before anything is started or printed.
template <class Check> void read(config::table& table, const call& with, Check check)
{
    try {
        const auto words = table.read(sources_of(with));
        if (!words.empty())
            throw config::error("unexpected argument \"" + words.front() + '"');
        check();
    } catch (const config::error& wrong) {
        throw usage_error(wrong.what());
    }
}

int start(const up::options& with, const call& from) { return up::run(with, from.environment); }
int start(const gateway::options& with, const call&) { return gateway::run(with); }
int start(const queue_worker::options& with, const call&) { return queue_worker::run(with); }
int start(const provider::options& with, const call&)
{
    if (with.state_folder.empty())
        throw usage_error("state_folder: must be set");
    return provider::run(with);
}
int start(const watchdog::options& with, const call& from) { return watchdog::run(with, from.environment); }

void describe(config::table& table, up::options& into) { up::add_to(table, into, check_role_option); }
void describe(config::table& table, gateway::options& into) { gateway::add_to(table, into); }
void describe(config::table& table, queue_worker::options& into) { queue_worker::add_to(table, into); }
void describe(config::table& table, provider::options& into) { provider::add_to(table, into); }
void describe(config::table& table, watchdog::options& into) { watchdog::add_to(table, into); }

void check_all(const up::options& given)
{
    up::check(given);
    check_role_options(given);
}
void check_all(const gateway::options& given) { gateway::check(given); }
void check_all(const queue_worker::options& given) { queue_worker::check(given); }
void check_all(const provider::options& given) { provider::check(given); }
void check_all(const watchdog::options&) {}

template <class Options> int run_role(const role& self, const call& with)
{
    Options options;
    config::table table;
    describe(table, options);
    const auto wish = config::table::wants(with.arguments);
    if (wish.help) {
        std::printf("sluice %s: %s\n\n%s", self.name, self.summary, table.help().c_str());
        return 0;
    }
    read(table, with, [&options] { check_all(options); });
    if (wish.print_config) {
        std::fputs(table.print().c_str(), stdout);
        return 0;
    }
    return start(options, with);
}

template <class Options> std::string rows()
{
    Options options;
    config::table table;
    describe(table, options);
    return table.markdown();
}

constexpr role all[] = {
    {"up", "everything on this machine, supervised", run_role<up::options>, rows<up::options>},
    {"gateway", "HTTP in: calls, OpenFaaS's API", run_role<gateway::options>, rows<gateway::options>},
    {"queue-worker", "runs accepted calls and sends callbacks", run_role<queue_worker::options>, rows<queue_worker::options>},
    {"provider", "runs functions as processes of this machine", run_role<provider::options>, rows<provider::options>},
    {"watchdog", "one replica of a function (started by the provider)", run_role<watchdog::options>, rows<watchdog::options>},
};

}

std::span<const role> roles() noexcept { return all; }

}
