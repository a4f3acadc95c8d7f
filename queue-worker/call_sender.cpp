#include "queue-worker/call_sender.hpp"

#include "sluice/wire.hpp"

namespace sluice::queue_worker {

namespace {

std::string field_lines(const core::act::dispatch& what)
{
    const auto& call = *what.what;
    const auto& token = what.target->token;
    std::string head;
    head.reserve(call.body_at - call.fields_at + token.size() + 96);
    head.assign(*call.payload, call.fields_at, call.body_at - 2 - call.fields_at);
    append_field(head, wire::attempt_header, std::to_string(what.attempt));
    append_field(head, wire::epoch_header, std::to_string(what.epoch));
    if (!token.empty())
        append_field(head, wire::replica_token_header, token);
    return head;
}

}

call_sender::call_sender(loop& on, bounds with) : client_(on, {}), bounds_(with) {}

void call_sender::send(const core::act::dispatch& what, std::function<bool()> may_send, std::function<void(outcome)> done)
{
    http::client_request request;
    request.host = what.target->host;
    request.port = what.target->port;
    request.method = core::method_of(*what.what->payload);
    request.target = core::target_of(*what.what->payload);
    request.head = field_lines(what);
    request.body = what.what->payload;
    request.body_offset = what.what->body_at;
    request.deadline = bounds_.deadline;
    request.answer_bytes_max = bounds_.answer_bytes_max;
    request.may_send = std::move(may_send);
    const bool ours = !what.target->token.empty();
    client_.call(std::move(request), [ours, done = std::move(done)](outcome result) {
        if (ours)
            adopt_cut(result.reply);
        done(std::move(result));
    });
}

}
