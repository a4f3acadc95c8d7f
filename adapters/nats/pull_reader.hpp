#pragma once
#include "adapters/nats/api.hpp"
#include "adapters/nats/session.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>

// Reads a stream in order with an ephemeral pull consumer of its own, without acks. Loop thread only. Internal to adapters/nats.
//
// The consumer is made again at the next sequence whenever something is amiss: a new link, a consumer sequence that skips (a message was
// lost; a *stream* sequence that skips was purged), two heartbeats missed, any status that says that the consumer or its server went.
// Before that the stream is asked where it ends, and the new consumer starts with the last message that was read, to see that it is still
// the same one. A stream that was made anew is read from its beginning, one that lost its tail from where it differs, or from its last
// message where it ends before: either shows as a sequence that is not above the one before. Where the last message cannot be compared,
// because it was purged, a log is read on; with last_per_subject everything is read again.
namespace sluice::nats {

class pull_reader final : public endpoint, public std::enable_shared_from_this<pull_reader> {
public:
    struct target {
        std::string stream;
        std::string filter;            // empty: everything
        std::uint64_t from = 1;        // without last_per_subject
        bool last_per_subject = false; // first the last message of each subject, from then on every one
    };
    struct callbacks {
        std::function<void(natsMsg& message, std::uint64_t sequence)> on_message;
        std::function<void()> on_caught_up; // once: nothing more was there
    };

    pull_reader(session& on, target what, callbacks call);

    void start();
    void pause();
    void resume();
    void close(); // no callback any more

private:
    enum class phase { no_link, waiting, asking, making, reading };

    void link_up() override;
    void link_down() override;
    void take(natsMsg& message) override;
    void no_responders() override;
    time_point tick(time_point now) override;

    void ask();
    void make_anew();
    void try_again_soon();
    void on_stream(const api::stream_info& stream);
    void make();
    void on_consumer(const api::consumer_info& made);
    void pull_more();
    bool verify(const api::place& first);
    void take_status(natsMsg& message);
    void caught_up();
    void drop_consumer();
    template <class Then> void call_api(const std::string& subject, const std::string& payload, Then then);

    session& session_;
    const target target_;
    callbacks call_;
    phase phase_ = phase::no_link;
    std::uint64_t attempt_ = 0; // answers of an earlier one are stale
    std::uint64_t next_sequence_;
    std::uint64_t next_consumer_sequence_ = 1;
    std::uint64_t last_stored_ns_ = 0; // of the message before next_sequence_; 0: none was read
    std::string consumer_, created_, pull_subject_, pull_request_, inbox_;
    std::size_t outstanding_ = 0; // asked for, not yet here
    int short_tails_ = 0;
    int heartbeats_missed_ = 0;
    time_point due_ = never;
    bool verifying_ = false, heard_ = false, paused_ = false, caught_up_ = false, closed_ = false;
};

}
