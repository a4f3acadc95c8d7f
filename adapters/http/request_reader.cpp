#include "adapters/http/request_reader.hpp"

#include "adapters/http/byte_budget.hpp"

#include "adapters/http/request_text.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include <algorithm>
#include <charconv>
#include <functional>
#include <optional>

namespace sluice::http {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using boost::system::error_code;
using parse_error = beast::http::error;

constexpr std::size_t kept_bytes_max = 16 * 1024; // a buffer that grew beyond is given back
constexpr std::size_t head_bytes_first = 1024;

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

}

struct request_reader::parser {
    // Beast's parser serves one message; the next one gets a new one in the same place.
    struct message final : beast::http::basic_parser<true> {
        explicit message(request_reader& to) : to_(to)
        {
            body_limit(boost::none); // the bound depends on the route, and is checked with a better message
            header_limit(static_cast<std::uint32_t>(to.header_bytes_max_ + 1));
        }

        void on_request_impl(beast::http::verb, beast::string_view method, beast::string_view target, int version, error_code&) override
        {
            to_.request_.method = view(method);
            to_.request_.target = view(target);
            to_.version_ = version;
        }

        void on_response_impl(int, beast::string_view, int, error_code&) override {} // Beast asks for it; requests never call it

        void on_field_impl(beast::http::field field, beast::string_view name, beast::string_view value, error_code& error) override
        {
            if (trailer_)
                return; // read for their syntax, and dropped: RFC 9110 § 6.5.1 allows that
            if (is_folded(name, value)) {
                folded_ = true;
                error = parse_error::bad_value;
                return;
            }
            count(field, view(value));
            to_.request_.fields.push_back({view(name), view(value)});
        }

        // The parser joins folded lines in a buffer of its own, or skips empty first lines: either way the value does not follow its
        // name on the same line. It is outside any array that the name is in, so compared as addresses only.
        bool is_folded(beast::string_view name, beast::string_view value) const
        {
            const char* at = name.data() + name.size() + 1;
            const std::less<const char*> before;
            if (before(value.data(), at) || before(to_.head_.data() + to_.head_.size(), value.data()))
                return true;
            for (; at != value.data(); ++at)
                if (*at != ' ' && *at != '\t')
                    return true;
            return false;
        }

        void count(beast::http::field field, std::string_view value)
        {
            switch (field) {
            case beast::http::field::host:
                ++hosts_;
                host_ = value;
                return;
            case beast::http::field::content_length:
                ++lengths_;
                length_ = value;
                return;
            case beast::http::field::transfer_encoding:
                ++codings_;
                coding_ = value;
                return;
            case beast::http::field::expect:
                ++expectations_;
                expectation_ = value;
                return;
            default: return; // all the others mean nothing to framing
            }
        }

        void on_header_impl(error_code&) override {}
        void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
        std::size_t on_body_impl(beast::string_view body, error_code&) override
        {
            to_.body_.append(body.data(), body.size());
            return body.size();
        }
        void on_chunk_header_impl(std::uint64_t size, beast::string_view, error_code& error) override
        {
            trailer_ = size == 0;
            if (size > to_.body_bytes_max_ - to_.body_.size())
                error = parse_error::body_limit;
        }
        std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body, error_code&) override
        {
            to_.body_.append(body.data(), body.size());
            return body.size();
        }
        void on_finish_impl(error_code&) override {}

        request_reader& to_;
        // Views into the head as it was when they came: used only while it is complete, see finish_head.
        std::string_view host_, length_, coding_, expectation_;
        unsigned hosts_ = 0, lengths_ = 0, codings_ = 0, expectations_ = 0;
        bool trailer_ = false;
        bool folded_ = false;
    };

    std::optional<message> now;
};

request_reader::request_reader(std::size_t header_bytes_max) : header_bytes_max_(header_bytes_max), parser_(std::make_unique<parser>())
{
    reset();
}

request_reader::~request_reader() = default;

void request_reader::reset()
{
    if (head_.capacity() > kept_bytes_max)
        release_memory(head_);
    drop_body();
    head_.clear();
    auto fields = std::move(request_.fields);
    fields.clear();
    request_ = {};
    request_.fields = std::move(fields);
    parsed_ = 0;
    declared_ = 0;
    state_ = state::head;
    version_ = 0;
    keep_alive_ = expects_continue_ = skipped_empty_line_ = false;
    parser_->now.emplace(*this);
}

std::size_t request_reader::feed(std::string_view bytes)
{
    switch (state_) {
    case state::head: return feed_head(bytes);
    case state::body: return feed_body(bytes);
    case state::head_done:
    case state::complete:
    case state::failed: return 0;
    }
    return 0;
}

std::size_t request_reader::feed_head(std::string_view bytes)
{
    const auto taken = std::min(bytes.size(), header_bytes_max_ - head_.size());
    append_to_head(bytes.substr(0, taken));
    if (!skip_empty_line())
        return taken;
    parse_head();
    if (state_ != state::head_done)
        return taken;
    // What was taken beyond the header belongs to the body, or to the next request.
    const auto beyond = head_.size() - parsed_;
    head_.resize(parsed_);
    return taken - beyond;
}

// RFC 9112 § 2.2: one empty line before the request line is ignored. False: too early to tell.
bool request_reader::skip_empty_line()
{
    if (skipped_empty_line_ || head_.front() != '\r')
        return true;
    if (head_.size() < 2)
        return false;
    skipped_empty_line_ = true;
    if (head_[1] == '\n')
        head_.erase(0, 2);
    return !head_.empty();
}

void request_reader::append_to_head(std::string_view bytes)
{
    if (head_.size() + bytes.size() <= head_.capacity()) {
        head_.append(bytes);
        return;
    }
    std::string larger;
    larger.reserve(std::max({head_bytes_first, 2 * head_.capacity(), head_.size() + bytes.size()}));
    larger.append(head_).append(bytes);
    auto& message = *parser_->now;
    const auto move = [&](std::string_view& v) { rebase(v, head_.data(), larger.data()); };
    for (auto* v : {&request_.method, &request_.target, &message.host_, &message.length_, &message.coding_, &message.expectation_})
        move(*v);
    for (auto& field : request_.fields) {
        move(field.name);
        move(field.value);
    }
    head_.swap(larger);
}

void request_reader::parse_head()
{
    auto& message = *parser_->now;
    error_code error;
    parsed_ += message.put(asio::const_buffer(head_.data() + parsed_, head_.size() - parsed_), error);
    if (!error)
        return finish_head();
    if (error == parse_error::need_more) {
        if (head_.size() >= header_bytes_max_)
            refuse_size();
        else if (has_bare_newline(head_)) // the parser would wait for an end that such a sender never sends
            refuse(400, "a line that ends with LF alone");
        return;
    }
    if (error == parse_error::header_limit)
        return refuse_size();
    if (message.folded_)
        return refuse(400, "a folded field line (RFC 9112 section 5.2)");
    if (error == parse_error::bad_version && names_other_version(head_))
        return refuse(505, "not HTTP/1.0 or HTTP/1.1");
    refuse(400, "not HTTP/1.1: " + error.message());
}

void request_reader::refuse_size()
{
    const auto bound = " bytes (header_bytes_max)";
    if (version_ == 0)
        return refuse(414, "request line: more than " + std::to_string(header_bytes_max_) + bound);
    refuse(431, "header: more than " + std::to_string(header_bytes_max_) + bound);
}

void request_reader::finish_head()
{
    auto& message = *parser_->now;
    if (!check_target() || !check_host() || !check_body_framing())
        return;
    if (message.expectations_ != 0) {
        if (message.expectations_ != 1 || !same_name(message.expectation_, "100-continue"))
            return refuse(417, "Expect: only 100-continue is understood");
        expects_continue_ = version_ == 11 && !message.is_done();
    }
    keep_alive_ = message.keep_alive();
    state_ = state::head_done;
}

bool request_reader::check_target()
{
    auto& target = request_.target;
    for (char c : target)
        if (c == '#' || static_cast<signed char>(c) < 0) {
            refuse(400, "target: a fragment or a non-ASCII character");
            return false;
        }
    if (target.front() == '/' || (target == "*" && request_.method == "OPTIONS"))
        return true;
    // Absolute form (RFC 9112 § 3.2.2): its path is the target, and its authority takes the place of what Host says.
    const auto scheme = target.find("://");
    const auto name = target.substr(0, scheme);
    if (scheme == target.npos || !(same_name(name, "http") || same_name(name, "https"))) {
        refuse(400, "target: neither a path nor an absolute http URL");
        return false;
    }
    const auto rest = target.substr(scheme + 3);
    const auto end = rest.find_first_of("/?");
    const auto authority = rest.substr(0, end);
    if (authority.empty()) {
        refuse(400, "target: an absolute URL without a host");
        return false;
    }
    replace_host(authority);
    target = end == rest.npos ? std::string_view("/") : rest.substr(end);
    if (target.front() != '/') {
        refuse(400, "target: an absolute URL without a path");
        return false;
    }
    return true;
}

void request_reader::replace_host(std::string_view authority)
{
    parser_->now->host_ = authority;
    for (auto& field : request_.fields)
        if (same_name(field.name, "Host"))
            field.value = authority;
}

bool request_reader::check_host()
{
    const auto& message = *parser_->now;
    if (message.hosts_ > 1 || (message.hosts_ == 0 && version_ == 11)) {
        refuse(400, message.hosts_ == 0 ? "Host: missing" : "Host: more than one");
        return false;
    }
    for (char c : message.host_)
        if (!is_host_char(c)) {
            refuse(400, "Host: a character that no host has");
            return false;
        }
    return true;
}

bool request_reader::check_body_framing()
{
    const auto& message = *parser_->now;
    const char* wrong = nullptr;
    if (message.codings_ != 0) {
        if (message.codings_ != 1 || !same_name(message.coding_, "chunked"))
            wrong = "Transfer-Encoding: only one, chunked, is understood";
        else if (message.lengths_ != 0)
            wrong = "Transfer-Encoding: together with Content-Length";
        else if (version_ != 11)
            wrong = "Transfer-Encoding: in HTTP/1.0";
    } else if (message.lengths_ > 1 || (message.lengths_ == 1 && !only_digits(message.length_))) {
        wrong = "Content-Length: not one plain number";
    }
    if (wrong != nullptr)
        refuse(400, wrong);
    return wrong == nullptr;
}

void request_reader::accept_body(std::uint64_t bytes_max, const char* key)
{
    auto& message = *parser_->now;
    body_bytes_max_ = bytes_max;
    body_bound_key_ = key;
    if (message.is_done()) {
        state_ = state::complete;
        return;
    }
    const auto length = message.content_length();
    if (length && *length > bytes_max)
        return refuse(413, "body: " + std::to_string(*length) + " bytes, at most " + std::to_string(bytes_max) + " (" + key + ")");
    declared_ = length.value_or(0);
    message.eager(true);
    state_ = state::body;
}

std::size_t request_reader::feed_body(std::string_view bytes)
{
    auto& message = *parser_->now;
    if (bytes.empty())
        return 0;
    reserve_body(bytes.size());
    error_code error;
    const auto used = message.put(asio::const_buffer(bytes.data(), bytes.size()), error);
    if (message.is_done()) {
        request_.body = body_;
        state_ = state::complete;
    } else if (error == parse_error::body_limit) {
        refuse(413, "body: more than " + std::to_string(body_bytes_max_) + " bytes (" + body_bound_key_ + ")");
    } else if (error && error != parse_error::need_more) {
        refuse(400, "body: " + error.message());
    } else if (bytes.size() - used > header_bytes_max_) {
        refuse(400, "body: a chunk header or trailer of more than " + std::to_string(header_bytes_max_) + " bytes (header_bytes_max)");
    }
    return used;
}

// Room as it is needed: a length that was only declared costs its sender nothing, so that it may cost us nothing either. Never above that
// length, where the string by itself would end at up to twice as much.
void request_reader::reserve_body(std::size_t more)
{
    const auto needed = static_cast<std::size_t>(std::min<std::uint64_t>(body_.size() + more, declared_));
    if (needed <= body_.capacity())
        return;
    std::string larger;
    larger.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(declared_, std::max(needed, 2 * body_.capacity()))));
    larger.append(body_);
    body_.swap(larger);
}

std::string request_reader::take_body()
{
    request_.body = {};
    return std::move(body_);
}

void request_reader::drop_body()
{
    request_.body = {};
    body_.clear();
    if (body_.capacity() > kept_bytes_max)
        release_memory(body_);
}

void request_reader::refuse(unsigned status, std::string reason)
{
    refusal_ = {status, std::move(reason)};
    state_ = state::failed;
}

}
