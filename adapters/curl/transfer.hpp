#pragma once
#include "adapters/curl/client.hpp"

#include <array>
#include <chrono>
#include <curl/curl.h>

// One call as an easy handle of libcurl: options, what it sends and receives, and what its end means. Inside of the client only.
namespace sluice::curl {

class transfer {
public:
    transfer(client::call_id id, client_request request, std::function<void(outcome)> done, const client_options& options);
    ~transfer();
    transfer(const transfer&) = delete;
    transfer& operator=(const transfer&) = delete;

    client::call_id id() const noexcept { return id_; }
    CURL* easy() const noexcept { return easy_; } // null: no memory
    // The outcome, once libcurl has ended it.
    outcome finish(CURLcode code);
    outcome cancelled();
    // False once it has ended, or was cancelled: its outcome is on its way.
    bool may_end() const noexcept { return !ended_; }
    std::function<void(outcome)> take_done() { return std::move(done_); }

private:
    void set_where(const client_options& options);
    void set_limits(const client_options& options);
    void set_request();
    unsigned status() const; // of the last status line
    outcome_kind kind_of(CURLcode code) const;
    bool allowed(const char* numeric_address);
    void keep_field(std::string_view line);

    static curl_socket_t on_open(void* self, curlsocktype purpose, curl_sockaddr* address);
    static int on_before_request(void* self, char* remote, char* local, int remote_port, int local_port);
    static std::size_t on_head(char* bytes, std::size_t one, std::size_t count, void* self);
    static std::size_t on_body(char* bytes, std::size_t one, std::size_t count, void* self);
    static std::size_t on_send(char* bytes, std::size_t one, std::size_t count, void* self);
    static int on_seek(void* self, curl_off_t offset, int origin);

    client::call_id id_;
    client_request request_;
    std::function<void(outcome)> done_;
    std::chrono::steady_clock::time_point started_;
    CURL* easy_;
    curl_slist* fields_ = nullptr;
    std::array<char, CURL_ERROR_SIZE> error_{};
    std::string_view body_;
    std::size_t sent_ = 0; // of the body
    answer answer_;
    std::size_t head_bytes_ = 0;
    std::size_t head_bytes_max_;
    std::string refused_address_;
    bool not_sent_any_more_ = false;
    bool request_began_ = false; // a connection stood, and was allowed
    bool head_too_large_ = false;
    bool head_whole_ = false; // of the final answer
    int shortage_ = 0;        // the error number of a socket that could not be had
    bool ended_ = false;
};

}
