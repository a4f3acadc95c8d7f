#pragma once
#include "core/directory.hpp"
#include "core/replica_plan.hpp"
#include "gateway/call.hpp"
#include "gateway/mirror_wait.hpp"
#include "sluice/key_value.hpp"

namespace sluice::gateway {

// OpenFaaS's REST API for functions: what is deployed is what the functions bucket holds; a provider that watches it does the rest. Reads
// come from the mirror; a change is answered once the mirror has it. Functions of an operator's configuration (static endpoints)
// cannot be changed here. Loop thread only; everything given to the constructor outlives it.
class functions_api {
public:
    functions_api(loop& on, core::directory& known, key_value& functions, key_value& namespaces, function_meters& counted,
                  std::uint32_t replicas_max);

    void list(const call& from);
    void show(const call& from);
    void create(const call& from);  // POST: 500 where it exists, as OpenFaaS CE
    void replace(const call& from); // PUT: 404 where it does not, which faas-cli relies on
    void remove(const call& from);
    void close() { written_.close(); }

private:
    void keep_if_space_exists(const call& from, const function_name& name, const mirror_wait::ticket_ptr& seen);
    void replace_stored(const call& from, function_spec spec, const kv_entry& stored);
    void remove_stored(const call& from, const function_name& name, const kv_entry& stored);

    core::directory& known_;
    key_value& functions_;
    key_value& namespaces_;
    function_meters& counted_;
    core::deployment_bounds bounds_;
    mirror_wait written_;
};

}
