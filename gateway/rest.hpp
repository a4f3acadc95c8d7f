#pragma once
#include "core/function_codec.hpp"
#include "gateway/call.hpp"
#include "gateway/mirror_wait.hpp"
#include "sluice/message_log.hpp"

#include <string>
#include <string_view>

// What the handlers of the REST API share.
namespace sluice::gateway {

// How long an answer waits for the mirror to show a change that is stored.
inline constexpr milliseconds mirror_deadline{2'000};

http_response invalid_answer(std::string_view what, const core::field_error& wrong); // 400
http_response store_failure(const boost::system::error_code& failure);               // 503, or 413 and 507
http_response not_known(std::string_view why);                                       // 503: the directory cannot tell

// Passes a change's outcome on: success only once the mirror shows it.
template <class Result>
void answer_change(const call& from, mirror_wait& written, const mirror_wait::ticket_ptr& seen, const Result& result, unsigned status)
{
    if (!result)
        return from.reply(store_failure(result.error()));
    written.when_heard(seen, [from, status] { from.reply(empty_answer(status)); });
}

// The first value of a query's key, percent-decoded; empty when absent.
std::string query_value(std::string_view query, std::string_view key);

}
