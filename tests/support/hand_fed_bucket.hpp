#pragma once
#include "sluice/key_value.hpp"

#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace sluice::test {

// A bucket whose watcher is fed by hand, with values of the test's making, damaged ones too. It stores nothing.
struct hand_fed_bucket final : key_value {
    std::function<void(kv_entry)> on_entry;
    std::function<void()> on_end;
    std::uint64_t revision = 0;

    void get(std::string, std::function<void(result<kv_entry>)>) override {}
    void put(std::string, std::string, std::function<void(result<std::uint64_t>)>) override {}
    void create(std::string, std::string, std::function<void(result<std::uint64_t>)>) override {}
    void update(std::string, std::string, std::uint64_t, std::function<void(result<std::uint64_t>)>) override {}
    void erase(std::string, std::function<void(result<void>)>) override {}
    std::unique_ptr<watcher> watch(std::function<void(kv_entry)> entry, std::function<void()> current) override
    {
        on_entry = std::move(entry);
        on_end = std::move(current);
        return std::make_unique<watcher>();
    }
    void feed(std::string key, std::string value) { on_entry({std::move(key), std::move(value), ++revision, false}); }
    void feed_erased(std::string key) { on_entry({std::move(key), "", ++revision, true}); }
};

}
