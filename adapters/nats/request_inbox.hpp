#pragma once
#include "adapters/nats/session.hpp"
#include "sluice/message_log.hpp"

#include <boost/system/result.hpp>
#include <deque>

// Requests and their answers: one subscription for many, told apart by a number at the end of the reply subject. Loop thread only.
// Internal to adapters/nats.
//
// Each request is called back once: with its answer, with unavailable (nothing was sent, or nobody received it) or with unknown (its
// deadline passed or the link broke). "No responders" comes without the request's number (nats.c 3.4.1 swallows it), so it is counted: a
// request has one answer at most, hence once as many came as answers are missing, nobody received any of the missing ones. Until that is
// so nothing new is sent, for a moment.
namespace sluice::nats {

template <class T> class request_inbox final : public endpoint, public std::enable_shared_from_this<request_inbox<T>> {
public:
    template <class U> using result = boost::system::result<U>;
    using callback = std::function<void(result<T>)>;
    using parser = result<T> (*)(std::string_view payload);

    request_inbox(session& on, parser parse) : endpoint(session::fresh_inbox() + ".*"), session_(on), parse_(parse) {}

    void send(const std::string& subject, std::span<const header> fields, std::string_view payload, std::chrono::milliseconds deadline,
              callback done);
    // No callback any more.
    void close();
    std::size_t in_flight() const noexcept { return open_; }

private:
    struct slot {
        callback done; // empty: answered
        time_point due;
    };

    void link_up() override;
    void link_down() override;
    void take(natsMsg& message) override;
    void no_responders() override;
    time_point tick(time_point now) override;

    void answer_later(callback done, log_errc what);
    void settle_all(log_errc what);
    void drop_answered();

    session& session_; // outlives its endpoints' use: close() comes first
    parser parse_;
    std::deque<slot> slots_; // by number, from first_
    std::uint64_t first_ = 1;
    std::uint64_t first_on_link_ = 1;
    std::size_t open_ = 0;
    std::size_t unanswered_ = 0;    // of this link, those given up included
    std::size_t no_responders_ = 0; // of this link
    time_point refuse_until_{};
    bool closed_ = false;
};

}
