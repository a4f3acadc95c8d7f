#pragma once
#include "adapters/asio/loop.hpp"
#include "core/directory.hpp"
#include "gateway/call.hpp"
#include "gateway/mirror_wait.hpp"
#include "sluice/key_value.hpp"

#include <list>
#include <memory>

namespace sluice::gateway {

// OpenFaaS's REST API for namespaces, over the namespaces bucket. The default namespace always exists; it can be given labels and
// annotations, and not removed. One that still has functions is not removed either. Loop thread only; everything given to the constructor
// outlives it.
class namespaces_api {
public:
    namespaces_api(loop& on, core::directory& known, key_value& namespaces, key_value& functions);

    void list(const call& from);
    void show(const call& from);
    void create(const call& from);
    void replace(const call& from);
    void remove(const call& from);
    void close();

private:
    // Looks into the functions bucket whether a removed namespace has got a function meanwhile.
    struct look {
        explicit look(loop& on) : deadline(on) {}
        std::unique_ptr<key_value::watcher> watcher;
        timer deadline;
        bool found = false, over = false;
    };
    void replace_stored(const call& from, const namespace_spec& space, const kv_entry& stored);
    void put(const call& from, const namespace_spec& space);
    void removed(const call& from, const namespace_spec& space, const mirror_wait::ticket_ptr& seen);
    void looked(const call& from, const namespace_spec& space, const mirror_wait::ticket_ptr& seen, look& at, bool all);

    loop& loop_;
    core::directory& known_;
    key_value& namespaces_;
    key_value& functions_;
    std::list<look> looks_; // those that are over go with the next one
    mirror_wait written_;
};

}
