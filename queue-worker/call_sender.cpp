#include "queue-worker/call_sender.hpp"

#include "sluice/wire.hpp"

namespace sluice::queue_worker {

namespace {

std::string field_lines(const core::invocation& call, const endpoint& target)
{
    std::string head;
    head.reserve(call.body_at - call.fields_at + target.token.size() + 32);
    head.assign(*call.payload, call.fields_at, call.body_at - 2 - call.fields_at);
    if (!target.token.empty())
        append_field(head, wire::replica_token_header, target.token);
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
    request.head = field_lines(*what.what, *what.target);
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
