#include "gateway/functions_api.hpp"

#include "adapters/asio/clock.hpp"
#include "core/function_codec.hpp"
#include "core/rfc3339.hpp"
#include "gateway/rest.hpp"

namespace sluice::gateway {

namespace {

http_response not_found(const function_name& name) { return text_answer(404, "error finding function " + name.full() + ": not found"); }

http_response no_space(const std::string& space)
{
    return text_answer(400, "validation failed: field namespace: namespace " + space + " does not exist");
}

http_response of_operator(const function_name& name)
{
    return text_answer(409, "function " + name.full() + " is a static endpoint of the operator's configuration; the API cannot change it");
}

}

functions_api::functions_api(loop& on, core::directory& known, key_value& functions, key_value& namespaces, function_meters& counted,
                             std::uint32_t replicas_max)
    : known_(known), functions_(functions), namespaces_(namespaces), counted_(counted), bounds_{replicas_max}, written_(on, mirror_deadline)
{
    known_.on_function([this](const function_name& name) { written_.heard(name.key()); });
}

void functions_api::list(const call& from)
{
    if (const auto why = known_.unknown())
        return from.reply(not_known(*why));
    auto space = query_value(from.request().query(), "namespace");
    if (space.empty())
        space = default_namespace;
    std::string json = "[";
    for (const auto* spec : known_.functions_in(space)) {
        if (json.size() > 1)
            json.push_back(',');
        json += core::status_json(*spec, known_.endpoints(spec->name), counted_.invocations(spec->name));
    }
    from.reply(json_answer(200, std::move(json.append("]"))));
}

void functions_api::show(const call& from)
{
    auto name = parse_function_name(from.name());
    const auto space = query_value(from.request().query(), "namespace");
    if (name && !space.empty() && from.name().find('.') == std::string_view::npos)
        name->space = space;
    if (const auto why = name ? known_.unknown(*name) : known_.unknown(space))
        return from.reply(not_known(*why));
    const auto* spec = name ? known_.find(*name) : nullptr;
    if (!spec)
        return from.reply(empty_answer(404));
    from.reply(json_answer(200, core::status_json(*spec, known_.endpoints(*name), 0)));
}

void functions_api::create(const call& from)
{
    auto spec = core::parse_runnable_deployment(from.request().body, bounds_);
    if (!spec)
        return from.reply(invalid_answer("validation failed", spec.error()));
    if (const auto why = known_.unknown(spec->name.space))
        return from.reply(not_known(*why));
    if (!known_.space(spec->name.space))
        return from.reply(no_space(spec->name.space));
    spec->created_at = core::rfc3339(clock_now().wall);
    const auto name = spec->name;
    auto seen = written_.expect(name.key());
    functions_.create(name.key(), core::encode(*spec), [this, from, name, seen](const key_value::result<std::uint64_t>& result) {
        if (!result && result.error() == log_errc::wrong_sequence)
            return from.reply(text_answer(500, "unable to create function " + name.full() + ": it exists already"));
        if (!result || name.space == default_namespace)
            return answer_change(from, written_, seen, result, 202);
        keep_if_space_exists(from, name, seen);
    });
}

// Its namespace may have been removed meanwhile. Whoever removes one looks for functions after that, and we look for the namespace after the function
// is stored: one of the two sees the other.
void functions_api::keep_if_space_exists(const call& from, const function_name& name, const mirror_wait::ticket_ptr& seen)
{
    namespaces_.get(name.space, [this, from, name, seen](const key_value::result<kv_entry>& space) {
        const bool gone = space ? space->erased : space.error() == log_errc::not_found;
        if (!gone)
            return answer_change(from, written_, seen, key_value::result<void>(), 202);
        functions_.erase(name.key(), [from, name](const key_value::result<void>& erased) {
            from.reply(erased ? no_space(name.space) : store_failure(erased.error()));
        });
    });
}

void functions_api::replace(const call& from)
{
    auto spec = core::parse_runnable_deployment(from.request().body, bounds_);
    if (!spec)
        return from.reply(invalid_answer("validation failed", spec.error()));
    const auto key = spec->name.key();
    functions_.get(key, [this, from, spec = std::move(*spec)](const key_value::result<kv_entry>& stored) {
        if ((!stored && stored.error() == log_errc::not_found) || (stored && stored->erased))
            return from.reply(not_found(spec.name));
        if (!stored)
            return from.reply(store_failure(stored.error()));
        replace_stored(from, spec, *stored);
    });
}

void functions_api::replace_stored(const call& from, function_spec spec, const kv_entry& stored)
{
    const auto before = core::decode_function(stored.value);
    if (!before && before.error().field == "version")
        return from.reply(text_answer(409, "the stored function cannot be changed: version " + before.error().message));
    if (before && !before->static_url.empty())
        return from.reply(of_operator(spec.name));
    spec.created_at = before ? before->created_at : core::rfc3339(clock_now().wall);
    const auto name = spec.name;
    auto seen = written_.expect(name.key());
    functions_.update(name.key(), core::encode(spec), stored.revision,
                      [this, from, name, seen](const key_value::result<std::uint64_t>& result) {
                          if (!result && result.error() == log_errc::wrong_sequence)
                              return from.reply(text_answer(409, "function " + name.full() + " was changed by somebody else meanwhile"));
                          answer_change(from, written_, seen, result, 202);
                      });
}

void functions_api::remove(const call& from)
{
    const auto name = core::parse_delete_request(from.request().body);
    if (!name)
        return from.reply(invalid_answer("failed to unmarshal request", name.error()));
    functions_.get(name->key(), [this, from, name = *name](const key_value::result<kv_entry>& stored) {
        if ((!stored && stored.error() == log_errc::not_found) || (stored && stored->erased))
            return from.reply(not_found(name));
        if (!stored)
            return from.reply(store_failure(stored.error()));
        remove_stored(from, name, *stored);
    });
}

void functions_api::remove_stored(const call& from, const function_name& name, const kv_entry& stored)
{
    const auto before = core::decode_function(stored.value);
    if (before && !before->static_url.empty())
        return from.reply(of_operator(name));
    auto seen = written_.expect(name.key());
    functions_.erase(name.key(),
                     [this, from, name, seen](const key_value::result<void>& result) { answer_change(from, written_, seen, result, 202); });
}

}
