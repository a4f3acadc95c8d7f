#pragma once
#include "sluice/http.hpp"
#include "sluice/time.hpp"

#include <boost/system/result.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

// The journal's records: what happened to the calls of a partition's log. A batch of them is one message; integers are little-endian.
//
//   batch   "SLJ" version:u8  epoch:u64  owner:text  number:u64  record*
//   record  kind:u8  length:u32  fields
//   text    length:u32  bytes
//
// A record names its call by log sequence and by the hash of its id: where the hash differs, the record is about another message that had
// the sequence before the log lost its tail, and settles nothing. Each record stands by itself: one that still counts may be copied to the
// journal's end, so that what is before can be purged, and means the same there.
namespace sluice::core::journal {

inline constexpr int format_version = 2;

struct call_ref {
    std::uint64_t sequence = 0;
    std::uint64_t id_hash = 0;

    friend bool operator==(const call_ref&, const call_ref&) = default;
    friend std::size_t hash_value(const call_ref& call) noexcept { return static_cast<std::size_t>(call.sequence ^ call.id_hash); }
};

// Nothing more will happen to the call.
struct settled {
    enum class how_kind : std::uint8_t {
        done = 1,      // executed, and nobody asked for a callback
        called_back,   // executed, and the callback was delivered
        dead,          // not executed to an end, and nobody asked for a callback
        callback_dead, // the callback was given up
        unreadable,    // the log message made no sense
    };
    call_ref call;
    how_kind how = how_kind::done;
    std::uint32_t attempts = 0;
    std::uint32_t status = 0; // of the function

    friend bool operator==(const settled&, const settled&) = default;
};

// Attempt `attempts` failed; the next is due `delay_ms` after `recorded_at` (wall clock, for whoever loads it).
struct retry_scheduled {
    call_ref call;
    std::uint32_t attempts = 0;
    unix_ms recorded_at = 0;
    std::uint64_t delay_ms = 0;

    friend bool operator==(const retry_scheduled&, const retry_scheduled&) = default;
};

// Attempt `attempts` to deliver the callback failed; the next is due likewise.
struct callback_scheduled {
    call_ref call;
    std::uint32_t attempts = 0;
    unix_ms recorded_at = 0;
    std::uint64_t delay_ms = 0;

    friend bool operator==(const callback_scheduled&, const callback_scheduled&) = default;
};

// The call's log message, whole: the log need not keep it any more.
struct carried {
    call_ref call;
    headers fields;
    std::string payload;

    friend bool operator==(const carried&, const carried&) = default;
};

// The call is over and its callback is due: the complete request, so that each attempt to deliver it sends the same bytes. The call's log message
// is needed no more.
struct answered {
    call_ref call;
    std::uint32_t attempts = 0;
    std::uint32_t status = 0; // X-Function-Status
    bool dead = false;        // the function gave no answer that counts
    std::string url;
    std::string head; // field lines "name: value\r\n"
    std::string body;
    std::string tenant{};
    std::string function{}; // name.namespace

    friend bool operator==(const answered&, const answered&) = default;
};

// So many calls of the tenant may run at once from now on: whoever takes over counts them all as running.
struct reserved {
    std::string tenant;
    std::uint32_t slots = 0;

    friend bool operator==(const reserved&, const reserved&) = default;
};

// The owner has ended in order: nothing runs, and what was reserved before is free.
struct handed_over {
    friend bool operator==(const handed_over&, const handed_over&) = default;
};

using record = std::variant<settled, retry_scheduled, answered, callback_scheduled, carried, reserved, handed_over>;

struct batch {
    std::uint64_t epoch = 0;
    std::string owner;        // unique for each taking-over
    std::uint64_t number = 0; // 0: the epoch's first message, which takes the partition over
    std::vector<record> records;

    friend bool operator==(const batch&, const batch&) = default;
};

std::string encode_head(std::uint64_t epoch, std::string_view owner, std::uint64_t number);
void append_record(std::string& to, const record& what);

struct decode_error {
    bool newer_version = false;
    std::string message;
};
// It begins as what an owner wrote does, of whichever release.
bool is_batch(std::string_view bytes) noexcept;
boost::system::result<batch, decode_error> decode(std::string_view bytes);

// Nothing for a record that is of no call.
const call_ref* call_of(const record& what) noexcept;
// What the record adds to a batch.
std::size_t size_of(const record& what);

}
