#include "core/directory.hpp"

#include "core/function_codec.hpp"

#include <algorithm>
#include <optional>
#include <set>

namespace sluice::core {

// Held by the watchers' callbacks only weakly: they end with the directory.
struct directory::state {
    struct known {
        std::optional<function_spec> spec;
        std::optional<function_endpoints> endpoints;

        bool nothing() const { return !spec && !endpoints; }
    };

    struct bucket {
        std::string_view holds;
        std::set<std::string> unread; // keys whose present value cannot be read
        std::unique_ptr<key_value::watcher> watch;
    };

    report on_bad_value;
    bucket function_bucket{"function", {}, {}}, endpoint_bucket{"endpoints", {}, {}}, space_bucket{"namespace", {}, {}};
    std::map<function_name, known> functions;
    std::map<std::string, namespace_spec> spaces;
    namespace_spec default_space{std::string(default_namespace), {}, {}};
    int buckets_behind = 3;
    std::vector<std::function<void(const function_name&)>> on_function, on_endpoints;
    std::vector<std::function<void(const std::string&)>> on_space;
    std::vector<std::function<void()>> on_current;

    void bad(bucket& of, const kv_entry& entry, const field_error& wrong)
    {
        of.unread.insert(entry.key);
        if (on_bad_value)
            on_bad_value(std::string(of.holds) + " \"" + entry.key + "\" revision " + std::to_string(entry.revision) + ": field "
                         + wrong.field + ' ' + wrong.message + "; what was read before stays");
    }

    // A function's spec or endpoints changed: `slot` picks which. Who listens also hears of what can no longer be told, and of its end.
    template <class Value, class Decode>
    void take(bucket& from, const kv_entry& entry, Decode decode, std::optional<Value> known::*slot,
              std::vector<std::function<void(const function_name&)>>& listeners)
    {
        const auto name = function_of_key(entry.key);
        const auto at = name ? functions.find(*name) : functions.end();
        const bool was_known = at != functions.end() && at->second.*slot;
        const bool was_unread = from.unread.contains(entry.key);
        if (entry.erased) {
            from.unread.erase(entry.key);
            if (!was_known && !was_unread)
                return;
            if (was_known)
                (at->second.*slot).reset();
            if (was_known && at->second.nothing())
                functions.erase(at);
        } else {
            auto value = name ? decode(entry.value) : field_error{"key", "is no NAMESPACE.NAME"};
            if (value && value->name != *name)
                value = field_error{"name", "is not the key's"};
            if (value) {
                from.unread.erase(entry.key);
                functions[*name].*slot = std::move(*value);
            } else {
                bad(from, entry, value.error());
                if (was_known || was_unread)
                    return;
            }
        }
        if (name)
            for (const auto& listener : listeners)
                listener(*name);
    }

    // A namespace that changes may move its functions to another tenant: their listeners hear of it.
    void take_space(const kv_entry& entry)
    {
        if (entry.erased) {
            space_bucket.unread.erase(entry.key);
            spaces.erase(entry.key);
        } else {
            auto value = decode_namespace(entry.value);
            if (!value)
                return bad(space_bucket, entry, value.error());
            if (value->name != entry.key)
                return bad(space_bucket, entry, {"name", "is not the key's"});
            space_bucket.unread.erase(entry.key);
            spaces.insert_or_assign(entry.key, std::move(*value));
        }
        for (const auto& listener : on_space)
            listener(entry.key);
        std::vector<function_name> within;
        for (const auto& [name, what] : functions)
            if (name.space == entry.key && what.spec)
                within.push_back(name);
        for (const auto& name : within)
            for (const auto& listener : on_function)
                listener(name);
    }

    void one_read_to_its_end()
    {
        if (--buckets_behind == 0)
            for (const auto& listener : on_current)
                listener();
    }
};

directory::directory(key_value& functions, key_value& endpoints, key_value& namespaces, report on_bad_value)
    : state_(std::make_shared<state>())
{
    state_->on_bad_value = std::move(on_bad_value);
    std::weak_ptr<state> weak = state_;
    auto read_to_end = [weak] {
        if (auto self = weak.lock())
            self->one_read_to_its_end();
    };
    auto on_function = [weak](kv_entry entry) {
        if (auto self = weak.lock())
            self->take(self->function_bucket, entry, decode_function, &state::known::spec, self->on_function);
    };
    auto on_endpoints = [weak](kv_entry entry) {
        if (auto self = weak.lock())
            self->take(self->endpoint_bucket, entry, decode_endpoints, &state::known::endpoints, self->on_endpoints);
    };
    auto on_space = [weak](kv_entry entry) {
        if (auto self = weak.lock())
            self->take_space(entry);
    };
    state_->space_bucket.watch = namespaces.watch(on_space, read_to_end);
    state_->function_bucket.watch = functions.watch(on_function, read_to_end);
    state_->endpoint_bucket.watch = endpoints.watch(on_endpoints, read_to_end);
}

bool directory::current() const noexcept { return state_->buckets_behind == 0; }

std::optional<std::string> directory::unknown() const
{
    if (!current())
        return "the list of functions is not known yet";
    return std::nullopt;
}

std::optional<std::string> directory::unknown(const std::string& space) const
{
    if (auto why = unknown())
        return why;
    if (!state_->spaces.contains(space) && state_->space_bucket.unread.contains(space))
        return "what is stored of namespace " + space + " cannot be read";
    return std::nullopt;
}

std::optional<std::string> directory::unknown(const function_name& name) const
{
    if (auto why = unknown(name.space))
        return why;
    if (!state_->function_bucket.unread.empty() && !find(name) && state_->function_bucket.unread.contains(name.key()))
        return "what is stored of function " + name.full() + " cannot be read";
    return std::nullopt;
}

const function_spec* directory::find(const function_name& name) const
{
    const auto at = state_->functions.find(name);
    return at != state_->functions.end() && at->second.spec ? &*at->second.spec : nullptr;
}

const function_endpoints* directory::endpoints(const function_name& name) const
{
    const auto at = state_->functions.find(name);
    return at != state_->functions.end() && at->second.endpoints ? &*at->second.endpoints : nullptr;
}

const namespace_spec* directory::space(const std::string& name) const
{
    const auto at = state_->spaces.find(name);
    if (at != state_->spaces.end())
        return &at->second;
    return name == default_namespace ? &state_->default_space : nullptr;
}

const std::string& directory::tenant_of(const std::string& name) const
{
    const auto* known = space(name);
    return known ? known->tenant() : name;
}

std::vector<const function_spec*> directory::functions_in(const std::string& name) const
{
    std::vector<const function_spec*> found;
    for (const auto& [function, what] : state_->functions)
        if (function.space == name && what.spec)
            found.push_back(&*what.spec);
    return found;
}

std::vector<std::string> directory::spaces() const
{
    std::vector<std::string> names;
    bool default_seen = false;
    for (const auto& [name, spec] : state_->spaces) {
        default_seen |= name == default_namespace;
        names.push_back(name);
    }
    if (!default_seen)
        names.insert(std::lower_bound(names.begin(), names.end(), default_namespace), std::string(default_namespace));
    return names;
}

void directory::on_function(std::function<void(const function_name&)> changed) { state_->on_function.push_back(std::move(changed)); }
void directory::on_endpoints(std::function<void(const function_name&)> changed) { state_->on_endpoints.push_back(std::move(changed)); }
void directory::on_space(std::function<void(const std::string&)> changed) { state_->on_space.push_back(std::move(changed)); }
void directory::on_current(std::function<void()> current) { state_->on_current.push_back(std::move(current)); }

}
