#pragma once
#include "core/function_codec.hpp"

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Reads the fields of one JSON object into members, and remembers the first that is wrong. A field that is absent or null leaves its
// member as it is (Go's encoding/json, which OpenFaaS's clients count on). Internal to core/.
namespace sluice::core {

class json_fields {
public:
    // `prefix` is put before the names of fields in messages. The object outlives this.
    json_fields(const boost::json::object& object, std::string prefix, std::optional<field_error>& wrong);

    void text(std::string_view key, std::string& into, std::size_t bytes_max);
    void flag(std::string_view key, bool& into);
    void number(std::string_view key, std::uint32_t& into, std::uint32_t max);
    void map(std::string_view key, string_map& into, std::size_t entries_max, std::size_t bytes_max);
    void list(std::string_view key, std::vector<std::string>& into, std::size_t entries_max, std::size_t bytes_max);
    // The object under the key, or nullptr.
    const boost::json::object* object(std::string_view key);
    const boost::json::array* array(std::string_view key, std::size_t entries_max);

    void fail(std::string_view key, std::string message);

private:
    const boost::json::value* find(std::string_view key) const;
    bool take(std::string_view name, const boost::json::value& value, std::string& into, std::size_t bytes_max);

    const boost::json::object& object_;
    std::string prefix_;
    std::optional<field_error>& wrong_;
};

// The object that is the whole text; nothing, and `wrong` filled, where it is no JSON object.
std::optional<boost::json::object> parse_object(std::string_view json, std::optional<field_error>& wrong);

}
