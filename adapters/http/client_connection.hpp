#pragma once
#include "adapters/http/client.hpp"
#include "adapters/http/response_reader.hpp"

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/wait_traits.hpp>

#include <array>
#include <chrono>
#include <optional>
#include <unordered_map>
#include <vector>

// The inside of the client: one connection to a peer, and what all of them share. Only client.cpp and client_connection.cpp include
// this. Loop thread only.
namespace sluice::http {

class client_connection;

struct peer_address {
    std::string host;
    std::uint16_t port = 0;
};
struct peer_view {
    std::string_view host;
    std::uint16_t port = 0;
    peer_view(std::string_view h, std::uint16_t p) : host(h), port(p) {}
    peer_view(const peer_address& a) : host(a.host), port(a.port) {}
};
struct peer_hash {
    using is_transparent = void;
    std::size_t operator()(peer_view v) const noexcept { return std::hash<std::string_view>{}(v.host) * 31 + v.port; }
};
struct peer_equal {
    using is_transparent = void;
    bool operator()(peer_view a, peer_view b) const noexcept { return a.port == b.port && a.host == b.host; }
};

// One call on its way: what is needed to send it, perhaps again, and to answer.
struct running_call {
    client::call_id id = 0;
    client_request request;
    std::function<void(outcome)> done;
    std::chrono::steady_clock::time_point started;
    bool sent_before = false; // on a pooled connection that turned out to be dead
};

struct client_core : std::enable_shared_from_this<client_core> {
    using steady = std::chrono::steady_clock;
    using executor = boost::asio::io_context::executor_type;
    using socket_type = boost::asio::basic_stream_socket<boost::asio::ip::tcp, executor>;
    using timer_type = boost::asio::basic_waitable_timer<steady, boost::asio::wait_traits<steady>, executor>;

    struct bucket {
        peer_address of;
        std::size_t open = 0;
        std::vector<std::shared_ptr<client_connection>> idle; // the last one used is used first
    };

    client_core(loop& on, client_options with);

    client::call_id start(client_request request, std::function<void(outcome)> done);
    void send(running_call call, bool fresh); // on an idle connection, or a new one
    void settle_later(running_call call, outcome_kind kind, std::string reason);
    void cancel(client::call_id id);
    void close(bool tell);

    bucket& bucket_of(const client_request& request);
    void add(std::shared_ptr<client_connection> made);
    void remove(client_connection& gone); // from the list of all, and its bucket
    client::call_id take_slot();
    void assign_slot(client::call_id id, client_connection* on);
    void free_slot(client::call_id id);
    void sweep_by(steady::time_point deadline);
    void sweep();

    // Calls by id: the low half is the place here, the high half tells a later call in the same place.
    struct slot {
        std::uint32_t generation = 1;
        client_connection* on = nullptr; // null: answered already, the answer is on its way
    };

    boost::asio::io_context& context_;
    client_options options_;
    timer_type sweep_timer_;
    std::unordered_map<peer_address, bucket, peer_hash, peer_equal> buckets_;
    std::vector<std::shared_ptr<client_connection>> connections_; // all
    std::vector<slot> slots_;
    std::vector<std::uint32_t> free_slots_;
    steady::time_point sweep_at_ = steady::time_point::max();
    std::array<char, 64 * 1024> scratch_; // what was just read, of whichever connection
    std::size_t in_flight_ = 0;
    bool closed_ = false;
    bool destroyed_ = false;
};

// Connects, sends one call at a time, reads its answer, waits for the next one. A read wait is always under way once connected, so that
// a peer that closes an idle connection is noticed without asking.
class client_connection : public std::enable_shared_from_this<client_connection> {
public:
    client_connection(std::shared_ptr<client_core> of, client_core::bucket& in);

    void connect(running_call call);
    bool alive(); // nothing has come on an idle connection, not even its end
    void send(running_call call);
    void cancel();
    void expire(client_core::steady::time_point now);
    void close();              // without a word to the call
    void drop_call(bool tell); // then closes

    std::size_t index_ = 0; // in client_core::connections_
    client_core::bucket* bucket_;
    client_core::steady::time_point deadline_;

private:
    enum class phase { connecting, sending, waiting, idle, closed };

    void on_connected();
    void arm_read();
    void on_readable();
    void input(std::string_view bytes);
    void on_end(const std::string& why);
    void write();
    void write_failed(const std::string& why);
    void answered(bool reusable);
    void answered_so_far(); // its head has come, and only the status counts
    void settle(outcome result, bool reusable);
    void fail(outcome_kind kind, std::string reason);
    void fail_later(outcome_kind kind, std::string reason);
    void send_again();
    void build_head();

    std::shared_ptr<client_core> core_; // null once closed
    client_core::socket_type socket_;
    std::optional<running_call> call_;
    response_reader reader_;
    std::string out_;
    std::string held_;        // read, not yet understood
    byte_share share_;        // of the answers' budget
    std::string_view body_;   // of the request, not copied
    std::size_t written_ = 0; // of out_ and body_ together
    phase phase_ = phase::connecting;
    bool reading_ = false;
    bool used_before_ = false;  // the call under way is not the first
    bool write_broken_ = false; // the peer takes no more; it may have answered
};

}
