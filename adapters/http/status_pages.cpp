#include "adapters/http/status_pages.hpp"

#include "core/listen_address.hpp"

#include <utility>

namespace sluice::http {

namespace {

constexpr std::size_t connections_max = 64;

http_response plain(unsigned status, std::string text)
{
    return {status, {{"Content-Type", "text/plain; charset=utf-8"}}, std::move(text)};
}

}

status_pages::status_pages(loop& on, std::function<std::string()> metrics, std::function<std::string()> illness)
    : loop_(on),
      metrics_(std::move(metrics)),
      illness_(std::move(illness)),
      pages_([this](const http_request& asked) { return page(asked); })
{}

void status_pages::listen(const std::string& at)
{
    if (at.empty())
        return;
    auto address = core::parse_listen_address("metrics_listen", at);
    server_options with;
    with.host = host_ = std::move(address.host);
    with.port = address.port;
    with.connections_max = connections_max;
    server_.emplace(loop_, std::move(with), pages_);
}

void status_pages::close()
{
    if (server_)
        server_->close();
}

http_response status_pages::page(const http_request& asked) const
{
    if (asked.method != "GET" && asked.method != "HEAD")
        return plain(405, "only GET\n");
    if (asked.path() == "/metrics")
        return {200, {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}}, metrics_()};
    if (asked.path() != "/healthz")
        return plain(404, "not found\n");
    const auto ill = illness_();
    return ill.empty() ? plain(200, "OK\n") : plain(503, ill + '\n');
}

}
