#include "provider/local/provider.hpp"

#include "adapters/asio/loop.hpp"
#include "adapters/http/status_pages.hpp"
#include "adapters/log/log.hpp"
#include "adapters/metrics/metrics.hpp"
#include "adapters/nats/run_role.hpp"
#include "adapters/nats/store_health.hpp"
#include "adapters/nats/stores.hpp"
#include "adapters/process/files.hpp"
#include "core/option_checks.hpp"
#include "core/replica_plan.hpp"
#include "provider/local/functions.hpp"
#include "provider/local/state_file.hpp"
#include "sluice/wire.hpp"

#include <functional>
#include <optional>
#include <utility>

namespace sluice::provider {

namespace {

using std::chrono::milliseconds;

// The role from its start to its end. Loop thread only.
class role {
public:
    // Throws std::exception when the state folder is in use.
    role(loop& on, nats::connection& store, const options& given, logger& events)
        : loop_(on),
          nats_(store),
          given_(given),
          events_(events),
          state_(given.state_folder),
          pages_(
              on, [this] { return meters_.text(); }, [this] { return store_health_ ? store_health_->illness() : std::string("starting"); })
    {
        pages_.listen(given.metrics_listen);
        nats_.on_change([this](bool up) { up ? events_.info("nats connected") : events_.warn("nats disconnected"); });
    }

    void start()
    {
        nats::stores_wanted wanted;
        wanted.buckets = {wire::functions_bucket, wire::endpoints_bucket};
        wanted.replicas = given_.replicas;
        nats::open_stores(nats_, std::move(wanted), [this](boost::system::result<nats::stores, std::string> opened) {
            if (stopping_)
                return;
            if (opened)
                return begin(std::move(*opened));
            failure_ = opened.error();
            close();
        });
    }

    void stop()
    {
        const bool again = std::exchange(stopping_, true);
        events_.info("stopping again={}", again);
        if (!functions_)
            return close();
        functions_->stop([this] { close(); });
    }

    const std::string& failure() const noexcept { return failure_; }
    void on_closed(std::function<void()> closed) { on_closed_ = std::move(closed); }

private:
    void begin(nats::stores opened)
    {
        stores_ = std::move(opened);
        store_health_.emplace(loop_, nats_, stores_.streams, events_);
        try {
            functions_.emplace(loop_, given_, functions::ports{*stores_.functions, *stores_.endpoints}, state_, events_, meters_);
            functions_->start([this] { ready(); });
        } catch (const std::exception& error) {
            failure_ = error.what();
            close();
        }
    }

    void ready()
    {
        events_.info("ready replicas={}", functions_->running());
        process::write_ready_file(given_.ready_file, pages_.host(), pages_.port());
    }

    void close()
    {
        if (std::exchange(closed_, true))
            return;
        stopping_ = true;
        pages_.close();
        store_health_.reset();
        loop_.post([this] { // what called us may belong to what goes now
            functions_.reset();
            stores_ = {};
            on_closed_();
        });
    }

    loop& loop_;
    nats::connection& nats_;
    const options& given_;
    logger& events_;
    state_file state_;
    metrics::registry meters_;
    http::status_pages pages_;
    nats::stores stores_;
    std::optional<nats::store_health> store_health_;
    std::optional<functions> functions_;
    bool stopping_ = false, closed_ = false;
    std::string failure_;
    std::function<void()> on_closed_;
};

}

void add_to(config::table& table, options& into)
{
    nats::add_to(table, into.nats);
    table.choice("log_level", "what is logged", into.log_level, {"debug", "info", "warn", "error"});
    table.text("ready_file", "written once every function is known, with host:port of metrics_listen", into.ready_file);
    table.text("metrics_listen", "host:port of /metrics and /healthz; port 0: any; empty: none", into.metrics_listen,
               core::check_listen_address);
    nats::add_replicas_to(table, into.replicas);
    table.text("state_folder", "where replicas are noted down and logs are kept; required", into.state_folder);
    table.text("work_folder", "where functions without a folder of their own get a fresh one; empty: below the system's temporary folder",
               into.work_folder);
    table.text("hidden_folder", "seen empty by functions where we do not run as root; empty: state_folder", into.hidden_folder);
    table.list("static_function", "NAME[.NS]=http://HOST:PORT[,max_inflight=N]: an endpoint whose process is not ours",
               into.static_function, core::check_static_function);
    table.number("function_uid", "user of functions, where we run as root; 0: root", into.function_uid, 0, 0xfffffffeU);
    table.number("function_gid", "group of functions; 0: the number of function_uid", into.function_gid, 0, 0xfffffffeU);
    table.number("replicas_max", "replicas of all functions together", into.replicas_max, 1, 100'000);
    table.number("connections_max", "connections to one replica at once", into.connections_max, 1, 1'000'000);
    table.bytes("body_bytes_max", "largest body of a call that a replica takes", into.body_bytes_max, 0, std::uint64_t{4} << 30);
    table.bytes("body_bytes_budget", "bodies of all calls together that a replica holds; above it 503; at least body_bytes_max",
                into.body_bytes_budget, 0, std::uint64_t{1} << 40);
    table.bytes("answer_bytes_max", "largest answer of a function; above it the rest is counted and dropped", into.answer_bytes_max, 1,
                std::uint64_t{4} << 30);
    table.bytes("log_bytes_max", "log of one replica; its older half is dropped there", into.log_bytes_max, 4096, std::uint64_t{1} << 30);
    table.duration("start_deadline", "a replica that is not ready by then is started anew", into.start_deadline, milliseconds(100),
                   std::chrono::hours(1));
    table.duration("slow_start_after",
                   "a replica that is not ready by then is told in its function's status, though it may still become so",
                   into.slow_start_after, milliseconds(0), std::chrono::hours(1));
    table.duration("leave_wait", "from taking a replica out of the endpoints to its SIGTERM", into.leave_wait, milliseconds(0),
                   std::chrono::minutes(5));
    table.duration("drain_deadline", "how long a replica's running calls may take once it is to stop", into.drain_deadline, milliseconds(1),
                   std::chrono::hours(24));
    table.duration("restart_wait_min", "before the first restart of a function's replica, doubling with each failure",
                   into.restart_wait_min, milliseconds(1), std::chrono::hours(1));
    table.duration("restart_wait_max", "longest wait before a restart", into.restart_wait_max, milliseconds(1), std::chrono::hours(24));
    table.flag("keep_replicas", "replicas go on running when the provider is stopped", into.keep_replicas);
}

void check(const options& given)
{
    nats::check(given.nats);
    core::parse_static_functions(given.static_function);
}

int run(const options& given)
{
    if (given.state_folder.empty())
        throw config::error("state_folder: must be set");
    return nats::run_role<role>("provider", given);
}

}
