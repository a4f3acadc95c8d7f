#include "adapters/http/response_reader.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include <algorithm>
#include <optional>

namespace sluice::http {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using boost::system::error_code;
using parse_error = beast::http::error;

constexpr unsigned interim_max = 16;
constexpr std::size_t body_bytes_first = 64 * 1024;

}

struct response_reader::parser {
    struct message final : beast::http::basic_parser<false> {
        explicit message(response_reader& to) : to_(to)
        {
            body_limit(boost::none); // what is too much is counted, not refused
            header_limit(static_cast<std::uint32_t>(to.header_bytes_max_));
            if (to.to_head_)
                skip(true);
        }

        void on_request_impl(beast::http::verb, beast::string_view, beast::string_view, int, error_code&) override {}
        void on_response_impl(int status, beast::string_view, int version, error_code&) override
        {
            to_.answer_.status = static_cast<unsigned>(status);
            version_ = version;
        }
        void on_field_impl(beast::http::field field, beast::string_view name, beast::string_view value, error_code&) override
        {
            if (trailer_)
                return;
            switch (field) {
            case beast::http::field::transfer_encoding:
                ++codings_;
                only_chunked_ = beast::iequals(value, "chunked");
                break;
            case beast::http::field::content_length: ++lengths_; break;
            case beast::http::field::connection: connection_ = true; break;
            default: break; // the others mean nothing to framing
            }
            to_.answer_.fields.push_back({std::string(name), std::string(value)});
        }
        void on_header_impl(error_code&) override {}
        void on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code&) override
        {
            const auto expected = std::min(length.value_or(0), to_.body_bytes_max_);
            to_.answer_.body.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(expected, body_bytes_first)));
        }
        std::size_t on_body_impl(beast::string_view body, error_code&) override { return keep(body); }
        void on_chunk_header_impl(std::uint64_t size, beast::string_view, error_code&) override { trailer_ = size == 0; }
        std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body, error_code&) override { return keep(body); }
        void on_finish_impl(error_code&) override {}

        std::size_t keep(beast::string_view body)
        {
            auto& a = to_.answer_;
            const auto room = to_.body_bytes_max_ - a.body.size();
            a.body.append(body.data(), static_cast<std::size_t>(std::min<std::uint64_t>(room, body.size())));
            a.body_bytes += body.size();
            a.truncated = a.body_bytes > a.body.size();
            return body.size();
        }

        response_reader& to_;
        int version_ = 0;
        unsigned codings_ = 0, lengths_ = 0;
        bool only_chunked_ = false;
        bool connection_ = false;
        bool trailer_ = false;
    };

    std::optional<message> now;
};

response_reader::response_reader(std::size_t header_bytes_max) : header_bytes_max_(header_bytes_max), parser_(std::make_unique<parser>())
{
    reset(false, 0);
}

response_reader::~response_reader() = default;

void response_reader::reset(bool to_head, std::uint64_t body_bytes_max)
{
    answer_ = {};
    why_.clear();
    to_head_ = to_head;
    body_bytes_max_ = body_bytes_max;
    head_bytes_ = 0;
    interim_ = 0;
    state_ = state::head;
    begun_ = keep_alive_ = false;
    parser_->now.emplace(*this);
}

std::size_t response_reader::feed(std::string_view bytes)
{
    std::size_t used = 0;
    begun_ = begun_ || !bytes.empty();
    while (used < bytes.size() && (state_ == state::head || state_ == state::body)) {
        auto& message = *parser_->now;
        error_code error;
        const auto step = message.put(asio::const_buffer(bytes.data() + used, bytes.size() - used), error);
        used += step;
        if (error && error != parse_error::need_more) {
            fail("bad answer: " + error.message());
        } else if (state_ == state::head) {
            head_bytes_ += step;
            const auto waiting = error == parse_error::need_more ? bytes.size() - used : 0;
            if (head_bytes_ + waiting > header_bytes_max_)
                fail("bad answer: header of more than " + std::to_string(header_bytes_max_) + " bytes");
            else if (message.is_header_done())
                after_head();
        } else if (message.is_done()) {
            finish();
        } else if (bytes.size() - used > header_bytes_max_) {
            fail("bad answer: chunk header of more than " + std::to_string(header_bytes_max_) + " bytes");
        }
        if (error == parse_error::need_more)
            break;
    }
    return used;
}

void response_reader::after_head()
{
    auto& message = *parser_->now;
    const auto status = answer_.status;
    if (status == 101)
        return fail("bad answer: 101 without a request to upgrade");
    if (status < 200) {
        if (status < 100 || ++interim_ > interim_max)
            return fail("bad answer: status " + std::to_string(status));
        answer_ = {};
        parser_->now.emplace(*this);
        return;
    }
    // A coding that we do not know would hide where the answer ends; two lengths are one too many (RFC 9112 § 6.3).
    const bool bodiless = to_head_ || status == 204 || status == 304;
    const bool coded = message.codings_ != 0;
    if (!bodiless && ((coded && (message.codings_ != 1 || !message.only_chunked_ || message.version_ != 11)) || message.lengths_ > 1))
        return fail("bad answer: Transfer-Encoding or Content-Length");
    state_ = state::body;
    message.eager(true);
    if (message.is_done())
        finish();
}

void response_reader::feed_end()
{
    if (state_ != state::body || !parser_->now->need_eof())
        return fail(begun_ ? "the connection closed in the middle of the answer" : "the connection closed without an answer");
    finish();
    keep_alive_ = false;
}

void response_reader::cut()
{
    if (state_ != state::body)
        return;
    finish();
    keep_alive_ = false;
    answer_.truncated = true;
}

void response_reader::finish()
{
    keep_alive_ = parser_->now->keep_alive();
    drop_connection_fields();
    state_ = state::complete;
}

void response_reader::drop_connection_fields()
{
    auto& fields = answer_.fields;
    std::string named; // by all Connection fields together
    if (parser_->now->connection_)
        for (const auto& field : fields)
            if (same_name(field.name, "connection"))
                named.append(field.value).append(",");
    std::erase_if(fields, [&](const header& f) { return is_hop_by_hop(f.name) || (!named.empty() && list_has(named, f.name)); });
}

answer response_reader::take_answer() { return std::move(answer_); }

void response_reader::fail(std::string why)
{
    why_ = std::move(why);
    state_ = state::failed;
}

}
