#pragma once

#include "sluice/function.hpp"
#include "sluice/key_value.hpp"
#include <string_view>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice::core {

// What is deployed, as last heard: functions, their endpoints, namespaces. A mirror of three KV buckets, kept by watching them; gateway and
// worker look names up here without any I/O. Loop thread only. A value that cannot be read (a newer version, damage) is reported and keeps
// the last good one.
class directory {
public:
    using report = std::function<void(std::string_view message)>;
    directory(key_value& functions, key_value& endpoints, key_value& namespaces, report on_bad_value);

    // False until each bucket has been read to its end once: until then "not found" is not known.
    bool current() const noexcept;
    // Why "not found" could not be said: not current, or the value that is stored cannot be read and none before it could. Else nothing.
    std::optional<std::string> unknown() const;
    std::optional<std::string> unknown(const function_name& name) const;
    std::optional<std::string> unknown(const std::string& space) const;

    const function_spec* find(const function_name& name) const;
    const function_endpoints* endpoints(const function_name& name) const;
    const namespace_spec* space(const std::string& name) const;                     // the default namespace always exists
    const std::string& tenant_of(const std::string& space) const;                   // the namespace itself where it is unknown
    std::vector<const function_spec*> functions_in(const std::string& space) const; // by name
    std::vector<std::string> spaces() const;                                        // by name, the default one included

    // Called after the mirror, or what unknown() says of the name, changed; several listeners, each for the directory's life.
    void on_function(std::function<void(const function_name&)> changed);
    void on_endpoints(std::function<void(const function_name&)> changed);
    void on_space(std::function<void(const std::string& name)> changed);
    void on_current(std::function<void()> current);

private:
    struct state;
    std::shared_ptr<state> state_;
};

}
