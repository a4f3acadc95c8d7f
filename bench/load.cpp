// Closed-loop load on one URL of a loopback HTTP server: exactly --count POSTs of --bytes over --connections keep-alive connections, one
// thread; with --interval-us an open loop instead, one call at each multiple of the interval whatever became of the earlier ones. Bodies
// begin with "RRRRRRRR SSSSSSSS" (run and sequence, hexadecimal), by which bench_responder knows them.
//
//   bench_load --port N --target /async-function/NAME --count N [--connections N] [--bytes N] [--callback URL] [--run N] [--expect 202]
//              [--interval-us N] [--deadline-s N] [--sends 1]
//
// Prints one line of JSON: instants are CLOCK_MONOTONIC nanoseconds; `sends_ns` (with --sends 1) has the instant just before each call's
// first byte was handed to the kernel. Exit code 1 when any call was not answered as expected within the deadline.
#include "wire.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <vector>

namespace {

struct plan {
    std::uint16_t port = 0;
    std::uint32_t calls = 0;
    std::uint32_t connections = 0;
    std::uint32_t expected_status = 202;
    std::uint32_t run = 0;
    std::int64_t interval_ns = 0; // 0: closed loop
    std::int64_t deadline_ns = 0; // from the first send to the end of the program
    std::string request;          // with run and sequence still blank
    std::size_t ids_at = 0;
};

plan read_plan(int count, char** arguments)
{
    auto number = [&](std::string_view name, std::int64_t fallback) { return bench::option_number(count, arguments, name, fallback); };
    plan made;
    made.port = std::uint16_t(number("--port", 0));
    made.calls = std::uint32_t(number("--count", 1));
    made.connections = std::uint32_t(std::max<std::int64_t>(1, number("--connections", 64)));
    made.expected_status = std::uint32_t(number("--expect", 202));
    made.run = std::uint32_t(number("--run", 0));
    made.interval_ns = number("--interval-us", 0) * 1000;
    made.deadline_ns = number("--deadline-s", 60) * 1'000'000'000;
    auto bytes = std::size_t(std::max<std::int64_t>(17, number("--bytes", 256)));
    auto callback = bench::option(count, arguments, "--callback", "");
    made.request = "POST " + bench::option(count, arguments, "--target", "/") + " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(made.port)
        + "\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(bytes) + "\r\n";
    if (!callback.empty())
        made.request += "X-Callback-Url: " + callback + "\r\n";
    made.request += "\r\n";
    made.ids_at = made.request.size();
    made.request += std::string(17, ' ') + std::string(bytes - 17, 'x');
    return made;
}

struct connection {
    int fd = -1;
    bool busy = false;
    std::uint32_t sequence = 0;
    std::string in;
};

class load {
public:
    explicit load(const plan& work) : plan_(work), connections_(work.connections), sent_ns_(work.calls), answered_ns_(work.calls)
    {
        epoll_ = epoll_create1(EPOLL_CLOEXEC);
        if (epoll_ < 0)
            bench::fail("epoll_create1");
        for (std::size_t i = 0; i < connections_.size(); ++i) {
            open(i);
            free_.push_back(i);
        }
    }

    void run()
    {
        started_ns_ = bench::now_ns();
        if (plan_.interval_ns > 0)
            start_timer();
        else
            send_all_due();
        std::vector<epoll_event> events(512);
        while (finished_ < plan_.calls) {
            auto left_ms = (started_ns_ + plan_.deadline_ns - bench::now_ns()) / 1'000'000;
            if (left_ms <= 0)
                return;
            int count = epoll_wait(epoll_, events.data(), int(events.size()), int(left_ms) + 1);
            if (count < 0 && errno != EINTR)
                bench::fail("epoll_wait");
            for (int i = 0; i < count; ++i)
                handle(events[std::size_t(i)].data.u64);
        }
    }

    bool report(bool with_sends) const
    {
        std::vector<std::int64_t> times;
        std::int64_t last = 0;
        for (std::uint32_t i = 0; i < plan_.calls; ++i) {
            if (answered_ns_[i] == 0)
                continue;
            times.push_back(answered_ns_[i] - sent_ns_[i]);
            last = std::max(last, answered_ns_[i]);
        }
        std::sort(times.begin(), times.end());
        auto at = [&](double share) {
            if (times.empty())
                return 0.0;
            return double(times[std::min(times.size() - 1, std::size_t(share * double(times.size())))]) / 1e6;
        };
        std::printf("{\"calls\":%u,\"accepted\":%zu,\"unanswered\":%u,\"broken\":%u,\"reconnects\":%u,\"late\":%u,\"statuses\":{",
                    plan_.calls, times.size(), plan_.calls - finished_, broken_, reconnects_, late_);
        const char* comma = "";
        for (auto [status, number] : statuses_) {
            std::printf("%s\"%u\":%u", comma, status, number);
            comma = ",";
        }
        std::printf("},\"first_send_ns\":%lld,\"last_answer_ns\":%lld,\"p50_ms\":%.4f,\"p99_ms\":%.4f,\"max_ms\":%.4f",
                    static_cast<long long>(first_send_ns_), static_cast<long long>(last), at(0.5), at(0.99), at(1));
        if (with_sends) {
            std::printf(",\"sends_ns\":[");
            for (std::uint32_t i = 0; i < plan_.calls; ++i)
                std::printf("%s%lld", i ? "," : "", static_cast<long long>(sent_ns_[i]));
            std::printf("]");
        }
        std::printf("}\n");
        return times.size() == plan_.calls;
    }

private:
    static constexpr std::uint64_t timer_key = ~std::uint64_t(0);

    void watch(int fd, std::uint64_t key)
    {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u64 = key;
        if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0)
            bench::fail("epoll_ctl");
    }

    void open(std::size_t index)
    {
        connections_[index].fd = bench::connect_loopback(plan_.port);
        connections_[index].in.clear();
        watch(connections_[index].fd, index);
    }

    void start_timer()
    {
        timer_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        if (timer_ < 0)
            bench::fail("timerfd_create");
        itimerspec due{};
        due.it_interval.tv_sec = plan_.interval_ns / 1'000'000'000;
        due.it_interval.tv_nsec = plan_.interval_ns % 1'000'000'000;
        due.it_value = due.it_interval;
        timerfd_settime(timer_, 0, &due, nullptr);
        watch(timer_, timer_key);
    }

    void handle(std::uint64_t key)
    {
        if (key == timer_key) {
            std::uint64_t times = 0;
            if (::read(timer_, &times, sizeof times) == sizeof times)
                due_ = std::uint32_t(std::min<std::uint64_t>(plan_.calls, due_ + times));
            if (due_ - next_ > free_.size())
                late_ += std::uint32_t(due_ - next_ - free_.size());
        } else
            receive(std::size_t(key));
        send_all_due();
    }

    // A closed loop has everything due at once; its pace are the free connections.
    void send_all_due()
    {
        auto until = plan_.interval_ns > 0 ? due_ : plan_.calls;
        while (next_ < until && !free_.empty()) {
            auto index = free_.back();
            free_.pop_back();
            send_call(index, next_++);
        }
    }

    void send_call(std::size_t index, std::uint32_t sequence)
    {
        char ids[18];
        std::snprintf(ids, sizeof ids, "%08x %08x", plan_.run, sequence);
        plan_.request.replace(plan_.ids_at, 17, ids, 17);
        auto& to = connections_[index];
        to.busy = true;
        to.sequence = sequence;
        sent_ns_[sequence] = bench::now_ns();
        if (first_send_ns_ == 0)
            first_send_ns_ = sent_ns_[sequence];
        // The socket's buffer is empty, since the previous answer came, and holds many requests: a short write is a broken connection.
        if (send(to.fd, plan_.request.data(), plan_.request.size(), MSG_NOSIGNAL) != ssize_t(plan_.request.size()))
            lost(index);
    }

    void receive(std::size_t index)
    {
        auto& from = connections_[index];
        char buffer[8 * 1024];
        auto size = recv(from.fd, buffer, sizeof buffer, 0);
        if (size < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (size <= 0)
            return lost(index);
        from.in.append(buffer, std::size_t(size));
        auto answer = bench::first_message(from.in);
        if (!answer)
            return;
        if (!from.busy || answer->size != from.in.size())
            throw std::runtime_error("an answer that nobody asked for");
        auto status = bench::number<std::uint32_t>(answer->start_line.substr(9, 3)).value_or(0);
        ++statuses_[status];
        if (status == plan_.expected_status)
            answered_ns_[from.sequence] = bench::now_ns();
        from.in.clear();
        from.busy = false;
        ++finished_;
        free_.push_back(index);
    }

    // A server may close an idle connection; one with a call on it costs that call, whose fate is unknown.
    void lost(std::size_t index)
    {
        auto& from = connections_[index];
        close(from.fd);
        if (from.busy) {
            ++broken_;
            ++finished_;
            from.busy = false;
            free_.push_back(index);
        }
        if (++reconnects_ > plan_.connections * 10)
            throw std::runtime_error("the server keeps closing connections");
        open(index);
    }

    plan plan_;
    int epoll_ = -1;
    int timer_ = -1;
    std::vector<connection> connections_;
    std::vector<std::size_t> free_;
    std::vector<std::int64_t> sent_ns_;     // by sequence
    std::vector<std::int64_t> answered_ns_; // by sequence; 0: not as expected
    std::map<std::uint32_t, std::uint32_t> statuses_;
    std::int64_t started_ns_ = 0;
    std::int64_t first_send_ns_ = 0;
    std::uint32_t next_ = 0;     // sequence to send
    std::uint32_t due_ = 0;      // sequences below are due (open loop)
    std::uint32_t finished_ = 0; // answered or broken
    std::uint32_t broken_ = 0;
    std::uint32_t reconnects_ = 0;
    std::uint32_t late_ = 0; // due calls that found no free connection
};

}

int main(int count, char** arguments)
{
    try {
        load work(read_plan(count, arguments));
        work.run();
        return work.report(bench::option(count, arguments, "--sends", "0") == "1") ? 0 : 1;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "bench_load: %s\n", error.what());
        return 2;
    }
}
