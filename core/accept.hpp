#pragma once
#include "core/directory.hpp"
#include "sluice/message_log.hpp"
#include "sluice/time.hpp"

#include <boost/system/result.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

// Accepting a call: may it be queued, and as which message in which partition's log. The same for a gateway and for connectors, which
// publish straight to the log; what belongs to HTTP is in core/accept_http.hpp. Pure.
namespace sluice::core {

struct accept_policy {
    std::uint32_t partitions = 1;
    std::uint64_t body_bytes_max = 1024 * 1024;
    std::uint64_t message_bytes_max = 1024 * 1024; // the server's max_payload: headers and payload of one message
    milliseconds publish_deadline{5'000};
    // Why a callback URL could never be allowed; empty text: it could.
    std::function<std::string(std::string_view url)> callback_refusal;
};

// Why a call is not accepted, as HTTP says it. `text` names the field that is wrong.
struct refusal {
    unsigned status = 500;
    std::string text;
    std::uint32_t retry_after_s = 0; // 0: no Retry-After
};
template <class T> using accept_result = boost::system::result<T, refusal>;

// A function that may be called, and where its calls go. Valid until the directory changes.
struct admission {
    const function_spec* function = nullptr;
    const std::string* tenant = nullptr;
    std::uint32_t partition = 0;
    std::string_view callback_url; // empty: none
};

// 503 where the directory cannot tell (an unknown function is then unknown to us only), 404, or 400 for the callback URL.
accept_result<admission> admit(const function_name& function, std::string_view callback_url, const directory& known,
                               const accept_policy& policy);

// A complete call: `message` goes to the log of `partition`.
struct accepted {
    append_request message;
    std::uint32_t partition = 0;
};

// `payload` is the HTTP request text, its body starting at `body_at`. 413 where it is larger than the log takes.
accept_result<accepted> seal(const admission& to, std::string id, std::string payload, std::uint64_t body_bytes, unix_ms now,
                             const accept_policy& policy);

refusal body_too_large(std::uint64_t body_bytes_max);

}
