#pragma once
#include "sluice/http.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

// Bytes in, one HTTP/1.x request out (RFC 9112), without I/O. Beast's parser reads; the rules here refuse what it lets pass and what
// two readers could understand differently: other codings than one `chunked`, lengths that are not one plain number, folded lines,
// several or no Host. After `failed` the connection must be closed: where the next request begins is no longer known.
namespace sluice::http {

struct refusal {
    unsigned status = 400;
    std::string reason; // one line for people
};

class request_reader {
public:
    enum class state { head, head_done, body, complete, failed };

    explicit request_reader(std::size_t header_bytes_max);
    ~request_reader();
    request_reader(const request_reader&) = delete;
    request_reader& operator=(const request_reader&) = delete;

    // Makes ready for the next request; buffers are kept, unless they grew large.
    void reset();
    // Takes bytes; returns how many were used. Stops at the end of the header (head_done: call accept_body), and of the request. What is
    // left in state `body` is the beginning of a chunk header or trailer: give it again with more behind it.
    std::size_t feed(std::string_view bytes);
    // After head_done: the most bytes the body may have, and the configuration key that says so.
    void accept_body(std::uint64_t bytes_max, const char* key);

    state at() const noexcept { return state_; }
    bool begun() const noexcept { return !head_.empty(); } // a byte of this request has come
    const refusal& why() const noexcept { return refusal_; }
    // Valid from head_done until reset; the body from complete.
    http_request& request() noexcept { return request_; }
    const http_request& request() const noexcept { return request_; }
    std::string take_body();
    // Gives back the body's memory, unless it is little.
    void drop_body();
    // Bytes that the body takes now; it grows in steps as it comes, so that they are at most about twice what has come.
    std::uint64_t body_memory() const noexcept { return body_.capacity(); }
    std::uint64_t body_declared() const noexcept { return declared_; } // Content-Length of an accepted body, 0: not known
    std::size_t body_bytes() const noexcept { return body_.size(); }   // that have come
    bool keep_alive() const noexcept { return keep_alive_; }
    bool http11() const noexcept { return version_ == 11; }
    bool expects_continue() const noexcept { return expects_continue_; }

private:
    struct parser;
    friend struct parser;

    std::size_t feed_head(std::string_view bytes);
    std::size_t feed_body(std::string_view bytes);
    void append_to_head(std::string_view bytes);
    void reserve_body(std::size_t more);
    bool skip_empty_line();
    void parse_head();
    void finish_head();
    bool check_target();
    void replace_host(std::string_view authority);
    bool check_host();
    bool check_body_framing();
    void refuse(unsigned status, std::string reason);
    void refuse_size();

    std::size_t header_bytes_max_;
    std::unique_ptr<parser> parser_;
    std::string head_;
    std::string body_;
    http_request request_;
    refusal refusal_;
    std::size_t parsed_ = 0; // bytes of head_ that the parser is done with
    std::uint64_t body_bytes_max_ = 0;
    std::uint64_t declared_ = 0; // Content-Length of a body that is accepted
    const char* body_bound_key_ = "";
    state state_ = state::head;
    int version_ = 0;
    bool keep_alive_ = false;
    bool expects_continue_ = false;
    bool skipped_empty_line_ = false;
};

}
