#pragma once
#include "adapters/asio/loop.hpp"
#include "adapters/http/client.hpp"
#include "adapters/log/log.hpp"
#include "adapters/metrics/metrics.hpp"
#include "core/replica_plan.hpp"
#include "provider/local/endpoint_publisher.hpp"
#include "provider/local/launcher.hpp"
#include "provider/local/provider.hpp"
#include "provider/local/replica.hpp"
#include "provider/local/state_file.hpp"
#include "sluice/key_value.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace sluice::provider {

// The functions of this machine and their replicas. Watches the functions bucket; whenever something changes asks core::reconcile what
// to do, does it, and publishes the endpoints. Nothing is decided before the bucket was read once and every replica that a former
// provider left was asked once, so taking over changes nothing that works. Loop thread only.
class functions {
public:
    struct ports {
        key_value& functions;
        key_value& endpoints;
    };
    functions(loop& on, const options& given, ports buckets, const state_file& state, logger& events, metrics::registry& meters);
    ~functions();

    void start(std::function<void()> settled); // throws std::runtime_error when the state cannot be read
    // Every replica leaves, drains and ends; then calls back. With keep_replicas they stay. A second call kills.
    void stop(std::function<void()> stopped);
    std::size_t running() const noexcept;

private:
    struct entry {
        function_name name;
        std::optional<core::replica_plan> plan; // of the last spec that could be run
        bool wanted = false;                    // false: removed, only its replicas are left
        std::vector<std::unique_ptr<replica>> replicas;
        std::string refused; // why the last spec cannot be run
        std::string failure; // of the last replica that ended or did not start, until all are ready again
        std::uint32_t failures = 0;
        std::uint32_t no_room_for = 0; // replicas beyond replicas_max
        std::optional<mono_time> start_not_before;
        std::unique_ptr<timer> wake;
    };

    void adopt();
    void on_spec(const kv_entry& change);
    void take_spec(const function_spec& spec);
    void pass_over(const std::string& key, const core::field_error& wrong);
    void on_found_endpoints(const kv_entry& change);
    void begin_if_current();
    void remove_strangers();

    void write_static(const core::static_function& wanted, const function_spec* present);
    const core::static_function* find_static(const std::string& key) const;

    void schedule(const std::string& key);
    void settle(const std::string& key);
    void perform(entry& of, const core::reconcile_step& step);
    void note_room(entry& of, std::uint32_t no_room_for);
    void start_replica(entry& of);
    void add_replica(entry& of, core::replica_record record);
    void remove_replica(const std::string& key, const std::string& id, process::exit_status status);
    void clean_up_later(ended_replica of);
    void clean_up_ended();
    void count_failure(entry& of, std::string reason);
    std::optional<function_trouble> trouble_of(const entry& of) const;
    void publish(entry& of);
    static std::uint32_t taking_calls(const entry& of);
    void save() const;
    void finish_stop();

    loop& loop_;
    const options& options_;
    ports buckets_;
    const state_file& state_;
    logger& events_;
    launcher launcher_;
    http::client client_;
    endpoint_publisher publisher_;
    std::vector<core::static_function> statics_;
    metrics::gauge replicas_gauge_;
    metrics::counter starts_, failures_;

    std::map<std::string, entry> entries_;
    std::map<std::string, function_spec> static_specs_; // of the bucket: those with a static_url
    std::set<std::string> dirty_;
    std::vector<ended_replica> ended_; // to be cleaned up after; in the state file until that is done
    std::unique_ptr<key_value::watcher> specs_, found_endpoints_;
    bool specs_current_ = false, endpoints_current_ = false, begun_ = false, stopping_ = false;
    std::function<void()> settled_, stopped_;
    std::unique_ptr<timer> stop_timer_;
    mono_time stop_by_{};
    std::shared_ptr<bool> here_ = std::make_shared<bool>(true);
};

}
