#pragma once
#include "sluice/function.hpp"
#include "sluice/message_log.hpp"
#include "sluice/time.hpp"

#include <boost/system/result.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::core {

// An accepted call as its log message says it. The payload is an HTTP request (RFC 9112): request line, field lines, an empty line, the
// body; it is parsed for its boundaries only, so that method, target, fields and body reach the function as they were sent.
struct invocation {
    std::uint64_t sequence = 0; // in its partition's log
    std::uint64_t id_hash = 0;  // of the invocation id: tells it from another message that got the same sequence later
    std::string tenant;
    function_name function;
    unix_ms accepted_at = 0;
    std::string callback_url; // empty: none asked for
    std::shared_ptr<const std::string> payload;
    std::uint32_t fields_at = 0; // offset of the first field line
    std::uint32_t body_at = 0;   // offset of the body
};

struct invocation_error {
    bool newer_version = false; // a release after this one wrote it: it must not be touched
    std::string message;
};

boost::system::result<invocation, invocation_error> parse_invocation(log_message message);

// Parts of a payload whose boundaries are known.
std::string_view method_of(const std::string& payload) noexcept;
std::string_view target_of(const std::string& payload) noexcept;
// The value of the first field line of that name in a block of field lines; empty when absent.
std::string_view field_of(std::string_view field_lines, std::string_view name) noexcept;

// The id that the caller knows the call by: X-Call-Id.
std::string_view call_id_of(const invocation& call) noexcept;

// FNV-1a, 64 bits: part of the journal's format.
std::uint64_t hash_id(std::string_view id) noexcept;

}
