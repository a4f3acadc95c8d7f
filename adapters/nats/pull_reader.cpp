#include "adapters/nats/pull_reader.hpp"

#include "adapters/nats/request_inbox.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace sluice::nats {

namespace {

using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::size_t batch = 500;                   // asked for and not yet here, at most twice this
constexpr std::size_t batch_bytes = 8 * 1024 * 1024; // beside one message
constexpr auto heartbeat = 2s;
constexpr auto pull_lifetime = 30s;
constexpr int heartbeats_missed_max = 2;
constexpr auto retry_wait = 200ms;
// A server that has just become leader may not have everything in its stream yet: a tail is believed lost after being missed this often.
constexpr int short_tails_max = 10;

}

pull_reader::pull_reader(session& on, target what, callbacks call)
    : endpoint(session::fresh_inbox()),
      session_(on),
      target_(std::move(what)),
      call_(std::move(call)),
      next_sequence_(std::max<std::uint64_t>(target_.from, 1)),
      inbox_(endpoint::subject())
{}

void pull_reader::start() { session_.add(shared_from_this()); }

void pull_reader::close()
{
    closed_ = true;
    drop_consumer();
    session_.remove(*this);
}

void pull_reader::pause() { paused_ = true; }

void pull_reader::resume()
{
    paused_ = false;
    pull_more();
}

void pull_reader::link_up() { make_anew(); }

void pull_reader::link_down()
{
    phase_ = phase::no_link;
    due_ = never;
    consumer_.clear();
    ++attempt_;
}

void pull_reader::make_anew()
{
    if (closed_ || !session_.up())
        return;
    drop_consumer();
    ask();
}

void pull_reader::drop_consumer()
{
    if (!consumer_.empty())
        session_.send(("$JS.API.CONSUMER.DELETE." + target_.stream + "." + consumer_).c_str(), nullptr, {}, {});
    consumer_.clear();
    outstanding_ = 0;
}

void pull_reader::try_again_soon()
{
    phase_ = phase::waiting;
    due_ = clock::now() + retry_wait;
    session_.tick_by(due_);
}

template <class Then> void pull_reader::call_api(const std::string& subject, const std::string& payload, Then then)
{
    due_ = never; // the request has a deadline of its own
    session_.api().send(subject, {}, payload, api::deadline,
                        [me = weak_from_this(), attempt = attempt_, then = std::move(then)](auto answer) {
                            const auto self = me.lock();
                            if (!self || self->closed_ || attempt != self->attempt_)
                                return;
                            if (!answer || !then(*self, *answer))
                                self->try_again_soon();
                        });
}

void pull_reader::ask()
{
    ++attempt_;
    phase_ = phase::asking;
    call_api("$JS.API.STREAM.INFO." + target_.stream, {}, [](pull_reader& self, const std::string& answer) {
        const auto stream = api::parse_stream_info(answer);
        if (stream)
            self.on_stream(*stream);
        return stream.has_value();
    });
}

void pull_reader::on_stream(const api::stream_info& stream)
{
    if (created_.empty())
        created_ = stream.created;
    if (created_ != stream.created) { // another stream under the same name: all of it is new
        created_ = stream.created;
        next_sequence_ = 1;
        last_stored_ns_ = 0;
    } else if (next_sequence_ > stream.state.last_sequence + 1) {
        if (++short_tails_ < short_tails_max)
            return try_again_soon();
        // What was lost may be filled again up to there, and where it began is not known: the last one comes again, to tell.
        next_sequence_ = target_.last_per_subject ? 1 : std::max<std::uint64_t>(stream.state.last_sequence, 1);
        last_stored_ns_ = 0;
    }
    short_tails_ = 0;
    make();
}

void pull_reader::make()
{
    phase_ = phase::making;
    verifying_ = last_stored_ns_ != 0;
    auto from = std::optional(verifying_ ? next_sequence_ - 1 : next_sequence_);
    if (target_.last_per_subject && !(caught_up_ && verifying_)) {
        from.reset();
        verifying_ = false;
    }
    call_api("$JS.API.CONSUMER.CREATE." + target_.stream, api::reader_config(target_.stream, target_.filter, from),
             [](pull_reader& self, const std::string& answer) {
                 const auto made = api::parse_consumer_info(answer);
                 if (made)
                     self.on_consumer(*made);
                 return made.has_value();
             });
}

void pull_reader::on_consumer(const api::consumer_info& made)
{
    phase_ = phase::reading;
    consumer_ = made.name;
    pull_subject_ = "$JS.API.CONSUMER.MSG.NEXT." + target_.stream + "." + consumer_;
    pull_request_ = R"({"batch":)" + std::to_string(batch) + R"(,"max_bytes":)" + std::to_string(batch_bytes + session_.payload_bytes_max())
        + R"(,"expires":)" + std::to_string(std::chrono::nanoseconds(pull_lifetime).count()) + R"(,"idle_heartbeat":)"
        + std::to_string(std::chrono::nanoseconds(heartbeat).count()) + "}";
    next_consumer_sequence_ = 1;
    outstanding_ = 0;
    heartbeats_missed_ = 0;
    heard_ = true;
    due_ = clock::now() + heartbeat;
    session_.tick_by(due_);
    pull_more();
    if (made.pending == 0)
        caught_up();
}

void pull_reader::pull_more()
{
    if (phase_ != phase::reading || paused_ || outstanding_ > batch / 2)
        return;
    if (session_.send(pull_subject_.c_str(), inbox_.c_str(), {}, pull_request_) == send_result::sent)
        outstanding_ += batch;
}

void pull_reader::take(natsMsg& message)
{
    const auto place = api::parse_place(text_of(natsMsg_GetReply(&message)));
    if (!place)
        return take_status(message);
    if (phase_ != phase::reading || place->consumer != consumer_)
        return; // of an earlier consumer
    heard_ = true;
    if (place->consumer_sequence != next_consumer_sequence_)
        return make_anew();
    ++next_consumer_sequence_;
    if (outstanding_ > 0)
        --outstanding_;
    if (std::exchange(verifying_, false) && !verify(*place))
        return;
    if (place->sequence >= next_sequence_) { // else known from before the consumer was made again
        next_sequence_ = place->sequence + 1;
        last_stored_ns_ = place->stored_ns;
        call_.on_message(message, place->sequence);
    }
    if (closed_)
        return;
    pull_more();
    if (place->pending == 0)
        caught_up();
}

// The first message of a consumer that was made again: false when reading begins anew.
bool pull_reader::verify(const api::place& first)
{
    if (first.sequence + 1 == next_sequence_) {
        if (first.stored_ns != last_stored_ns_)
            next_sequence_ = first.sequence; // another message in its place: the stream lost its tail and grew again
        return true;
    }
    if (!target_.last_per_subject)
        return true;
    next_sequence_ = 1;
    last_stored_ns_ = 0;
    make_anew();
    return false;
}

void pull_reader::take_status(natsMsg& message)
{
    const char* status = nullptr;
    const char* description = nullptr;
    const char* pending = nullptr;
    if (natsMsgHeader_Get(&message, "Status", &status) != NATS_OK || phase_ != phase::reading)
        return;
    heard_ = true;
    natsMsgHeader_Get(&message, "Description", &description);
    const auto code = text_of(status), text = text_of(description);
    if (code == "100")
        return caught_up();
    const bool pull_ended =
        code == "404" || code == "408" || text.find("MaxBytes") != text.npos || text.find("Batch Completed") != text.npos;
    if (!pull_ended)
        return make_anew();
    std::size_t unserved = outstanding_;
    if (natsMsgHeader_Get(&message, "Nats-Pending-Messages", &pending) == NATS_OK) {
        const auto digits = text_of(pending);
        std::from_chars(digits.data(), digits.data() + digits.size(), unserved);
    }
    outstanding_ -= std::min(outstanding_, unserved);
    pull_more();
}

void pull_reader::no_responders() // the consumer is not there any more, or its server
{
    if (phase_ == phase::reading) {
        drop_consumer();
        try_again_soon();
    }
}

endpoint::time_point pull_reader::tick(time_point now)
{
    if (now < due_)
        return due_;
    if (phase_ == phase::waiting) {
        ask();
        return due_;
    }
    heartbeats_missed_ = heard_ || outstanding_ == 0 ? 0 : heartbeats_missed_ + 1;
    heard_ = false;
    if (heartbeats_missed_ >= heartbeats_missed_max) {
        make_anew();
        return due_;
    }
    pull_more(); // a pull that found too much in front of it was not sent, and no message comes to try it again
    return due_ = now + heartbeat;
}

void pull_reader::caught_up()
{
    if (std::exchange(caught_up_, true))
        return;
    if (call_.on_caught_up)
        call_.on_caught_up();
}

}
