#pragma once
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

// Prometheus metrics (prometheus-cpp behind it), exposition format 0.0.4. Any thread, but resolve children once and keep them: finding
// one takes a lock, using it does not. A handle made by default does nothing.
namespace sluice::metrics {

using labels = std::vector<std::pair<std::string, std::string>>;

class counter {
public:
    void add(double n = 1);
    struct impl;
    std::shared_ptr<impl> impl_;
};
class gauge {
public:
    void set(double v);
    void add(double n);
    struct impl;
    std::shared_ptr<impl> impl_;
};
class histogram {
public:
    void observe(double v);
    struct impl;
    std::shared_ptr<impl> impl_;
};

class registry {
public:
    registry();
    ~registry();
    // The same name and labels give the same child. A name has one type; its first help stays.
    counter make_counter(const std::string& name, const std::string& help, const labels& with = {});
    gauge make_gauge(const std::string& name, const std::string& help, const labels& with = {});
    // Prometheus's default buckets, seconds.
    histogram make_histogram(const std::string& name, const std::string& help, const labels& with = {});
    // Removes every child that carries this label, e.g. function_name of a removed function. Handles to it still work, unseen by text();
    // made again, the child begins at zero.
    void remove(const std::string& label, const std::string& value);
    std::string text() const;

private:
    struct state;
    std::unique_ptr<state> state_;
};

}
