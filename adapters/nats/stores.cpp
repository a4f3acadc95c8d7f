#include "adapters/nats/stores.hpp"

#include "core/layout.hpp"
#include "sluice/wire.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

namespace sluice::nats {

namespace {

// What KV buckets have that other tools make (NATS ADR-8).
constexpr std::chrono::minutes bucket_duplicate_window{2};

constexpr std::array<std::pair<std::string_view, std::unique_ptr<key_value> stores::*>, 5> known_buckets{{
    {wire::functions_bucket, &stores::functions},
    {wire::endpoints_bucket, &stores::endpoints},
    {wire::namespaces_bucket, &stores::namespaces},
    {wire::leases_bucket, &stores::leases},
    {wire::cluster_bucket, &stores::cluster},
}};

// Lives in the callbacks of what is still being opened.
struct opening : std::enable_shared_from_this<opening> {
    connection& on;
    stores_wanted with;
    std::function<void(boost::system::result<stores, std::string>)> done;
    stores opened;
    std::size_t to_open = 0;

    opening(connection& server, stores_wanted wanted, std::function<void(boost::system::result<stores, std::string>)> then)
        : on(server), with(std::move(wanted)), done(std::move(then))
    {}

    static std::string why(const boost::system::error_code& failure)
    {
        if (failure == log_errc::full)
            return "the server's store has no room for it; its size is set aside when it is made (log_bytes_max, journal_bytes_max)";
        return failure.message();
    }

    bool wants_partitions() const { return with.logs || with.journals; }

    template <class Port> auto take(std::string name, std::unique_ptr<Port>& into, void (opening::*all_open)())
    {
        return [self = shared_from_this(), name = std::move(name), &into, all_open](boost::system::result<std::unique_ptr<Port>> port) {
            if (!self->done)
                return; // something else failed before
            if (!port)
                return std::exchange(self->done, nullptr)(name + " cannot be opened: " + why(port.error()));
            into = std::move(*port);
            if (--self->to_open == 0)
                (self.get()->*all_open)();
        };
    }

    void start()
    {
        if (wants_partitions() && std::ranges::find(with.buckets, wire::cluster_bucket) == with.buckets.end())
            with.buckets.push_back(wire::cluster_bucket);
        assert(!with.buckets.empty());
        stream_options settings;
        settings.replicas = static_cast<int>(with.replicas);
        settings.duplicate_window = bucket_duplicate_window;
        to_open = with.buckets.size();
        for (const auto name : with.buckets) {
            const auto* known = std::ranges::find(known_buckets, name, [](const auto& each) { return each.first; });
            assert(known != known_buckets.end());
            opened.streams.push_back("KV_" + std::string(name));
            on.open_bucket(std::string(name), settings, take("bucket " + std::string(name), opened.*known->second, &opening::agree));
        }
    }

    void agree()
    {
        if (!wants_partitions())
            return finish();
        core::agree_on_layout(*opened.cluster, with.partitions,
                              [self = shared_from_this()](boost::system::result<std::uint32_t, std::string> partitions) {
                                  if (!partitions)
                                      return std::exchange(self->done, nullptr)(partitions.error());
                                  self->open_partitions(*partitions);
                              });
    }

    void open_partitions(std::uint32_t partitions)
    {
        opened.logs.resize(with.logs ? partitions : 0);
        opened.journals.resize(with.journals ? partitions : 0);
        to_open = opened.logs.size() + opened.journals.size();
        for (std::uint32_t p = 0; p < opened.logs.size(); ++p)
            open_stream(wire::log_stream(wire::default_queue, p), wire::log_subject(wire::default_queue, p), with.log_bytes_max,
                        opened.logs[p]);
        for (std::uint32_t p = 0; p < opened.journals.size(); ++p)
            open_stream(wire::journal_stream(wire::default_queue, p), wire::journal_subject(wire::default_queue, p), with.journal_bytes_max,
                        opened.journals[p]);
    }

    void open_stream(const std::string& name, std::string subject, std::uint64_t bytes_max, std::unique_ptr<message_log>& into)
    {
        opened.streams.push_back(name);
        stream_options settings;
        settings.bytes_max = bytes_max;
        settings.replicas = static_cast<int>(with.replicas);
        on.open_log(name, std::move(subject), settings, take("stream " + name, into, &opening::finish));
    }

    void finish() { std::exchange(done, nullptr)(std::move(opened)); }
};

}

void add_replicas_to(sluice::config::table& table, std::uint32_t& into)
{
    table.number("replicas", "of each bucket, log and journal, when it is made", into, 1, 5);
}

void open_stores(connection& on, stores_wanted wanted, std::function<void(boost::system::result<stores, std::string>)> done)
{
    std::make_shared<opening>(on, std::move(wanted), std::move(done))->start();
}

}
