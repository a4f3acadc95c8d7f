// The function of the benches, and the receiver of their callbacks: an HTTP/1.1 keep-alive server with one thread that answers 200 "ok" at
// once. As a function it knows a call by the head of its body, "RRRRRRRR SSSSSSSS" (run and sequence, hexadecimal); as a receiver by
// X-Call-Id. It counts distinct calls and repeated ones, and keeps for each the instant (CLOCK_MONOTONIC) of its first byte.
//
//   bench_responder [--port N] [--control-port N] [--kind function|receiver]
//
// --port: 0 any; not given: $PORT, as a watchdog sets it. --control-port: a second listener, for a bench that cannot know the first. The
// port is printed in the first line. POST /bench/reset?run=R&count=N, GET /bench/count, GET /bench/starts are for the bench.
#include "wire.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace {

using namespace std::literals;

constexpr std::string_view answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
constexpr std::int64_t calls_max = 10'000'000;

struct tally {
    std::uint32_t run = 0;
    std::vector<std::int64_t> starts; // by sequence; 0: not seen
    std::unordered_set<std::string> ids;
    std::int64_t requests = 0; // all but those of the bench itself
    std::int64_t distinct = 0;
    std::int64_t duplicates = 0;
    std::int64_t strays = 0; // of no run, of another one, or without an id
    std::int64_t first_ns = 0;
    std::int64_t last_ns = 0; // of the last distinct call

    void reset(std::uint32_t of_run, std::int64_t count)
    {
        *this = tally{};
        run = of_run;
        starts.assign(std::size_t(count), 0);
        ids.reserve(std::size_t(count));
    }

    void seen(bool is_new, std::int64_t at)
    {
        if (!is_new) {
            ++duplicates;
            return;
        }
        ++distinct;
        if (first_ns == 0)
            first_ns = at;
        last_ns = at;
    }

    void execution(std::string_view body, std::int64_t at)
    {
        ++requests;
        auto of_run = body.size() < 17 ? std::nullopt : bench::number<std::uint32_t>(body.substr(0, 8), 16);
        auto sequence = body.size() < 17 ? std::nullopt : bench::number<std::uint32_t>(body.substr(9, 8), 16);
        if (!of_run || !sequence || *of_run != run || *sequence >= starts.size()) {
            ++strays;
            return;
        }
        bool is_new = starts[*sequence] == 0;
        if (is_new)
            starts[*sequence] = at;
        seen(is_new, at);
    }

    void callback(std::optional<std::string_view> id, std::int64_t at)
    {
        ++requests;
        if (!id)
            ++strays;
        else
            seen(ids.emplace(*id).second, at);
    }
};

std::string text_answer(std::string body)
{
    return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::int64_t query(std::string_view target, std::string_view name)
{
    auto at = target.find(std::string(name) + '=');
    if (at == std::string_view::npos)
        return 0;
    auto text = target.substr(at + name.size() + 1);
    return bench::number<std::int64_t>(text.substr(0, text.find('&'))).value_or(0);
}

std::string control(tally& counts, std::string_view target)
{
    if (target.starts_with("/bench/reset"sv)) {
        auto count = query(target, "count");
        if (count < 0 || count > calls_max)
            return "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        counts.reset(std::uint32_t(query(target, "run")), count);
        return text_answer("{}");
    }
    if (target.starts_with("/bench/starts"sv)) {
        std::string list = "[";
        for (auto at : counts.starts)
            list += (list.size() > 1 ? "," : "") + std::to_string(at);
        return text_answer(list + "]");
    }
    char text[320];
    std::snprintf(text, sizeof text, R"({"requests":%lld,"distinct":%lld,"duplicates":%lld,"strays":%lld,"first_ns":%lld,"last_ns":%lld})",
                  static_cast<long long>(counts.requests), static_cast<long long>(counts.distinct),
                  static_cast<long long>(counts.duplicates), static_cast<long long>(counts.strays), static_cast<long long>(counts.first_ns),
                  static_cast<long long>(counts.last_ns));
    return text_answer(text);
}

struct connection {
    std::string in;
    std::string out;
    std::int64_t first_byte_ns = 0; // of the message that `in` begins with
    bool writing = false;           // EPOLLOUT is asked for
};

class server {
public:
    explicit server(bool is_receiver) : is_receiver_(is_receiver), epoll_(epoll_create1(EPOLL_CLOEXEC))
    {
        if (epoll_ < 0)
            bench::fail("epoll_create1");
    }

    void add_listener(int fd)
    {
        listeners_.push_back(fd);
        watch(EPOLL_CTL_ADD, fd, EPOLLIN);
    }

    [[noreturn]] void run()
    {
        std::vector<epoll_event> events(512);
        for (;;) {
            int count = epoll_wait(epoll_, events.data(), int(events.size()), -1);
            if (count < 0 && errno != EINTR)
                bench::fail("epoll_wait");
            for (int i = 0; i < count; ++i)
                handle(events[std::size_t(i)]);
        }
    }

private:
    void watch(int operation, int fd, std::uint32_t what)
    {
        epoll_event event{};
        event.events = what;
        event.data.fd = fd;
        if (epoll_ctl(epoll_, operation, fd, &event) != 0)
            bench::fail("epoll_ctl");
    }

    void handle(const epoll_event& event)
    {
        int fd = event.data.fd;
        for (int listener : listeners_)
            if (fd == listener)
                return accept_all(listener);
        auto found = connections_.find(fd);
        if (found == connections_.end())
            return;
        bool open = true;
        try {
            if (event.events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                open = read(fd, *found->second);
            if (open)
                open = write(fd, *found->second);
        } catch (const std::exception& error) {
            std::fprintf(stderr, "bench_responder: %s\n", error.what());
            open = false;
        }
        if (!open) {
            close(fd);
            connections_.erase(found);
        }
    }

    void accept_all(int listener)
    {
        for (;;) {
            int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0)
                return;
            bench::no_delay(fd);
            connections_[fd] = std::make_unique<connection>();
            watch(EPOLL_CTL_ADD, fd, EPOLLIN);
        }
    }

    bool read(int fd, connection& from)
    {
        char buffer[16 * 1024];
        auto size = recv(fd, buffer, sizeof buffer, 0);
        if (size == 0)
            return false;
        if (size < 0)
            return errno == EAGAIN || errno == EINTR;
        auto at = bench::now_ns();
        if (from.in.empty())
            from.first_byte_ns = at;
        from.in.append(buffer, std::size_t(size));
        std::string_view rest = from.in;
        while (auto request = bench::first_message(rest)) {
            respond(*request, from);
            rest.remove_prefix(request->size);
            from.first_byte_ns = at;
        }
        from.in.erase(0, from.in.size() - rest.size());
        return true;
    }

    void respond(const bench::message& request, connection& to)
    {
        auto line = request.start_line;
        auto blank = line.find(' ');
        auto target = blank == std::string_view::npos ? ""sv : line.substr(blank + 1);
        target = target.substr(0, target.find(' '));
        if (target.starts_with("/bench/"sv)) {
            to.out += control(counts_, target);
            return;
        }
        if (is_receiver_)
            counts_.callback(bench::field(request.head, "X-Call-Id"), to.first_byte_ns);
        else
            counts_.execution(request.body, to.first_byte_ns);
        to.out += answer;
    }

    bool write(int fd, connection& to)
    {
        if (!to.out.empty()) {
            auto size = send(fd, to.out.data(), to.out.size(), MSG_NOSIGNAL);
            if (size < 0 && errno != EAGAIN && errno != EINTR)
                return false;
            to.out.erase(0, size > 0 ? std::size_t(size) : 0);
        }
        if (to.writing != !to.out.empty()) {
            to.writing = !to.out.empty();
            watch(EPOLL_CTL_MOD, fd, to.writing ? EPOLLIN | EPOLLOUT : EPOLLIN);
        }
        return true;
    }

    bool is_receiver_;
    int epoll_;
    std::vector<int> listeners_;
    std::unordered_map<int, std::unique_ptr<connection>> connections_;
    tally counts_;
};

}

int main(int count, char** arguments)
{
    try {
        // Nothing that a bench starts outlives it, whatever ends it.
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        const char* from_watchdog = std::getenv("PORT");
        auto port = bench::option_number(count, arguments, "--port", from_watchdog ? std::atoi(from_watchdog) : 0);
        server responder(bench::option(count, arguments, "--kind", "function") == "receiver");
        int listener = bench::listen_loopback(std::uint16_t(port));
        responder.add_listener(listener);
        if (auto control_port = bench::option_number(count, arguments, "--control-port", 0))
            responder.add_listener(bench::listen_loopback(std::uint16_t(control_port)));
        std::printf("%u\n", bench::bound_port(listener));
        std::fflush(stdout);
        responder.run();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "bench_responder: %s\n", error.what());
        return 1;
    }
}
