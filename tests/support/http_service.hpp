#pragma once
#include "adapters/http/server.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

// An HTTP service for tests: remembers what it was asked, answers "METHOD TARGET\n" and the body, or lets a test answer.
namespace sluice::test {

class http_service : public http::service {
public:
    struct seen {
        std::string method, target, body, peer;
        headers fields;
    };

    body_bound bound_of(const http_request&) override { return {body_bytes_max, "test_body_bytes_max"}; }

    std::optional<http_response> early_answer(const http_request& head) override { return early ? early(head) : std::nullopt; }

    void handle(http::exchange_ptr call) override
    {
        const auto& request = call->request();
        seen now{std::string(request.method), std::string(request.target), std::string(request.body), std::string(request.peer), {}};
        for (const auto& field : request.fields)
            now.fields.push_back({std::string(field.name), std::string(field.value)});
        requests.push_back(now);
        if (on_call)
            return on_call(std::move(call));
        call->reply({200, {{"Content-Type", "text/plain"}}, now.method + " " + now.target + "\n" + now.body});
    }

    std::uint64_t body_bytes_max = 64 * 1024;
    std::vector<seen> requests;
    std::function<void(http::exchange_ptr)> on_call;
    std::function<std::optional<http_response>(const http_request&)> early; // as http::service::early_answer
};

}
