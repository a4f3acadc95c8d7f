#pragma once
#include "sluice/outcome.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

// Bytes in, one HTTP/1.x response out (RFC 9112), without I/O, Beast's parser behind it. Interim responses (1xx) are skipped. The body
// is kept up to a bound and counted beyond it. Anything that leaves doubt about where the answer ends fails.
namespace sluice::http {

class response_reader {
public:
    enum class state { head, body, complete, failed };

    explicit response_reader(std::size_t header_bytes_max);
    ~response_reader();
    response_reader(const response_reader&) = delete;
    response_reader& operator=(const response_reader&) = delete;

    void reset(bool to_head, std::uint64_t body_bytes_max);
    // Takes bytes; returns how many were used. Fewer than given: the answer is complete and what follows is not part of it, or the
    // rest waits for more: give it again with more behind it.
    std::size_t feed(std::string_view bytes);
    // The peer closed: the end of an answer that has no other end, else a failure.
    void feed_end();
    // Nothing more is wanted of a body that has begun: the answer is complete as it is, and the connection cannot be used again.
    void cut();

    state at() const noexcept { return state_; }
    bool begun() const noexcept { return begun_; }
    std::uint64_t body_bytes() const noexcept { return answer_.body_bytes; }       // that came so far
    std::uint64_t body_memory() const noexcept { return answer_.body.capacity(); } // bytes that the body takes
    const std::string& why() const noexcept { return why_; }
    // After complete: the connection may carry another request.
    bool keep_alive() const noexcept { return keep_alive_; }
    // After complete, once: fields in the order received, without those of the connection (hop-by-hop, and what Connection names).
    answer take_answer();

private:
    struct parser;
    friend struct parser;

    void fail(std::string why);
    void after_head();
    void finish();
    void drop_connection_fields();

    std::size_t header_bytes_max_;
    std::unique_ptr<parser> parser_;
    answer answer_;
    std::string why_;
    std::uint64_t body_bytes_max_ = 0;
    std::size_t head_bytes_ = 0;
    unsigned interim_ = 0;
    state state_ = state::head;
    bool to_head_ = false;
    bool begun_ = false;
    bool keep_alive_ = false;
};

}
