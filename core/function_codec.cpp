#include "core/function_codec.hpp"

#include "core/json_fields.hpp"
#include "sluice/wire.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <limits>

namespace json = boost::json;

namespace sluice::core {

namespace {

// Bounds of what one function may say; the whole value stays within a KV entry because the API bounds the body.
constexpr std::size_t text_bytes_max = 4 * 1024;
constexpr std::size_t value_bytes_max = 32 * 1024;
constexpr std::size_t entries_max = 512;
constexpr std::size_t replicas_max = 10'000;
constexpr std::size_t reason_bytes_max = 512;
constexpr std::uint32_t inflight_max = 1'000'000;

constexpr std::string_view resource_names[] = {"memory", "cpu", "nvidia.com/gpu", "amd.com/gpu", "intel.com/gpu"};

// A secret's name becomes a file's name: DNS-1123 subdomain, as Kubernetes has it.
bool is_secret_name(std::string_view name)
{
    if (name.size() > 253)
        return false;
    while (!name.empty()) {
        const auto dot = std::min(name.find('.'), name.size());
        if (!is_dns_label(name.substr(0, dot)) || dot + 1 == name.size())
            return false;
        name.remove_prefix(std::min(dot + 1, name.size()));
        if (name.empty())
            return true;
    }
    return false;
}

void read_name(json_fields& fields, std::string_view name_key, function_name& into)
{
    fields.text(name_key, into.name, text_bytes_max);
    fields.text("namespace", into.space, text_bytes_max);
    if (into.space.empty())
        into.space = default_namespace;
    constexpr auto rule = "must be a DNS label: a to z, 0 to 9 and '-', no dash at an end, at most 63 characters";
    if (into.name.empty())
        fields.fail(name_key, "is missing");
    else if (!is_dns_label(into.name))
        fields.fail(name_key, rule);
    if (!is_dns_label(into.space))
        fields.fail("namespace", rule);
}

void read_resources(json_fields& fields, std::string_view key, std::optional<resources>& into, std::optional<field_error>& wrong)
{
    const auto* object = fields.object(key);
    if (!object)
        return;
    json_fields quantities(*object, std::string(key) + '.', wrong);
    resources found;
    for (auto name : resource_names) {
        std::string quantity;
        quantities.text(name, quantity, text_bytes_max);
        if (!quantity.empty())
            found.values.emplace(name, std::move(quantity));
    }
    if (!found.values.empty())
        into = std::move(found);
}

// The fields that the API and the bucket share.
void read_spec(json_fields& fields, std::string_view name_key, function_spec& spec, std::optional<field_error>& wrong)
{
    read_name(fields, name_key, spec.name);
    fields.text("image", spec.image, text_bytes_max);
    fields.text("envProcess", spec.env_process, value_bytes_max);
    fields.map("envVars", spec.env_vars, entries_max, value_bytes_max);
    fields.list("constraints", spec.constraints, entries_max, text_bytes_max);
    fields.list("secrets", spec.secrets, entries_max, text_bytes_max);
    fields.map("labels", spec.labels, entries_max, value_bytes_max);
    fields.map("annotations", spec.annotations, entries_max, value_bytes_max);
    read_resources(fields, "limits", spec.limits, wrong);
    read_resources(fields, "requests", spec.requests, wrong);
    fields.flag("readOnlyRootFilesystem", spec.read_only_root_filesystem);
    for (const auto& [name, value] : spec.env_vars)
        if (name.find('=') != name.npos)
            fields.fail("envVars", "has a name with '='");
    for (const auto& name : spec.secrets)
        if (!is_secret_name(name))
            fields.fail("secrets", "has a name that is no DNS subdomain (a to z, 0 to 9, '-' and '.')");
}

void read_space(json_fields& fields, namespace_spec& space)
{
    fields.text("name", space.name, text_bytes_max);
    fields.map("labels", space.labels, entries_max, value_bytes_max);
    fields.map("annotations", space.annotations, entries_max, value_bytes_max);
    constexpr auto rule = "must be a DNS label: a to z, 0 to 9 and '-', no dash at an end, at most 63 characters";
    if (!is_dns_label(space.name))
        fields.fail("name", rule);
    if (!is_dns_label(space.tenant()))
        fields.fail("annotations.sluice/tenant", rule);
}

void check_version(json_fields& fields, const json::object& object)
{
    const auto* version = object.if_contains("version");
    const auto* number = version ? version->if_int64() : nullptr;
    if (!number || *number < 1)
        fields.fail("version", "is missing");
    else if (*number > wire::format_version)
        fields.fail("version",
                    std::to_string(*number) + " is newer than this release reads (" + std::to_string(wire::format_version) + ")");
}

void put(json::object& object, std::string_view key, const string_map& map)
{
    json::object entries;
    for (const auto& [name, value] : map)
        entries.emplace(name, value);
    object.emplace(key, std::move(entries));
}

void put(json::object& object, std::string_view key, const std::vector<std::string>& list)
{
    json::array entries;
    for (const auto& value : list)
        entries.emplace_back(value);
    object.emplace(key, std::move(entries));
}

void put_text(json::object& object, std::string_view key, const std::string& text)
{
    if (!text.empty())
        object.emplace(key, text);
}

json::object spec_object(const function_spec& spec, const string_map& labels)
{
    json::object object;
    object.emplace("name", spec.name.name);
    object.emplace("image", spec.image);
    object.emplace("namespace", spec.name.space);
    put_text(object, "envProcess", spec.env_process);
    if (!spec.env_vars.empty())
        put(object, "envVars", spec.env_vars);
    if (!spec.constraints.empty())
        put(object, "constraints", spec.constraints);
    if (!spec.secrets.empty())
        put(object, "secrets", spec.secrets);
    put(object, "labels", labels);
    put(object, "annotations", spec.annotations);
    if (spec.limits)
        put(object, "limits", spec.limits->values);
    if (spec.requests)
        put(object, "requests", spec.requests->values);
    if (spec.read_only_root_filesystem)
        object.emplace("readOnlyRootFilesystem", true);
    return object;
}

// What a function wrote may be in it: nothing of that may break the value for those who read it.
std::string one_line(std::string_view text)
{
    std::string line(text.substr(0, reason_bytes_max));
    for (char& c : line)
        if (c < ' ' || c > '~')
            c = c == '\n' || c == '\t' ? ' ' : '?';
    return line;
}

json::object trouble_object(const function_trouble& trouble)
{
    return {{"reason", one_line(trouble.reason)}, {"restarts", trouble.restarts}};
}

// Replicas wanted before a provider has said so: the label's number, else one.
std::uint64_t replicas_at_first(const function_spec& spec)
{
    const auto label = spec.labels.find("com.openfaas.scale.min");
    std::uint64_t wanted = 0;
    if (label != spec.labels.end())
        std::from_chars(label->second.data(), label->second.data() + label->second.size(), wanted);
    return wanted > 0 ? wanted : 1;
}

// Reads a whole text with `read(fields, object, into, wrong)`.
template <class T, class Read> parsed<T> parse(std::string_view text, Read read)
{
    std::optional<field_error> wrong;
    const auto object = parse_object(text, wrong);
    if (!object)
        return *wrong;
    T into;
    json_fields fields(*object, "", wrong);
    read(fields, *object, into, wrong);
    if (wrong)
        return *wrong;
    return into;
}

void read_endpoint(json_fields& fields, endpoint& into)
{
    fields.text("replica", into.replica, text_bytes_max);
    fields.text("host", into.host, text_bytes_max);
    std::uint32_t port = 0;
    fields.number("port", port, 65535);
    into.port = static_cast<std::uint16_t>(port);
    fields.number("maxInflight", into.max_inflight, inflight_max);
    fields.text("token", into.token, text_bytes_max);
    fields.flag("ready", into.ready);
    if (into.replica.empty())
        fields.fail("replica", "is missing");
    if (into.host.empty())
        fields.fail("host", "is missing");
    if (into.port == 0)
        fields.fail("port", "is missing");
    // It becomes a header field.
    if (std::any_of(into.token.begin(), into.token.end(), [](char c) { return c <= ' ' || c >= 0x7f; }))
        fields.fail("token", "has a character that no header field can carry");
}

}

parsed<function_spec> parse_deployment(std::string_view text)
{
    return parse<function_spec>(text, [](auto& fields, auto&, auto& spec, auto& wrong) { read_spec(fields, "service", spec, wrong); });
}

parsed<function_name> parse_delete_request(std::string_view text)
{
    return parse<function_name>(text, [](auto& fields, auto&, auto& name, auto&) { read_name(fields, "functionName", name); });
}

parsed<namespace_spec> parse_namespace(std::string_view text)
{
    return parse<namespace_spec>(text, [](auto& fields, auto&, auto& space, auto&) { read_space(fields, space); });
}

std::string encode(const function_spec& spec)
{
    auto object = spec_object(spec, spec.labels);
    object.emplace("version", wire::format_version);
    put_text(object, "createdAt", spec.created_at);
    put_text(object, "staticUrl", spec.static_url);
    if (spec.static_max_inflight != 0)
        object.emplace("staticMaxInflight", spec.static_max_inflight);
    return json::serialize(object);
}

parsed<function_spec> decode_function(std::string_view text)
{
    return parse<function_spec>(text, [](auto& fields, auto& object, auto& spec, auto& wrong) {
        check_version(fields, object);
        read_spec(fields, "name", spec, wrong);
        fields.text("createdAt", spec.created_at, text_bytes_max);
        fields.text("staticUrl", spec.static_url, text_bytes_max);
        fields.number("staticMaxInflight", spec.static_max_inflight, inflight_max);
    });
}

std::string encode(const function_endpoints& endpoints)
{
    json::array replicas;
    for (const auto& each : endpoints.replicas) {
        json::object replica;
        replica.emplace("replica", each.replica);
        replica.emplace("host", each.host);
        replica.emplace("port", each.port);
        replica.emplace("maxInflight", each.max_inflight);
        put_text(replica, "token", each.token);
        replica.emplace("ready", each.ready);
        replicas.push_back(std::move(replica));
    }
    json::object object;
    object.emplace("version", wire::format_version);
    object.emplace("name", endpoints.name.name);
    object.emplace("namespace", endpoints.name.space);
    object.emplace("desired", endpoints.desired);
    object.emplace("replicas", std::move(replicas));
    if (endpoints.trouble)
        object.emplace("trouble", trouble_object(*endpoints.trouble));
    return json::serialize(object);
}

parsed<function_endpoints> decode_endpoints(std::string_view text)
{
    return parse<function_endpoints>(text, [](auto& fields, auto& object, auto& into, auto& wrong) {
        check_version(fields, object);
        read_name(fields, "name", into.name);
        fields.number("desired", into.desired, replicas_max);
        const auto* replicas = fields.array("replicas", replicas_max);
        for (std::size_t i = 0; replicas && i < replicas->size(); ++i) {
            const auto where = "replicas[" + std::to_string(i) + ']';
            const auto* replica = (*replicas)[i].if_object();
            if (!replica)
                return fields.fail(where, "must be an object");
            json_fields of_replica(*replica, where + '.', wrong);
            read_endpoint(of_replica, into.replicas.emplace_back());
        }
        if (const auto* trouble = fields.object("trouble")) {
            json_fields of_trouble(*trouble, "trouble.", wrong);
            into.trouble.emplace();
            of_trouble.text("reason", into.trouble->reason, text_bytes_max);
            of_trouble.number("restarts", into.trouble->restarts, std::numeric_limits<std::uint32_t>::max());
        }
    });
}

std::string namespace_json(const namespace_spec& space)
{
    json::object object;
    object.emplace("name", space.name);
    put(object, "annotations", space.annotations);
    put(object, "labels", space.labels);
    return json::serialize(object);
}

std::string encode(const namespace_spec& space)
{
    json::object object;
    object.emplace("version", wire::format_version);
    object.emplace("name", space.name);
    put(object, "annotations", space.annotations);
    put(object, "labels", space.labels);
    return json::serialize(object);
}

parsed<namespace_spec> decode_namespace(std::string_view text)
{
    return parse<namespace_spec>(text, [](auto& fields, auto& object, auto& space, auto&) {
        check_version(fields, object);
        read_space(fields, space);
    });
}

std::string status_json(const function_spec& spec, const function_endpoints* endpoints, double invocation_count)
{
    auto labels = spec.labels;
    labels["faas_function"] = spec.name.name;
    auto object = spec_object(spec, labels);
    if (invocation_count >= 1)
        object.emplace("invocationCount", static_cast<std::uint64_t>(invocation_count));
    const auto wanted = endpoints ? endpoints->desired : replicas_at_first(spec);
    if (wanted > 0)
        object.emplace("replicas", wanted);
    std::uint64_t ready = 0;
    if (endpoints)
        for (const auto& replica : endpoints->replicas)
            ready += replica.ready;
    if (ready > 0)
        object.emplace("availableReplicas", ready);
    if (endpoints && endpoints->trouble) {
        auto status = trouble_object(*endpoints->trouble);
        status.emplace("state", ready > 0 ? "degraded" : "failing");
        object.emplace("status", std::move(status));
    }
    object.emplace("createdAt", spec.created_at.empty() ? "0001-01-01T00:00:00Z" : spec.created_at);
    return json::serialize(object);
}

}
