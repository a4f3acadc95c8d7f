#include "core/function_codec.hpp"
#include "provider/local/functions.hpp"

// What the buckets say of the functions, and when that is known well enough to act on it.
namespace sluice::provider {

void functions::on_spec(const kv_entry& change)
{
    if (stopping_)
        return;
    if (const auto* fixed = find_static(change.key); fixed && begun_ && change.erased)
        return write_static(*fixed, nullptr);
    if (change.erased) {
        static_specs_.erase(change.key);
        if (const auto at = entries_.find(change.key); at != entries_.end()) {
            at->second.wanted = false;
            events_.info("function removed function={}", at->second.name.full());
        }
        return schedule(change.key);
    }
    auto spec = core::decode_function(change.value);
    if (spec && spec->name.key() != change.key)
        spec = core::field_error{"name", "is another function's, " + spec->name.full()};
    if (!spec)
        return pass_over(change.key, spec.error());
    take_spec(*spec);
}

// The function is there, though not how it is to run: what runs, goes on.
void functions::pass_over(const std::string& key, const core::field_error& wrong)
{
    events_.error("function passed over key={} field={} reason=\"{}\"", key, wrong.field, wrong.message);
    const auto name = function_of_key(key);
    if (!name || find_static(key))
        return;
    auto& of = entries_[key];
    of.name = *name;
    of.wanted = true;
    of.refused = "its stored value cannot be read: " + wrong.field + ' ' + wrong.message;
    schedule(key);
}

void functions::take_spec(const function_spec& spec)
{
    const auto key = spec.name.key();
    if (!spec.static_url.empty())
        static_specs_[key] = spec;
    else
        static_specs_.erase(key);
    if (const auto* fixed = find_static(key)) {
        if (spec.static_url.empty())
            events_.warn("deployed function replaced by the static endpoint of its name; deploy it again when that is gone function={}",
                         spec.name.full());
        if (begun_)
            write_static(*fixed, &spec);
        return;
    }
    if (!spec.static_url.empty())
        return; // no operator names it any more: removed once everything is read
    auto& of = entries_[key];
    of.name = spec.name;
    of.wanted = true;
    auto plan = core::plan_replicas(spec);
    of.refused.clear();
    if (!plan) { // what runs, goes on
        of.refused = plan.error().field + ' ' + plan.error().message;
        events_.error("function cannot be run function={} field={} reason=\"{}\"", spec.name.full(), plan.error().field,
                      plan.error().message);
    } else {
        if (const auto& wrong = plan->wrong_label)
            events_.warn("label passed over function={} label={} reason=\"{}\"", spec.name.full(), wrong->field, wrong->message);
        if (!of.plan || of.plan->spec_hash != plan->spec_hash) {
            of.failures = 0;
            of.failure.clear();
            of.start_not_before.reset();
        }
        of.plan = std::move(*plan);
    }
    schedule(key);
}

void functions::on_found_endpoints(const kv_entry& change)
{
    if (!begun_ && !change.erased)
        publisher_.found(change.key, change.value);
}

void functions::begin_if_current()
{
    if (begun_ || stopping_ || !specs_current_ || !endpoints_current_)
        return;
    for (const auto& [key, each] : entries_)
        for (const auto& runs : each.replicas)
            if (!runs->asked_once())
                return;
    begun_ = true;
    remove_strangers();
    for (const auto& fixed : statics_) {
        const auto present = static_specs_.find(fixed.name.key());
        write_static(fixed, present == static_specs_.end() ? nullptr : &present->second);
    }
    for (const auto& [key, each] : entries_)
        schedule(key);
    loop_.post([this, here = here_] {
        if (!*here)
            return;
        found_endpoints_.reset();
        if (settled_)
            std::exchange(settled_, nullptr)();
    });
}

// Endpoints of functions that were removed while no provider ran, and static functions that no operator names any more.
void functions::remove_strangers()
{
    for (const auto& key : publisher_.keys())
        if (!entries_.contains(key) && !find_static(key))
            publisher_.erase(key);
    for (const auto& [key, spec] : static_specs_)
        if (!find_static(key)) {
            events_.info("static function removed function={}", spec.name.full());
            buckets_.functions.erase(key, [](auto) {});
        }
}

}
