#include "adapters/http/response_head.hpp"

#include <array>
#include <charconv>

namespace sluice::http {

namespace {

bool is_token(std::string_view name) noexcept
{
    for (char c : name) {
        const bool letter_or_digit = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter_or_digit && std::string_view("-_!#$%&'*+.^`|~").find(c) == std::string_view::npos)
            return false;
    }
    return !name.empty();
}

void append_value(std::string& out, std::string_view value)
{
    const auto from = out.size();
    out.append(value);
    for (auto i = from; i < out.size(); ++i)
        if (out[i] == '\r' || out[i] == '\n' || out[i] == '\0')
            out[i] = ' ';
}

void append_number(std::string& out, std::size_t value)
{
    std::array<char, 20> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    out.append(digits.data(), end);
}

enum class written_by { handler, length, us };

// Who decides about a field; told by length first, as most names are none of these.
written_by owner_of(std::string_view name) noexcept
{
    switch (name.size()) {
    case 10: return same_name(name, "Connection") || same_name(name, "Keep-Alive") ? written_by::us : written_by::handler;
    case 14: return same_name(name, "Content-Length") ? written_by::length : written_by::handler;
    case 17: return same_name(name, "Transfer-Encoding") ? written_by::us : written_by::handler;
    default: return written_by::handler;
    }
}

bool is_number(std::string_view text) noexcept
{
    for (char c : text)
        if (c < '0' || c > '9')
            return false;
    return !text.empty() && text.size() < 20;
}

}

bool has_body(unsigned status, bool to_head) noexcept { return !to_head && status != 204 && status != 304; }

void append_response_head(std::string& out, const http_response& response, std::size_t body_bytes, const response_framing& framing)
{
    // 1xx are not a handler's to send, and nothing has four digits.
    const unsigned status = response.status >= 200 && response.status <= 999 ? response.status : 500;
    out.append("HTTP/1.1 ");
    append_number(out, status);
    out.append(" ").append(reason_phrase(status)).append("\r\n");
    bool dated = false;
    std::string_view length; // HEAD: that of the body a GET would have had, where the handler knows it
    for (const auto& field : response.fields) {
        const auto owner = owner_of(field.name);
        if (owner == written_by::length)
            length = field.value;
        if (owner != written_by::handler || !is_token(field.name))
            continue;
        dated = dated || same_name(field.name, "Date");
        out.append(field.name).append(": ");
        append_value(out, field.value);
        out.append("\r\n");
    }
    if (!dated)
        out.append("Date: ").append(framing.date).append("\r\n");
    if (framing.to_head && is_number(length)) {
        out.append("Content-Length: ").append(length).append("\r\n");
    } else if (status != 204 && status != 304) {
        out.append("Content-Length: ");
        append_number(out, body_bytes);
        out.append("\r\n");
    }
    if (framing.close)
        out.append("Connection: close\r\n");
    else if (!framing.http11)
        out.append("Connection: keep-alive\r\n");
    out.append("\r\n");
}

std::string_view reason_phrase(unsigned status) noexcept
{
    switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return {};
    }
}

}
