#include "cli/up/plan.hpp"

#include "adapters/process/files.hpp"
#include "cli/up/files.hpp"
#include "cli/up/nats_server.hpp"
#include "cli/up/role_option.hpp"

#include <algorithm>
#include <filesystem>

namespace sluice::up {

namespace {

// What a call's message holds beside its body: request line and field lines, as the gateway bounds them, and the log's own.
constexpr std::uint64_t header_room = 128 * 1024;

class role_builder {
public:
    role_builder(const std::string& role, const options& with, const state_folder& state, const surroundings& around)
        : role_(role), with_(with)
    {
        spec_.name = role;
        spec_.argv = {around.self, role};
        spec_.env = around.environment;
        spec_.identity_file = state.identity_file(role);
        spec_.log_file = state.log_file(role);
        spec_.ready_file = [file = state.ready_file(role)](int) { return file; };
        spec_.start_deadline = with.start_deadline;
        flag("--log-level", with.log_level).flag("--ready-file", state.ready_file(role));
    }

    role_builder& flag(const std::string& name, const std::string& value)
    {
        spec_.argv.push_back(name + '=' + value);
        return *this;
    }

    role_builder& nats(const nats::config& access)
    {
        const std::pair<const char*, const std::string&> all[] = {{"--nats-url", access.url},
                                                                  {"--nats-user", access.user},
                                                                  {"--nats-password-file", access.password_file},
                                                                  {"--nats-credentials-file", access.credentials_file},
                                                                  {"--nats-ca-file", access.ca_file},
                                                                  {"--nats-cert-file", access.cert_file},
                                                                  {"--nats-key-file", access.key_file}};
        for (const auto& [name, value] : all)
            if (!value.empty())
                flag(name, value);
        return *this;
    }

    // How large what is made in our own nats-server may be; a server of somebody else has bounds of its own.
    role_builder& streams(std::initializer_list<const char*> flags)
    {
        if (with_.nats.url.empty())
            for (const char* name : flags)
                flag(name, std::to_string(stream_bytes_max(with_)));
        return *this;
    }

    role_builder& list(const std::string& name, const std::vector<std::string>& values)
    {
        return values.empty() ? *this : flag(name, config::join_list(values));
    }

    // The operator's own flags come last: of a flag given twice the last one counts.
    child_spec build()
    {
        for (const auto& entry : with_.role_option)
            if (auto option = parse_role_option(entry); option.role == role_)
                spec_.argv.push_back(std::move(option.flag));
        return std::move(spec_);
    }

private:
    std::string role_;
    const options& with_;
    child_spec spec_;
};

// A gateway that was to take any free port keeps it for the life of `up`: its clients know it by then.
void keep_port(child_spec& gateway, const std::string& ready_file)
{
    gateway.after_first_start = [ready_file](std::vector<std::string>& argv) {
        const auto address = last_line(ready_file);
        if (!address.empty())
            argv.push_back("--listen=" + address);
    };
}

}

child_spec nats_server_child(const options& with, const state_folder& state, const surroundings& around, nats::config& access)
{
    const auto path = around.environment.find("PATH");
    const auto binary = find_nats_server(with.nats_server, path == around.environment.end() ? "" : path->second);
    require_usable(binary);
    nats_server_options server;
    server.port = free_port();
    server.user = "sluice";
    server.password = state.keep_secret("nats-password").value;
    server.store_folder = state.nats_folder();
    server.ports_folder = state.run_folder() + "/nats-ports";
    server.payload_bytes_max = std::max(with.nats_payload_bytes_max, with.body_bytes_max + header_room);
    server.store_bytes_max = with.nats_store_bytes_max;
    std::filesystem::remove_all(server.ports_folder);
    std::filesystem::create_directory(server.ports_folder);
    const auto config_file = state.run_folder() + "/nats.conf";
    process::write_file_atomically(config_file, nats_server_config(server));

    access.url = "nats://127.0.0.1:" + std::to_string(server.port);
    access.user = server.user;
    access.password_file = state.secret_file("nats-password");

    child_spec spec;
    spec.name = "nats-server";
    spec.argv = {binary, "--config", config_file};
    spec.env = around.environment;
    spec.identity_file = state.identity_file(spec.name);
    spec.log_file = state.log_file(spec.name);
    spec.ready_file = [folder = server.ports_folder, name = std::filesystem::path(binary).filename().string()](int pid) {
        return folder + '/' + name + '_' + std::to_string(pid) + ".ports";
    };
    spec.start_deadline = with.start_deadline;
    return spec;
}

std::vector<child_spec> role_children(const options& with, const state_folder& state, const surroundings& around,
                                      const nats::config& access)
{
    const auto bytes = std::to_string(with.body_bytes_max), partitions = std::to_string(with.partitions);
    std::vector<child_spec> roles;
    roles.push_back(role_builder("provider", with, state, around)
                        .nats(access)
                        .flag("--state-folder", state.provider_folder())
                        .flag("--hidden-folder", state.path())
                        .flag("--drain-deadline", config::format_duration(with.drain_deadline))
                        .list("--static-function", with.static_function)
                        .build());
    roles.push_back(role_builder("queue-worker", with, state, around)
                        .nats(access)
                        .flag("--partitions", partitions)
                        .streams({"--log-bytes-max", "--journal-bytes-max"})
                        .flag("--worker-id", "up-" + state.keep_secret("worker-id").value)
                        .flag("--drain-deadline", config::format_duration(with.drain_deadline))
                        .list("--callback-allow", with.callback_allow)
                        .build());
    roles.push_back(role_builder("gateway", with, state, around)
                        .nats(access)
                        .flag("--listen", with.listen)
                        .flag("--partitions", partitions)
                        .streams({"--log-bytes-max"})
                        .flag("--body-bytes-max", bytes)
                        .flag("--drain-deadline", config::format_duration(with.drain_deadline))
                        .flag("--basic-auth-user-file", state.secret_file("basic-auth-user"))
                        .flag("--basic-auth-password-file", state.secret_file("basic-auth-password"))
                        .list("--callback-allow", with.callback_allow)
                        .build());
    if (with.nats.url.empty())
        roles.back().argv.push_back("--store-folder=" + state.nats_folder());
    keep_port(roles.back(), state.ready_file("gateway"));
    return roles;
}

}
