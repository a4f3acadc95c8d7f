#pragma once
#include "adapters/http/request_reader.hpp"
#include "adapters/http/server.hpp"

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/wait_traits.hpp>

#include <array>
#include <chrono>
#include <ctime>
#include <vector>

// The inside of the server: one connection of a client, and what all connections of a server share. Only server.cpp and
// connection.cpp include this. Loop thread only.
namespace sluice::http {

using steady = std::chrono::steady_clock;
using tcp = boost::asio::ip::tcp;
// The concrete executor saves type erasure on each operation.
using executor = boost::asio::io_context::executor_type;
using socket_type = boost::asio::basic_stream_socket<tcp, executor>;
using acceptor_type = boost::asio::basic_socket_acceptor<tcp, executor>;
using timer_type = boost::asio::basic_waitable_timer<steady, boost::asio::wait_traits<steady>, executor>;

class connection;

struct server_core : std::enable_shared_from_this<server_core> {
    server_core(loop& on, server_options with, service& to);

    void open();
    void arm_accept();
    void accept_some();
    void admit(socket_type socket, const tcp::endpoint& peer);
    void arm_tick();
    void tick();
    void add(std::shared_ptr<connection> made);
    void remove(connection& gone);
    std::string_view date();
    void stop_accepting();
    void close();
    // A deadline that is at most two ticks late and never early, without reading the clock.
    steady::time_point after(std::chrono::milliseconds delay) const { return now_ + delay + tick_length_; }

    boost::asio::io_context& context_;
    server_options options_;
    service& handler_;
    std::shared_ptr<byte_budget> bodies_;
    acceptor_type acceptor_;
    timer_type tick_timer_;
    std::chrono::milliseconds tick_length_;
    steady::time_point now_{};
    std::vector<std::shared_ptr<connection>> connections_;
    std::array<char, 64 * 1024> scratch_; // what was just read, of whichever connection
    std::time_t date_second_ = 0;
    std::string date_;
    bool ticking_ = false;
    bool accepting_ = false;     // a wait on the acceptor is under way
    bool accept_paused_ = false; // no descriptors: again at the next tick
    bool stopping_ = false;
    bool closed_ = false;
};

// Reads a request, gives it to the service, writes the answer, and so on: one request at a time, in order. A read wait is under way
// whenever nothing is held back, also while the service works, which is how a client that leaves is noticed.
class connection : public std::enable_shared_from_this<connection> {
public:
    connection(std::shared_ptr<server_core> of, socket_type socket, const tcp::endpoint& peer);

    void start();
    void refuse(unsigned status, std::string reason); // answers, then closes
    void expire(steady::time_point now);
    void stop(); // closes now when idle, else after the answer
    void close();

    std::size_t index_ = 0; // in server_core::connections_

private:
    enum class phase { idle, head, body, handling, writing, lingering, closed };
    struct call;
    friend struct call;

    void arm_read();
    void on_readable();
    void on_gone(bool in_order);
    void input(std::string_view bytes);
    std::size_t step(std::string_view bytes);
    void begin();
    void accept_head();
    void await_body();
    bool charge();
    void keep_pace();
    void dispatch();
    void reply(const http_response& response, std::string body);
    void reply_and_close(http_response response);
    void released(bool replied);
    void write();
    void on_written();
    void proceed();
    void look_for_end();
    void linger();
    void discard(std::size_t bytes);

    std::shared_ptr<server_core> server_; // null once closed
    socket_type socket_;
    std::string peer_;
    std::shared_ptr<call> call_; // its buffers are used again when nobody holds it any more
    std::string held_;           // read, not yet understood: pipelined requests, part of a chunk header
    std::string out_;
    std::string out_body_;
    byte_share out_share_;    // of what the client did not take at once
    std::size_t written_ = 0; // of out_ and out_body_ together
    std::size_t lingered_bytes_ = 0;
    steady::time_point deadline_ = steady::time_point::max();
    steady::time_point body_until_ = steady::time_point::max();
    std::size_t paced_bytes_ = 0; // of the body, when its pace was last looked at
    phase phase_ = phase::idle;
    bool reading_ = false;
    bool in_input_ = false;
    bool close_after_ = false;
    bool peer_gone_ = false;
};

}
