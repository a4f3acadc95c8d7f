#pragma once
#include "sluice/http.hpp"

#include <string>
#include <string_view>

// The bytes of a response's head (RFC 9112 § 4, § 6). Pure.
namespace sluice::http {

struct response_framing {
    bool to_head = false; // the request was HEAD: lengths without a body
    bool http11 = true;   // of the request
    bool close = false;
    std::string_view date; // IMF-fixdate, used where the response has no Date
};

// Appends the head. What would break the message apart is never written: fields about framing are ours, names that are no token are
// left out, CR, LF and NUL in values become spaces. The body is given by its length alone: the caller writes it.
void append_response_head(std::string& out, const http_response& response, std::size_t body_bytes, const response_framing& framing);

// False for what has no body whatever the handler gave: HEAD, 204, 304.
bool has_body(unsigned status, bool to_head) noexcept;

std::string_view reason_phrase(unsigned status) noexcept; // empty when unknown

}
