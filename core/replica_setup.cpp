#include "core/replica_setup.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace sluice::core {

namespace json = boost::json;

std::string encode(const replica_setup& setup)
{
    json::object environment;
    for (const auto& [name, value] : setup.environment)
        environment[name] = value;
    return json::serialize(json::object{{"version", 1}, {"token", setup.token}, {"environment", std::move(environment)}});
}

std::optional<replica_setup> decode_replica_setup(std::string_view text)
{
    boost::system::error_code error;
    const json::value parsed = json::parse(json::string_view(text.data(), text.size()), error);
    if (error || !parsed.is_object())
        return std::nullopt;
    const auto& object = parsed.get_object();
    const auto* version = object.if_contains("version");
    const auto* token = object.if_contains("token");
    const auto* environment = object.if_contains("environment");
    if (!version || *version != 1 || !token || !token->is_string() || !environment || !environment->is_object())
        return std::nullopt;
    replica_setup setup;
    setup.token = token->get_string();
    for (const auto& [name, value] : environment->get_object()) {
        if (!value.is_string())
            return std::nullopt;
        setup.environment.emplace(name, value.get_string());
    }
    return setup;
}

}
