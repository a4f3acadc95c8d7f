#pragma once
#include "core/directory.hpp"
#include "gateway/call.hpp"
#include "gateway/mirror_wait.hpp"
#include "sluice/key_value.hpp"

namespace sluice::gateway {

// OpenFaaS's REST API for namespaces, over the namespaces bucket. The default namespace always exists; it can be given labels and
// annotations, and not removed. One that still has functions is not removed either. Loop thread only; everything given to the constructor
// outlives it.
class namespaces_api {
public:
    namespaces_api(loop& on, core::directory& known, key_value& namespaces);

    void list(const call& from);
    void show(const call& from);
    void create(const call& from);
    void replace(const call& from);
    void remove(const call& from);
    void close() { written_.close(); }

private:
    void put(const call& from, const namespace_spec& space);

    core::directory& known_;
    key_value& namespaces_;
    mirror_wait written_;
};

}
