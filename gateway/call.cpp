#include "gateway/call.hpp"

#include "sluice/version.hpp"

namespace sluice::gateway {

const std::string served_by = std::string("sluice/") + release;

http_response text_answer(unsigned status, std::string_view text)
{
    return {status, {{"Content-Type", "text/plain; charset=utf-8"}}, std::string(text).append("\n")};
}

http_response json_answer(unsigned status, std::string json) { return {status, {{"Content-Type", "application/json"}}, std::move(json)}; }

http_response empty_answer(unsigned status) { return {status, {}, {}}; }

http_response answer_of(const core::refusal& why)
{
    auto response = text_answer(why.status, why.text);
    if (why.retry_after_s > 0)
        response.fields.push_back({"Retry-After", std::to_string(why.retry_after_s)});
    return response;
}

http_response unavailable(std::string_view text, std::uint32_t retry_after_s) { return answer_of({503, std::string(text), retry_after_s}); }

void call::reply(http_response response) const
{
    if (route_ && route_->counted) {
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started_;
        counted_->answered(*route_, request().method, response.status, took.count());
    }
    exchange_->reply(std::move(response));
}

}
