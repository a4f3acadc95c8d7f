#include "adapters/asio/clock.hpp"
#include "core/function_codec.hpp"
#include "core/rfc3339.hpp"
#include "provider/local/functions.hpp"

// Functions that an operator's configuration names: their processes are not ours, so only their spec and endpoint are kept right.
namespace sluice::provider {

const core::static_function* functions::find_static(const std::string& key) const
{
    for (const auto& fixed : statics_)
        if (fixed.name.key() == key)
            return &fixed;
    return nullptr;
}

void functions::write_static(const core::static_function& fixed, const function_spec* present)
{
    const auto key = fixed.name.key();
    if (!present || present->static_url != fixed.url || present->static_max_inflight != fixed.replica.max_inflight) {
        function_spec spec;
        spec.name = fixed.name;
        spec.image = "static";
        spec.static_url = fixed.url;
        spec.static_max_inflight = fixed.replica.max_inflight;
        spec.created_at = core::rfc3339(clock_now().wall);
        buckets_.functions.put(key, core::encode(spec), [this, key, here = here_](key_value::result<std::uint64_t> stored) {
            if (*here && !stored)
                events_.error("static function not written key={} error=\"{}\"", key, stored.error().message());
        });
    }
    publisher_.set(key, core::encode(function_endpoints{fixed.name, 1, {fixed.replica}}));
}

}
