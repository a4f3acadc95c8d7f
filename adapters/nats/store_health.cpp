#include "adapters/nats/store_health.hpp"

#include "adapters/nats/api.hpp"

#include <utility>

namespace sluice::nats {

store_health::store_health(loop& on, connection& store, std::vector<std::string> streams, logger& log, std::chrono::milliseconds interval)
    : store_(store), streams_(std::move(streams)), log_(log), interval_(interval), next_(on)
{
    ask_next();
}

std::string store_health::illness() const
{
    if (!store_.connected())
        return "no connection to NATS";
    if (!missing_.empty())
        return "stream " + *missing_.begin()
            + " is missing: it was deleted; restored from a backup it is found again, a restart makes an empty one";
    return {};
}

void store_health::ask_next()
{
    next_.after(interval_, [this] { ask_next(); });
    if (streams_.empty() || !store_.connected())
        return;
    const auto& stream = streams_[asked_++ % streams_.size()];
    store_.request("$JS.API.STREAM.INFO." + stream, "", api::deadline,
                   [this, &stream, alive = std::weak_ptr(alive_)](const boost::system::result<std::string>& answer) {
                       if (alive.expired() || !answer)
                           return; // silence says nothing about the stream
                       const auto info = api::parse_stream_info(*answer);
                       if (info || info.error() == log_errc::not_found)
                           heard(stream, !info);
                   });
}

void store_health::heard(const std::string& stream, bool missing)
{
    if (missing && missing_.insert(stream).second)
        log_.error("stream is missing stream={} reason=\"it was deleted while in use\"", stream);
    else if (!missing && missing_.erase(stream) > 0)
        log_.info("stream is there again stream={}", stream);
}

}
