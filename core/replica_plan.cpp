#include "core/replica_plan.hpp"

#include "core/invocation.hpp"
#include "core/reconcile.hpp"
#include "core/replica_setup.hpp"
#include "core/retry_policy.hpp"
#include "core/watchdog_config.hpp"

#include <charconv>
#include <stdexcept>

namespace sluice::core {

namespace {

class fingerprint {
public:
    void add(std::string_view part) { text_.append(std::to_string(part.size())).append(":").append(part); }
    void add(const string_map& map)
    {
        add(std::to_string(map.size()));
        for (const auto& [key, value] : map) {
            add(key);
            add(value);
        }
    }
    std::uint64_t value() const { return hash_id(text_); }

private:
    std::string text_;
};

std::uint64_t hash_of(const function_spec& spec)
{
    fingerprint all;
    all.add(spec.image);
    all.add(spec.env_process);
    all.add(spec.env_vars);
    all.add(std::to_string(spec.secrets.size()));
    for (const auto& secret : spec.secrets)
        all.add(secret);
    for (const auto* amounts : {&spec.limits, &spec.requests})
        all.add(*amounts ? (*amounts)->values : string_map{});
    all.add(spec.read_only_root_filesystem ? "read only" : "");
    return all.value();
}

std::string folder_of(std::string_view image)
{
    constexpr std::string_view scheme = "file:";
    if (image.starts_with(scheme))
        image.remove_prefix(scheme.size());
    return image.starts_with('/') ? std::string(image) : std::string();
}

std::optional<std::string> label(const function_spec& spec, const char* name)
{
    const auto at = spec.labels.find(name);
    return at == spec.labels.end() ? std::nullopt : std::optional(at->second);
}

// A name or value with a NUL byte cannot be given to a process.
const std::string* unusable_variable(const string_map& environment)
{
    for (const auto& [name, value] : environment)
        if (name.empty() || name.find('=') != name.npos || name.find('\0') != name.npos || value.find('\0') != value.npos)
            return &name;
    return nullptr;
}

}

namespace {

parsed<replica_plan> plan_process(const function_spec& spec)
{
    replica_plan plan;
    plan.environment = spec.env_vars;
    if (!spec.env_process.empty())
        plan.environment["fprocess"] = spec.env_process;
    plan.environment.try_emplace("PATH", function_path);
    if (!plan.environment.contains("fprocess") && !plan.environment.contains("function_process"))
        return field_error{"envProcess", "must be set to the function's command: images are not run by this provider"};
    if (const auto* name = unusable_variable(plan.environment))
        return field_error{"envVars", "cannot be given to a process: '" + *name + "'"};
    try {
        plan.max_inflight = read_watchdog_config(plan.environment).max_inflight;
    } catch (const config::error& wrong) {
        return field_error{"envVars", wrong.what()};
    }
    constexpr std::size_t room_for_token = 1024;
    if (encode(replica_setup{{}, plan.environment}).size() + room_for_token > replica_setup_bytes_max)
        return field_error{"envVars", "are too large together"};
    plan.spec_hash = hash_of(spec);
    plan.folder = folder_of(spec.image);
    auto wanted = replicas_wanted(label(spec, "com.openfaas.scale.min"), label(spec, "com.openfaas.scale.max"));
    plan.replicas = wanted.count;
    if (wanted.wrong)
        plan.wrong_label = field_error{"labels." + wanted.wrong->label, wanted.wrong->message};
    return plan;
}

}

parsed<replica_plan> plan_replicas(const function_spec& spec)
{
    if (!spec.secrets.empty())
        return field_error{"secrets", "has '" + spec.secrets.front() + "', which is not there: this provider has none yet"};
    return plan_process(spec);
}

parsed<function_spec> parse_runnable_deployment(std::string_view json, const deployment_bounds& bounds)
{
    auto spec = parse_deployment(json);
    if (!spec)
        return spec;
    auto plan = plan_process(*spec);
    if (!plan)
        return plan.error();
    if (plan->wrong_label)
        return std::move(*plan->wrong_label);
    if (plan->replicas > bounds.replicas_max)
        return field_error{"labels.com.openfaas.scale.min", "is more than function_replicas_max, " + std::to_string(bounds.replicas_max)};
    if (auto wrong = with_annotations(spec->annotations, {}).problems; !wrong.empty())
        return field_error{"annotations", std::move(wrong.front())};
    return spec;
}

static_function parse_static_function(std::string_view text)
{
    const auto refuse = [&] {
        throw config::error("static_function: '" + std::string(text)
                            + "' is not allowed: NAME[.NS]=http://HOST:PORT[,max_inflight=N], with a numeric host or localhost");
    };
    const auto equals = text.find('=');
    if (equals == text.npos)
        refuse();
    static_function read;
    const auto name = parse_function_name(text.substr(0, equals));
    if (!name)
        refuse();
    read.name = *name;
    std::string_view rest = text.substr(equals + 1);
    const auto comma = rest.find(',');
    read.url = rest.substr(0, comma);
    try {
        const auto address = parse_http_address(read.url);
        if (!address.prefix.empty())
            refuse();
        read.replica.host = address.host;
        read.replica.port = address.port;
    } catch (const std::invalid_argument&) {
        refuse();
    }
    if (comma != rest.npos) {
        constexpr std::string_view key = "max_inflight=";
        const auto option = rest.substr(comma + 1);
        const char* end = option.data() + option.size();
        if (!option.starts_with(key))
            refuse();
        const auto parsed = std::from_chars(option.data() + key.size(), end, read.replica.max_inflight);
        if (parsed.ec != std::errc{} || parsed.ptr != end)
            refuse();
    }
    read.replica.replica = "static";
    read.replica.ready = true;
    return read;
}

std::vector<static_function> parse_static_functions(const std::vector<std::string>& list)
{
    std::vector<static_function> all;
    for (const auto& text : list) {
        auto next = parse_static_function(text);
        for (const auto& before : all)
            if (before.name == next.name)
                throw config::error("static_function: " + next.name.full() + " is given twice");
        all.push_back(std::move(next));
    }
    return all;
}

}
