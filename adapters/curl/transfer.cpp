#include "adapters/curl/transfer.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <netinet/in.h>
#include <sys/socket.h>

namespace sluice::curl {

namespace {

std::string numeric(const sockaddr& address)
{
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (address.sa_family == AF_INET)
        inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, text.data(), text.size());
    else if (address.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, text.data(), text.size());
    return text.data(); // empty, and so refused, for any other family
}

// Of descriptors or memory: nothing that the peer could help.
bool is_shortage(int error) { return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS; }

std::string_view trim(std::string_view text)
{
    constexpr std::string_view blanks = " \t\r\n";
    const auto from = text.find_first_not_of(blanks);
    if (from == text.npos)
        return {};
    return text.substr(from, text.find_last_not_of(blanks) - from + 1);
}

}

transfer::transfer(client::call_id id, client_request request, std::function<void(outcome)> done, const client_options& options)
    : id_(id),
      request_(std::move(request)),
      done_(std::move(done)),
      started_(std::chrono::steady_clock::now()),
      easy_(curl_easy_init()),
      head_bytes_max_(options.header_bytes_max)
{
    if (easy_ == nullptr)
        return;
    if (request_.body)
        body_ = std::string_view(*request_.body).substr(std::min(request_.body_offset, request_.body->size()));
    curl_easy_setopt(easy_, CURLOPT_PRIVATE, this);
    curl_easy_setopt(easy_, CURLOPT_ERRORBUFFER, error_.data());
    curl_easy_setopt(easy_, CURLOPT_NOSIGNAL, 1L); // no SIGALRM for name resolution: there is a thread for it
    // A name that does not resolve in time is left to its thread: libcurl would otherwise wait for it, and the loop with it.
    curl_easy_setopt(easy_, CURLOPT_QUICK_EXIT, 1L);
    set_where(options);
    set_limits(options);
    set_request();
}

transfer::~transfer()
{
    if (easy_ != nullptr)
        curl_easy_cleanup(easy_);
    curl_slist_free_all(fields_);
}

void transfer::set_where(const client_options& options)
{
    curl_easy_setopt(easy_, CURLOPT_URL, request_.url.c_str());
    curl_easy_setopt(easy_, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy_, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy_, CURLOPT_PROXY, ""); // not even the environment's
    curl_easy_setopt(easy_, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
    curl_easy_setopt(easy_, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy_, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy_, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy_, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (!options.ca_file.empty())
        curl_easy_setopt(easy_, CURLOPT_CAINFO, options.ca_file.c_str());
    // Before connecting, and again before each request, also on a connection that is used again: where a name led to at first may be
    // forbidden now.
    curl_easy_setopt(easy_, CURLOPT_OPENSOCKETFUNCTION, &transfer::on_open);
    curl_easy_setopt(easy_, CURLOPT_OPENSOCKETDATA, this);
    curl_easy_setopt(easy_, CURLOPT_PREREQFUNCTION, &transfer::on_before_request);
    curl_easy_setopt(easy_, CURLOPT_PREREQDATA, this);
}

void transfer::set_limits(const client_options& options)
{
    curl_easy_setopt(easy_, CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<std::int64_t>(1, request_.deadline.count())));
    curl_easy_setopt(easy_, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::max<std::int64_t>(1, request_.connect_deadline.count())));
    const auto idle = std::chrono::duration_cast<std::chrono::seconds>(options.idle_deadline).count();
    curl_easy_setopt(easy_, CURLOPT_MAXAGE_CONN, static_cast<long>(std::max<std::int64_t>(1, idle)));
    curl_easy_setopt(easy_, CURLOPT_HEADERFUNCTION, &transfer::on_head);
    curl_easy_setopt(easy_, CURLOPT_HEADERDATA, this);
    curl_easy_setopt(easy_, CURLOPT_WRITEFUNCTION, &transfer::on_body);
    curl_easy_setopt(easy_, CURLOPT_WRITEDATA, this);
}

void transfer::set_request()
{
    if (request_.method == "HEAD") {
        curl_easy_setopt(easy_, CURLOPT_NOBODY, 1L);
    } else if (!body_.empty() || request_.method == "POST" || request_.method == "PUT") {
        curl_easy_setopt(easy_, CURLOPT_POST, 1L);
        curl_easy_setopt(easy_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body_.size()));
        curl_easy_setopt(easy_, CURLOPT_READFUNCTION, &transfer::on_send);
        curl_easy_setopt(easy_, CURLOPT_READDATA, this);
        curl_easy_setopt(easy_, CURLOPT_SEEKFUNCTION, &transfer::on_seek);
        curl_easy_setopt(easy_, CURLOPT_SEEKDATA, this);
    }
    if (request_.method != "HEAD")
        curl_easy_setopt(easy_, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
    // libcurl adds these by itself where they are not given, or taken away by an empty one. A line without a value needs a semicolon.
    bool typed = false;
    for (std::size_t at = 0, end; at < request_.head.size(); at = end + 2) {
        end = std::min(request_.head.find("\r\n", at), request_.head.size());
        auto line = request_.head.substr(at, end - at);
        const auto colon = line.find(':');
        if (colon == std::string::npos || line.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos)
            continue;
        typed = typed || same_name(std::string_view(line).substr(0, colon), "Content-Type");
        if (trim(std::string_view(line).substr(colon + 1)).empty())
            line = line.substr(0, colon) + ";";
        fields_ = curl_slist_append(fields_, line.c_str());
    }
    if (!typed)
        fields_ = curl_slist_append(fields_, "Content-Type:");
    fields_ = curl_slist_append(fields_, "Expect:");
    curl_easy_setopt(easy_, CURLOPT_HTTPHEADER, fields_);
}

bool transfer::allowed(const char* numeric_address)
{
    if (!request_.allows || (numeric_address != nullptr && request_.allows(numeric_address)))
        return true;
    refused_address_ = numeric_address != nullptr && *numeric_address != 0 ? numeric_address : "an unknown address";
    return false;
}

curl_socket_t transfer::on_open(void* self, curlsocktype purpose, curl_sockaddr* address)
{
    auto& of = *static_cast<transfer*>(self);
    if (purpose != CURLSOCKTYPE_IPCXN || !of.allowed(numeric(address->addr).c_str()))
        return CURL_SOCKET_BAD;
    const auto made = ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    of.shortage_ = made < 0 && is_shortage(errno) ? errno : 0;
    return made < 0 ? CURL_SOCKET_BAD : made;
}

int transfer::on_before_request(void* self, char* remote, char*, int, int)
{
    auto& of = *static_cast<transfer*>(self);
    of.not_sent_any_more_ = of.request_.may_send && !of.request_.may_send();
    of.request_began_ = !of.not_sent_any_more_ && of.allowed(remote);
    return of.request_began_ ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

std::size_t transfer::on_head(char* bytes, std::size_t one, std::size_t count, void* self)
{
    auto& of = *static_cast<transfer*>(self);
    const std::string_view line(bytes, one * count);
    of.head_bytes_ += line.size();
    of.head_too_large_ = of.head_bytes_ > of.head_bytes_max_;
    if (of.head_too_large_)
        return 0; // ends the transfer
    if (line.starts_with("HTTP/"))
        of.answer_.fields.clear(); // an interim answer came before, or this is the first
    else if (trim(line).empty())
        of.head_whole_ = of.status() >= 200;
    else
        of.keep_field(line);
    return line.size();
}

void transfer::keep_field(std::string_view line)
{
    const auto colon = line.find(':');
    if (colon == line.npos || colon == 0 || is_hop_by_hop(line.substr(0, colon)))
        return;
    // A trailer comes the same way, after the body has begun.
    if (answer_.body_bytes == 0)
        answer_.fields.push_back({std::string(line.substr(0, colon)), std::string(trim(line.substr(colon + 1)))});
}

std::size_t transfer::on_body(char* bytes, std::size_t one, std::size_t count, void* self)
{
    auto& of = *static_cast<transfer*>(self);
    auto& a = of.answer_;
    const auto size = one * count;
    a.body.append(bytes, static_cast<std::size_t>(std::min<std::uint64_t>(size, of.request_.answer_bytes_max - a.body.size())));
    a.body_bytes += size;
    a.truncated = a.body_bytes > a.body.size();
    return of.request_.only_status && a.truncated ? CURL_WRITEFUNC_ERROR : size;
}

std::size_t transfer::on_send(char* bytes, std::size_t one, std::size_t count, void* self)
{
    auto& of = *static_cast<transfer*>(self);
    const auto size = std::min(one * count, of.body_.size() - of.sent_);
    std::memcpy(bytes, of.body_.data() + of.sent_, size);
    of.sent_ += size;
    return size;
}

// libcurl sends again what met a connection that had been closed while idle.
int transfer::on_seek(void* self, curl_off_t offset, int origin)
{
    auto& of = *static_cast<transfer*>(self);
    if (origin != SEEK_SET || offset < 0 || static_cast<std::size_t>(offset) > of.body_.size())
        return CURL_SEEKFUNC_FAIL;
    of.sent_ = static_cast<std::size_t>(offset);
    return CURL_SEEKFUNC_OK;
}

unsigned transfer::status() const
{
    long status = 0;
    curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
    return static_cast<unsigned>(status);
}

outcome_kind transfer::kind_of(CURLcode code) const
{
    switch (code) {
    case CURLE_OK: return outcome_kind::delivered;
    case CURLE_OUT_OF_MEMORY: return outcome_kind::overloaded;
    case CURLE_OPERATION_TIMEDOUT:
        if (std::chrono::steady_clock::now() - started_ >= request_.deadline)
            return outcome_kind::timed_out;
        return request_began_ ? outcome_kind::timed_out : outcome_kind::refused;
    default: return request_began_ ? outcome_kind::unreachable : outcome_kind::refused; // nothing was sent: nothing was executed
    }
}

outcome transfer::finish(CURLcode code)
{
    ended_ = true;
    outcome result;
    result.took = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - started_);
    result.kind = kind_of(code);
    if (head_whole_ && request_.only_status)
        result.kind = outcome_kind::delivered;
    else if (result.kind == outcome_kind::delivered && !head_whole_)
        result.kind = outcome_kind::unreachable; // libcurl takes the end of the connection for the end of the header
    if (result.kind == outcome_kind::delivered) {
        answer_.truncated = answer_.truncated || code != CURLE_OK;
        answer_.status = status();
        result.reply = std::move(answer_);
    } else if (not_sent_any_more_) {
        result.kind = outcome_kind::overloaded;
        result.reason = "it may not be sent any more";
    } else if (shortage_ != 0 && !request_began_) {
        result.kind = outcome_kind::overloaded;
        result.reason = std::string("connect: ") + std::strerror(shortage_);
    } else if (!refused_address_.empty() && !request_began_) {
        result.kind = outcome_kind::refused;
        result.reason = "address " + refused_address_ + " is not allowed";
    } else if (head_too_large_) {
        result.reason = "bad answer: header of more than " + std::to_string(head_bytes_max_) + " bytes";
    } else if (code == CURLE_OK) {
        result.reason = "the connection closed in the middle of the answer's header";
    } else {
        result.reason = error_[0] != 0 ? error_.data() : curl_easy_strerror(code);
    }
    return result;
}

outcome transfer::cancelled()
{
    ended_ = true;
    outcome result;
    result.took = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - started_);
    result.reason = "cancelled";
    return result;
}

}
