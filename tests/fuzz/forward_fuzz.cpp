#include "adapters/http/request_reader.hpp"
#include "core/accept.hpp"
#include "core/forward.hpp"
#include "core/invocation.hpp"
#include "sluice/wire.hpp"

#include <cstdlib>

// A request from a stranger on its way into the log and out to a function: none of the fields that are the connection's or ours gets through,
// no field line becomes two, and the call that the log gives back has the request's method, path and body.
namespace {

using namespace sluice;

void must(bool holds)
{
    if (!holds)
        std::abort();
}

void check_lines(std::string_view block)
{
    while (!block.empty()) {
        const auto end = block.find("\r\n");
        must(end != block.npos);
        const auto line = block.substr(0, end);
        const auto colon = line.find(':');
        must(colon != line.npos && colon > 0);
        const auto name = line.substr(0, colon);
        must(!is_hop_by_hop(name) && !same_name(name, wire::replica_token_header) && !same_name(name, "Host")
             && !same_name(name, "Content-Length"));
        must(line.find_first_of(std::string_view("\r\n\0", 3)) == line.npos);
        block.remove_prefix(end + 2);
    }
}

}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    http::request_reader reader(2048);
    std::string held(reinterpret_cast<const char*>(data), size);
    for (std::size_t taken = 1; taken > 0 && reader.at() != http::request_reader::state::complete;) {
        taken = reader.feed(held);
        held.erase(0, taken);
        if (reader.at() == http::request_reader::state::head_done)
            reader.accept_body(1024, "bound");
    }
    if (reader.at() != http::request_reader::state::complete)
        return 0;
    const auto& request = reader.request();
    core::is_traceparent(request.field("traceparent"));
    if (!request.target.starts_with('/'))
        return 0; // not for a function
    const auto target = core::split_target(request.target, "/");
    must(target.name.size() + target.path.size() + target.query.size() <= request.target.size());

    constexpr std::string_view made = "019b0c5e-0000-7000-8000-000000000001";
    std::string block;
    const auto id = core::append_forwarded(block, request, {made, 1, "agent"});
    must(!id.empty() && block.size() <= core::field_bytes(request) + core::additions_bytes_max);
    check_lines(block);

    function_spec function;
    function.name = {"name", "space"};
    const std::string tenant = "tenant";
    auto payload =
        std::string(request.method) + ' ' + std::string(request.target) + " HTTP/1.1\r\n" + block + "\r\n" + std::string(request.body);
    auto sealed = core::seal({&function, &tenant, 0, {}}, std::string(made), payload, request.body.size(), 5, {});
    must(sealed.has_value());
    sealed->message.fields.push_back({"Nats-Msg-Id", sealed->message.id}); // as the store keeps it
    const auto call = core::parse_invocation({1, sealed->message.fields, sealed->message.payload});
    must(call.has_value());
    must(core::method_of(*call->payload) == request.method && core::target_of(*call->payload) == request.target
         && call->payload->substr(call->body_at) == request.body);
    return 0;
}
