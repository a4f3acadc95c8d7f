#include "core/cgi_environment.hpp"

#include "sluice/wire.hpp"

namespace sluice::core {

namespace {

std::string variable_name(std::string_view field)
{
    std::string name = "Http_";
    bool starts_word = true;
    for (char c : field) {
        const bool lower = c >= 'a' && c <= 'z';
        const bool upper = c >= 'A' && c <= 'Z';
        if (starts_word && lower)
            c = static_cast<char>(c - 32);
        else if (!starts_word && upper)
            c = static_cast<char>(c + 32);
        starts_word = c == '-';
        name.push_back(starts_word ? '_' : c);
    }
    return name;
}

}

void add_cgi_environment(string_map& environment, const http_request& request)
{
    for (const auto& field : request.fields) {
        if (same_name(field.name, wire::replica_token_header) || same_name(field.name, "proxy"))
            continue;
        environment.try_emplace(variable_name(field.name), field.value);
    }
    const bool chunked = request.has("transfer-encoding");
    const std::string length = chunked ? "-1" : std::to_string(request.body.size());
    environment["Http_Method"] = request.method;
    environment["Http_ContentLength"] = length;
    environment["Http_Content_Length"] = length;
    environment["Http_Path"] = request.path();
    environment["Http_Host"] = request.field("host");
    environment.erase("Http_Query"); // a field "Query" is no query
    if (!request.query().empty())
        environment["Http_Query"] = request.query();
}

}
