#include "queue-worker/status_service.hpp"

namespace sluice::queue_worker {

namespace {

http_response plain(unsigned status, std::string body)
{
    return {status, {{"Content-Type", "text/plain; charset=utf-8"}}, std::move(body)};
}

}

void status_service::handle(http::exchange_ptr call)
{
    const auto path = call->request().path();
    const auto method = call->request().method;
    if (path != "/metrics" && path != "/healthz")
        return call->reply(plain(404, "not found\n"));
    if (method != "GET" && method != "HEAD")
        return call->reply(plain(405, "only GET\n"));
    if (path == "/metrics")
        return call->reply({200, {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}}, metrics_()});
    const auto reason = ill_();
    call->reply(reason.empty() ? plain(200, "OK\n") : plain(503, reason + '\n'));
}

}
