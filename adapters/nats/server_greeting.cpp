#include "adapters/nats/server_greeting.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <memory>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

namespace sluice::nats {

namespace {

constexpr std::size_t greeting_bytes_max = 64 * 1024;
constexpr std::size_t neighbours_max = 16; // each that does not answer costs a deadline

using std::chrono::steady_clock;

// Of what is sent and received from now on; connect() obeys it too.
bool set_deadline(int fd, steady_clock::time_point until)
{
    const auto left = std::chrono::ceil<std::chrono::microseconds>(until - steady_clock::now()).count();
    const timeval limit{left / 1'000'000, left % 1'000'000};
    return left > 0 && ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0
        && ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0;
}

std::string read_line(int fd, steady_clock::time_point until)
{
    std::string text;
    char part[4096];
    while (text.find('\n') == text.npos && text.size() < greeting_bytes_max && set_deadline(fd, until)) {
        const auto count = ::recv(fd, part, sizeof part, 0);
        if (count <= 0)
            return {};
        text.append(part, static_cast<std::size_t>(count));
    }
    text.resize(text.find('\n') == text.npos ? 0 : text.find('\n'));
    return text;
}

server_greeting read_greeting(const std::string& line)
{
    server_greeting read;
    const auto brace = line.find('{');
    boost::system::error_code error;
    const auto info =
        brace == line.npos ? boost::json::value() : boost::json::parse(line.substr(brace), error, {}, {.allow_invalid_utf8 = true});
    const auto* object = error ? nullptr : info.if_object();
    if (const auto* version = object ? object->if_contains("version") : nullptr; version && version->is_string())
        read.version = version->get_string();
    const auto* urls = object ? object->if_contains("connect_urls") : nullptr;
    if (const auto* list = urls ? urls->if_array() : nullptr)
        for (const auto& each : *list)
            if (each.is_string() && read.neighbours.size() < neighbours_max)
                read.neighbours.emplace_back(each.get_string());
    return read;
}

}

server_address address_of(std::string url)
{
    if (const auto scheme = url.find("://"); scheme != url.npos)
        url.erase(0, scheme + 3);
    if (const auto at = url.rfind('@'); at != url.npos)
        url.erase(0, at + 1);
    url.resize(std::min(url.find('/'), url.size()));
    const auto colon = url.rfind(':');
    if (colon == url.npos || url.find(']', colon) != url.npos)
        return {url, "4222"};
    std::string host = url.substr(0, colon);
    if (host.size() > 2 && host.front() == '[')
        host = host.substr(1, host.size() - 2);
    return {host, url.substr(colon + 1)};
}

server_greeting greeting_of(const std::string& url, std::chrono::milliseconds deadline)
{
    const auto where = address_of(url);
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (::getaddrinfo(where.host.c_str(), where.port.c_str(), &hints, &found) != 0)
        return {};
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, ::freeaddrinfo);
    const int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return {};
    const auto until = steady_clock::now() + deadline;
    const bool connected = set_deadline(fd, until) && ::connect(fd, found->ai_addr, found->ai_addrlen) == 0;
    const auto line = connected ? read_line(fd, until) : std::string();
    ::close(fd);
    return read_greeting(line);
}

}
