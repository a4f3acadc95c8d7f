#include "gateway/namespaces_api.hpp"

#include "core/function_codec.hpp"
#include "gateway/rest.hpp"

namespace sluice::gateway {

namespace {

http_response not_found(std::string_view name) { return text_answer(404, "namespace " + std::string(name) + " not found"); }

// faas-cli and the SDK set both; either says that the namespace is for functions.
bool is_for_functions(const namespace_spec& space)
{
    const auto is_set = [](const string_map& map) {
        const auto at = map.find("openfaas");
        return at != map.end() && (at->second == "1" || at->second == "true");
    };
    return is_set(space.labels) || is_set(space.annotations);
}

http_response unlabelled() { return text_answer(400, "field labels: the label openfaas=1 is missing"); }

}

namespaces_api::namespaces_api(loop& on, core::directory& known, key_value& namespaces, key_value& functions)
    : loop_(on), known_(known), namespaces_(namespaces), functions_(functions), written_(on, mirror_deadline)
{
    known_.on_space([this](const std::string& name) { written_.heard(name); });
}

void namespaces_api::list(const call& from)
{
    if (const auto why = known_.unknown())
        return from.reply(not_known(*why));
    std::string json = "[";
    for (const auto& name : known_.spaces()) // DNS labels: nothing to escape
        json.append(json.size() > 1 ? "," : "").append("\"").append(name).append("\"");
    from.reply(json_answer(200, std::move(json.append("]"))));
}

void namespaces_api::show(const call& from)
{
    const std::string name(from.name());
    if (const auto why = known_.unknown(name))
        return from.reply(not_known(*why));
    const auto* space = known_.space(name);
    from.reply(space ? json_answer(200, core::namespace_json(*space)) : not_found(name));
}

void namespaces_api::create(const call& from)
{
    const auto space = core::parse_namespace(from.request().body);
    if (!space)
        return from.reply(invalid_answer("validation failed", space.error()));
    if (!from.name().empty() && from.name() != space->name)
        return from.reply(text_answer(400, "field name: is not the name in the path"));
    if (!is_for_functions(*space))
        return from.reply(unlabelled());
    if (space->name == default_namespace)
        return from.reply(text_answer(409, "namespace " + space->name + " exists already"));
    auto seen = written_.expect(space->name);
    namespaces_.create(space->name, core::encode(*space),
                       [this, from, name = space->name, seen](const key_value::result<std::uint64_t>& result) {
                           if (!result && result.error() == log_errc::wrong_sequence)
                               return from.reply(text_answer(409, "namespace " + name + " exists already"));
                           answer_change(from, written_, seen, result, 201);
                       });
}

void namespaces_api::replace(const call& from)
{
    const auto space = core::parse_namespace(from.request().body);
    if (!space)
        return from.reply(invalid_answer("validation failed", space.error()));
    if (space->name != from.name())
        return from.reply(text_answer(400, "field name: is not the name in the path"));
    if (!is_for_functions(*space))
        return from.reply(unlabelled());
    if (space->name == default_namespace)
        return put(from, *space);
    namespaces_.get(space->name, [this, from, space = *space](const key_value::result<kv_entry>& stored) {
        if ((!stored && stored.error() == log_errc::not_found) || (stored && stored->erased))
            return from.reply(not_found(space.name));
        if (!stored)
            return from.reply(store_failure(stored.error()));
        replace_stored(from, space, *stored);
    });
}

void namespaces_api::replace_stored(const call& from, const namespace_spec& space, const kv_entry& stored)
{
    const auto before = core::decode_namespace(stored.value);
    if (!before && before.error().field == "version")
        return from.reply(text_answer(409, "the stored namespace cannot be changed: version " + before.error().message));
    auto seen = written_.expect(space.name);
    namespaces_.update(space.name, core::encode(space), stored.revision,
                       [this, from, name = space.name, seen](const key_value::result<std::uint64_t>& result) {
                           if (!result && result.error() == log_errc::wrong_sequence)
                               return from.reply(text_answer(409, "namespace " + name + " was changed by somebody else meanwhile"));
                           answer_change(from, written_, seen, result, 202);
                       });
}

void namespaces_api::put(const call& from, const namespace_spec& space)
{
    auto seen = written_.expect(space.name);
    namespaces_.put(space.name, core::encode(space), [this, from, seen](const key_value::result<std::uint64_t>& result) {
        answer_change(from, written_, seen, result, 202);
    });
}

void namespaces_api::remove(const call& from)
{
    const std::string name(from.name());
    if (const auto why = known_.unknown(name))
        return from.reply(not_known(*why));
    if (name == default_namespace)
        return from.reply(text_answer(400, "the default namespace cannot be removed"));
    const auto* space = known_.space(name);
    if (!space)
        return from.reply(not_found(name));
    if (const auto count = known_.functions_in(name).size(); count > 0)
        return from.reply(text_answer(409, "namespace " + name + " still has " + std::to_string(count) + " functions"));
    auto seen = written_.expect(name);
    namespaces_.erase(name, [this, from, space = *space, seen](const key_value::result<void>& result) {
        if (!result)
            return from.reply(store_failure(result.error()));
        removed(from, space, seen);
    });
}

// What the mirror did not show yet may be stored. A function that is stored from now on finds the namespace gone, and is not kept.
void namespaces_api::removed(const call& from, const namespace_spec& space, const mirror_wait::ticket_ptr& seen)
{
    looks_.remove_if([](const look& each) { return each.over; });
    auto& at = looks_.emplace_back(loop_);
    at.deadline.after(mirror_deadline, [this, from, space, seen, &at] { looked(from, space, seen, at, false); });
    at.watcher = functions_.watch([&at, prefix = space.name + '.'](
                                      const kv_entry& entry) { at.found = at.found || (!entry.erased && entry.key.starts_with(prefix)); },
                                  [this, from, space, seen, &at] { looked(from, space, seen, at, true); });
}

void namespaces_api::looked(const call& from, const namespace_spec& space, const mirror_wait::ticket_ptr& seen, look& at, bool all)
{
    if (std::exchange(at.over, true))
        return;
    at.deadline.cancel();
    loop_.post([watcher = std::shared_ptr<key_value::watcher>(std::move(at.watcher))] {}); // not destroyed in a call of its own
    if (!at.found && !all)
        return from.reply(store_failure(log_errc::unknown));
    if (!at.found)
        return answer_change(from, written_, seen, key_value::result<void>(), 202);
    namespaces_.create(space.name, core::encode(space), [from, name = space.name](const key_value::result<std::uint64_t>& restored) {
        if (!restored && restored.error() != log_errc::wrong_sequence)
            return from.reply(store_failure(restored.error()));
        from.reply(text_answer(409, "namespace " + name + " has got a function meanwhile"));
    });
}

void namespaces_api::close()
{
    written_.close();
    looks_.clear();
}

}
