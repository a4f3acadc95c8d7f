#include "gateway/stores.hpp"

#include "core/layout.hpp"
#include "sluice/wire.hpp"

namespace sluice::gateway {

namespace {

// Lives in the callbacks of what is still being opened.
struct opening : std::enable_shared_from_this<opening> {
    nats::connection& on;
    options with;
    std::function<void(boost::system::result<stores, std::string>)> done;
    stores opened;
    std::size_t to_open = 0;

    opening(nats::connection& server, const options& wanted, std::function<void(boost::system::result<stores, std::string>)> then)
        : on(server), with(wanted), done(std::move(then))
    {}

    template <class Port> auto take(std::string name, std::unique_ptr<Port>& into, void (opening::*all_open)())
    {
        return [self = shared_from_this(), name = std::move(name), &into, all_open](boost::system::result<std::unique_ptr<Port>> port) {
            if (!self->done)
                return; // something else failed before
            if (!port)
                return std::exchange(self->done, nullptr)(name + " cannot be opened: " + port.error().message());
            into = std::move(*port);
            if (--self->to_open == 0)
                (self.get()->*all_open)();
        };
    }

    void open_bucket(std::string_view name, std::unique_ptr<key_value>& into)
    {
        nats::stream_options bucket;
        bucket.replicas = static_cast<int>(with.replicas);
        on.open_bucket(std::string(name), bucket, take("bucket " + std::string(name), into, &opening::agree));
    }

    void start()
    {
        to_open = 4;
        open_bucket(wire::functions_bucket, opened.functions);
        open_bucket(wire::endpoints_bucket, opened.endpoints);
        open_bucket(wire::namespaces_bucket, opened.namespaces);
        open_bucket(wire::cluster_bucket, opened.cluster);
    }

    void agree()
    {
        core::agree_on_layout(*opened.cluster, with.partitions,
                              [self = shared_from_this()](boost::system::result<std::uint32_t, std::string> partitions) {
                                  if (!partitions)
                                      return std::exchange(self->done, nullptr)(partitions.error());
                                  self->open_logs(*partitions);
                              });
    }

    void open_logs(std::uint32_t partitions)
    {
        nats::stream_options log;
        log.bytes_max = with.log_bytes_max;
        log.replicas = static_cast<int>(with.replicas);
        to_open = partitions;
        opened.logs.resize(partitions);
        for (std::uint32_t p = 0; p < partitions; ++p) {
            auto stream = wire::log_stream(wire::default_queue, p);
            on.open_log(stream, wire::log_subject(wire::default_queue, p), log, take("stream " + stream, opened.logs[p], &opening::finish));
        }
    }

    void finish() { std::exchange(done, nullptr)(std::move(opened)); }
};

}

void open_stores(nats::connection& on, const options& with, std::function<void(boost::system::result<stores, std::string>)> done)
{
    std::make_shared<opening>(on, with, std::move(done))->start();
}

}
