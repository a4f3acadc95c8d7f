#include "adapters/nats/request_inbox.hpp"

#include <charconv>
#include <utility>

namespace sluice::nats {

namespace {

// Deadlines are swept this often: one timer for all requests.
constexpr std::chrono::milliseconds sweep_period{50};
// How long nothing is sent after "no responders" with answers missing, at most.
constexpr std::chrono::milliseconds hold_off{100};

using clock = std::chrono::steady_clock;

}

template <class T>
void request_inbox<T>::send(const std::string& subject, std::span<const header> fields, std::string_view payload,
                            std::chrono::milliseconds deadline, callback done)
{
    const auto now = clock::now();
    if (no_responders_ > 0 && now < refuse_until_)
        return answer_later(std::move(done), log_errc::unavailable);
    const auto number = first_ + slots_.size();
    char reply[128];
    const auto prefix = endpoint::subject().size() - 1;
    endpoint::subject().copy(reply, prefix);
    *std::to_chars(reply + prefix, reply + sizeof reply - 1, number).ptr = '\0';
    switch (session_.send(subject.c_str(), reply, fields, payload)) {
    case send_result::not_connected: return answer_later(std::move(done), log_errc::unavailable);
    case send_result::too_large: return answer_later(std::move(done), log_errc::too_large);
    case send_result::sent: break;
    }
    slots_.push_back({std::move(done), now + deadline});
    ++unanswered_;
    if (open_++ == 0)
        session_.tick_by(now + sweep_period);
}

template <class T> void request_inbox<T>::answer_later(callback done, log_errc what)
{
    session_.post([me = this->weak_from_this(), done = std::move(done), what] {
        const auto self = me.lock();
        if (self && !self->closed_)
            done(what);
    });
}

template <class T> void request_inbox<T>::close()
{
    closed_ = true;
    slots_.clear();
    open_ = 0;
    session_.remove(*this);
}

template <class T> void request_inbox<T>::link_up()
{
    first_on_link_ = first_ + slots_.size();
    unanswered_ = no_responders_ = 0;
}

template <class T> void request_inbox<T>::link_down() { settle_all(log_errc::unknown); }

template <class T> void request_inbox<T>::take(natsMsg& message)
{
    const auto digits = text_of(natsMsg_GetSubject(&message)).substr(endpoint::subject().size() - 1);
    std::uint64_t number = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (number >= first_on_link_ && unanswered_ > 0)
        --unanswered_;
    if (number < first_ || number - first_ >= slots_.size())
        return; // given up
    auto done = std::exchange(slots_[number - first_].done, nullptr);
    if (!done)
        return;
    --open_;
    drop_answered();
    done(parse_(payload_of(message)));
}

template <class T> void request_inbox<T>::no_responders()
{
    ++no_responders_;
    refuse_until_ = clock::now() + hold_off;
    if (no_responders_ < unanswered_)
        return;
    no_responders_ = unanswered_ = 0;
    settle_all(log_errc::unavailable);
}

template <class T> endpoint::time_point request_inbox<T>::tick(time_point now)
{
    const auto me = this->shared_from_this(); // a callback may be the last to hold us
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        if (!slots_[i].done || now < slots_[i].due)
            continue;
        const auto done = std::exchange(slots_[i].done, nullptr);
        --open_;
        done(log_errc::unknown);
    }
    if (closed_)
        return never;
    drop_answered();
    return open_ > 0 ? now + sweep_period : never;
}

template <class T> void request_inbox<T>::settle_all(log_errc what)
{
    const auto me = this->shared_from_this();
    auto settled = std::exchange(slots_, {});
    first_ += settled.size();
    open_ = 0;
    for (auto& each : settled)
        if (each.done && !closed_)
            std::exchange(each.done, nullptr)(what);
}

template <class T> void request_inbox<T>::drop_answered()
{
    while (!slots_.empty() && !slots_.front().done) {
        slots_.pop_front();
        ++first_;
    }
}

template class request_inbox<std::string>;
template class request_inbox<stored_at>;

}
