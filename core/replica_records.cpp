#include "core/replica_records.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>

namespace sluice::core {

namespace json = boost::json;

namespace {

constexpr int version = 1;

json::object to_json(const replica_record& record)
{
    return {{"name", record.function.name},
            {"namespace", record.function.space},
            {"replica", record.replica},
            {"pid", record.pid},
            {"start_ticks", record.start_ticks},
            {"port", record.port},
            {"token", record.token},
            {"spec_hash", record.spec_hash},
            {"max_inflight", record.max_inflight},
            {"folder", record.folder}};
}

template <class T> bool read(const json::object& from, const char* key, T& into)
{
    const auto* value = from.if_contains(key);
    if (!value)
        return false;
    if constexpr (std::is_same_v<T, std::string>) {
        if (!value->is_string())
            return false;
        into = value->get_string();
        return true;
    } else {
        boost::system::error_code error;
        into = value->to_number<T>(error);
        return !error;
    }
}

std::optional<replica_record> from_json(const json::value& value)
{
    if (!value.is_object())
        return std::nullopt;
    const auto& object = value.get_object();
    replica_record record;
    const bool whole = read(object, "name", record.function.name) && read(object, "namespace", record.function.space)
        && read(object, "replica", record.replica) && read(object, "pid", record.pid) && read(object, "start_ticks", record.start_ticks)
        && read(object, "port", record.port) && read(object, "token", record.token) && read(object, "spec_hash", record.spec_hash)
        && read(object, "max_inflight", record.max_inflight) && read(object, "folder", record.folder);
    return whole && record.pid > 1 ? std::optional(std::move(record)) : std::nullopt;
}

}

std::string encode(const std::vector<replica_record>& records)
{
    json::array list;
    for (const auto& record : records)
        list.push_back(to_json(record));
    return json::serialize(json::object{{"version", version}, {"replicas", std::move(list)}});
}

std::optional<std::vector<replica_record>> decode_replica_records(std::string_view text)
{
    boost::system::error_code error;
    const json::value parsed = json::parse(json::string_view(text.data(), text.size()), error);
    if (error || !parsed.is_object())
        return std::nullopt;
    const auto* found_version = parsed.get_object().if_contains("version");
    const auto* list = parsed.get_object().if_contains("replicas");
    if (!found_version || *found_version != version || !list || !list->is_array())
        return std::nullopt;
    std::vector<replica_record> records;
    for (const auto& each : list->get_array()) {
        auto record = from_json(each);
        if (!record)
            return std::nullopt;
        records.push_back(*std::move(record));
    }
    return records;
}

}
