#include "gateway/routes.hpp"

#include <algorithm>

namespace sluice::gateway {

namespace {

bool has_word(std::string_view words, std::string_view word) noexcept
{
    while (!words.empty()) {
        const auto end = std::min(words.find(' '), words.size());
        if (words.substr(0, end) == word)
            return true;
        words.remove_prefix(std::min(end + 1, words.size()));
    }
    return false;
}

bool has_name(const route& of) noexcept { return of.path.size() > 1 && of.path.back() == '/' && of.id != route_id::ui; }

// Whether the path is this route's; `name` gets what follows it.
bool matches(const route& candidate, std::string_view path, std::string_view& name) noexcept
{
    if (!has_name(candidate))
        return path == candidate.path;
    if (path.substr(0, candidate.path.size()) != candidate.path)
        return false;
    const auto rest = path.substr(candidate.path.size());
    const auto slash = rest.find('/');
    name = rest.substr(0, slash);
    if (name.empty())
        return candidate.id == route_id::one_namespace && rest.empty();
    return candidate.deep || slash == rest.npos;
}

}

routed find_route(std::string_view method, std::string_view path) noexcept
{
    for (const auto& candidate : routes) {
        std::string_view name;
        if (matches(candidate, path, name))
            return {&candidate, candidate.methods.empty() || has_word(candidate.methods, method), name};
    }
    return {};
}

std::string allow_of(const route& of)
{
    std::string words;
    for (char c : of.methods) {
        if (c == ' ')
            words.push_back(',');
        words.push_back(c);
    }
    return words;
}

}
