#pragma once
#include "sluice/http.hpp"

#include <boost/system/result.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

// Port: one durable, ordered log of messages (a JetStream stream with a single subject). Implementations: adapters/nats, and
// adapters/memory for tests. Loop thread only; callbacks run on the loop, never inside the call that was given them, and exactly
// once for each request (also when the object is destroyed meanwhile: then not at all).
namespace sluice {

enum class log_errc {
    unknown = 1,    // no answer in time, or an answer that leaves it open: stored or not, ask again with the same id
    wrong_sequence, // the expected last sequence is not the stream's (JetStream 10071)
    full,           // the stream's own bounds refuse it
    too_large,      // above the server's max_payload
    not_found,
    unavailable, // no connection, or no JetStream behind it: nothing was sent
};
const boost::system::error_category& log_category() noexcept;
inline boost::system::error_code make_error_code(log_errc e) noexcept { return {static_cast<int>(e), log_category()}; }

struct log_message {
    std::uint64_t sequence = 0;
    headers fields;
    std::string payload;
};

struct append_request {
    std::string id; // Nats-Msg-Id, empty: none
    headers fields; // names and values not empty, without line ends (else errc::invalid_argument); the order among names is not kept
    std::string payload;
    std::optional<std::uint64_t> expected_last_sequence;
    std::chrono::milliseconds deadline{5000}; // passed: log_errc::unknown
};

struct stored_at {
    std::uint64_t sequence = 0;
    bool duplicate = false;
};

struct log_info {
    std::uint64_t first_sequence = 0;
    std::uint64_t last_sequence = 0;
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
    std::uint64_t bytes_max = 0; // 0: unbounded
};

// What a stream keeps beside each payload, about: subject, header fields, a record around them.
inline constexpr std::uint64_t message_overhead_bytes = 256;

class message_log {
public:
    template <class T> using result = boost::system::result<T>;

    // Reads in order, without acks, from a sequence; survives reconnects by itself and hides them: each message comes once, in
    // order, from the sequence asked for. Sequences may jump where messages were purged. Should the stream have lost its tail or have been
    // made anew, the next message's sequence is not above the one before (or below the one asked for): then nothing that was concluded from
    // earlier sequences holds any more. Destroying it ends it.
    class reader {
    public:
        virtual ~reader() = default;
        // While paused nothing more is asked of the server; what is already under way still comes (bounded by one batch).
        virtual void pause() = 0;
        virtual void resume() = 0;
    };

    virtual ~message_log() = default;
    // Appends are sent in the order of the calls and may be many in flight. What is needed of the request is taken before this returns.
    virtual void append(const append_request& request, std::function<void(result<stored_at>)> done) = 0;
    virtual void info(std::function<void(result<log_info>)> done) = 0;
    // Asks the leader, so not_found is the truth.
    virtual void get(std::uint64_t sequence, std::function<void(result<log_message>)> done) = 0;
    // Removes everything below the sequence. Beyond the one after the last: wrong_sequence, and nothing is removed, because a log that lost
    // its tail has other messages there than the caller means.
    virtual void purge_below(std::uint64_t sequence, std::function<void(result<void>)> done) = 0;
    virtual std::unique_ptr<reader> read(std::uint64_t from, std::function<void(log_message)> on_message) = 0;
};

}

template <> struct boost::system::is_error_code_enum<sluice::log_errc> : std::true_type {};
