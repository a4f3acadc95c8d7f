#include "adapters/nats/connection.hpp"

#include "adapters/nats/api.hpp"
#include "adapters/nats/bucket_port.hpp"
#include "adapters/nats/log_port.hpp"
#include "adapters/nats/session.hpp"

#include <utility>

namespace sluice::nats {

struct connection::state {
    std::shared_ptr<session> shared;
};

namespace {

// Asks for a stream, makes it when it is missing, and asks again when somebody else was faster with another configuration.
struct stream_opening {
    using answer = api::result<api::stream_info>;

    std::shared_ptr<session> on;
    std::string stream, config;
    std::function<void(answer)> done;
    int attempts_left = 3;

    static void ask(std::shared_ptr<stream_opening> what)
    {
        call(what, "INFO", {}, [what](const answer& found) {
            if (found || found.error() != log_errc::not_found || what->attempts_left-- == 0)
                return what->done(found);
            make(what);
        });
    }
    static void make(std::shared_ptr<stream_opening> what)
    {
        call(what, "CREATE", what->config, [what](const answer& made) {
            if (made || made.error().category() == log_category() || what->attempts_left == 0)
                return what->done(made);
            ask(what);
        });
    }
    template <class Then>
    static void call(const std::shared_ptr<stream_opening>& what, const std::string& verb, const std::string& payload, Then then)
    {
        what->on->api().send("$JS.API.STREAM." + verb + "." + what->stream, {}, payload, api::deadline,
                             [then = std::move(then)](const api::result<std::string>& text) {
                                 then(text ? api::parse_stream_info(*text) : answer(text.error()));
                             });
    }
};

// Opens a stream of this one subject, and makes the port on it.
template <class Port>
void open_port(std::shared_ptr<session> on, std::string stream, std::string subject, std::string config,
               std::function<std::unique_ptr<Port>()> make, std::function<void(api::result<std::unique_ptr<Port>>)> done)
{
    auto opening = std::make_shared<stream_opening>();
    opening->on = std::move(on);
    opening->stream = std::move(stream);
    opening->config = std::move(config);
    opening->done = [subject = std::move(subject), make = std::move(make),
                     done = std::move(done)](const stream_opening::answer& stream_found) {
        if (!stream_found)
            return done(stream_found.error());
        if (stream_found->subjects.size() != 1 || stream_found->subjects.front() != subject)
            return done(make_error_code(boost::system::errc::file_exists));
        done(make());
    };
    stream_opening::ask(opening);
}

}

connection::connection(loop& on, connection_options options) : state_(std::make_shared<state>())
{
    state_->shared = std::make_shared<session>(on, std::move(options));
    state_->shared->open();
}

connection::~connection() { close(); }

bool connection::connected() const noexcept { return state_->shared->up(); }
std::uint64_t connection::payload_bytes_max() const noexcept { return state_->shared->payload_bytes_max(); }
std::string connection::server_version() const { return state_->shared->server_version(); }
std::uint64_t connection::reconnects() const noexcept { return state_->shared->reconnects(); }
void connection::on_change(std::function<void(bool)> changed) { state_->shared->on_change(std::move(changed)); }
void connection::close() { state_->shared->close(); }

void connection::request(std::string subject, std::string payload, std::chrono::milliseconds deadline,
                         std::function<void(boost::system::result<std::string>)> done)
{
    state_->shared->api().send(subject, {}, payload, deadline, std::move(done));
}

void connection::open_log(std::string stream, std::string subject, stream_options options,
                          std::function<void(boost::system::result<std::unique_ptr<message_log>>)> done)
{
    const auto on = state_->shared;
    auto config = api::log_config(stream, subject, options);
    auto make = [on, stream, subject]() -> std::unique_ptr<message_log> { return std::make_unique<log_port>(on, stream, subject); };
    open_port<message_log>(on, stream, subject, std::move(config), std::move(make), std::move(done));
}

void connection::open_bucket(std::string bucket, stream_options options,
                             std::function<void(boost::system::result<std::unique_ptr<key_value>>)> done)
{
    const auto on = state_->shared;
    auto config = api::bucket_config(bucket, options);
    auto make = [on, bucket]() -> std::unique_ptr<key_value> { return std::make_unique<bucket_port>(on, bucket); };
    open_port<key_value>(on, "KV_" + bucket, "$KV." + bucket + ".>", std::move(config), std::move(make), std::move(done));
}

}
