#include "tests/support/engine_gateway.hpp"

#include "core/layout.hpp"

namespace sluice::testing_support {

namespace {

constexpr unsigned attempts = 3; // to publish a call

// What becomes of one, in hundred.
struct publish_fates {
    static constexpr unsigned never_arrived = 4, ack_lost = 9, ack_late = 12;
};

}

struct engine_gateway::publishing {
    ledger::accepted_call call;
    std::uint32_t partition = 0;
    headers fields;
    unsigned attempt = 0;
    std::uint64_t life = 0; // of the gateway that answers it
};

engine_gateway::engine_gateway(environment& in, std::function<void(std::uint32_t)> log_grew) : env_(in), log_grew_(std::move(log_grew)) {}

void engine_gateway::accept()
{
    auto& random = env_.random;
    auto what = std::make_shared<publishing>();
    what->life = life_;
    auto& call = what->call;
    call = {"id-" + std::to_string(++calls_), "tenant-" + std::to_string(random.below(4)), "", "", random.below(20) == 0};
    what->partition = core::partition_of(call.tenant, static_cast<std::uint32_t>(env_.partitions.size()));
    what->fields = {{"Nats-Msg-Id", call.id}};
    if (!call.unreadable)
        what->fields.push_back({"Sluice-Call", "1 " + call.tenant + ' ' + functions_[random.below(functions_.size())] + " 1790000000000"});
    if (!call.unreadable && random.below(3) != 0) {
        call.callback = "http://receiver/" + call.id;
        what->fields.push_back({"Sluice-Callback", call.callback});
    }
    call.payload = "POST / HTTP/1.1\r\nX-Call-Id: " + call.id + "\r\n\r\n" + std::string(random.below(150), 'b');
    publish(what);
}

void engine_gateway::crash()
{
    env_.books.note("gateway crash");
    env_.faults.hit(fault::gateway_crash);
    ++life_;
}

void engine_gateway::publish(const std::shared_ptr<publishing>& what)
{
    ++what->attempt;
    if (env_.is(mutation::accepted_without_ack) && what->attempt == 1)
        env_.books.promised(what->partition, what->call.id);
    const auto connection = env_.partitions[what->partition].connection;
    env_.clock.after(env_.random.wait(20, env_.goes_wrong(50, fault::request_slow) ? 50'000 : 300), [this, what, connection] {
        const bool reached = env_.up(what->partition) && env_.partitions[what->partition].connection == connection;
        boost::system::result<stored_at> result = log_errc::unknown;
        auto wait = env_.random.wait(20, 300);
        const auto fate = env_.calm ? 100 : env_.random.below(100);
        if (!reached || fate < publish_fates::never_arrived) {
            env_.faults.hit(fault::publish_never_arrived);
            wait = env_.random.wait(1'000, 100'000);
        } else {
            result = store(*what);
            if (fate < publish_fates::ack_late) {
                env_.faults.hit(fate < publish_fates::ack_lost ? fault::publish_ack_lost : fault::publish_ack_late);
                wait = env_.random.wait(1'000, 100'000);
            }
            if (fate < publish_fates::ack_lost)
                result = log_errc::unknown;
        }
        env_.clock.after(wait, [this, what, result] { finished(what, result); });
    });
}

boost::system::result<stored_at> engine_gateway::store(const publishing& what)
{
    auto& log = env_.partitions[what.partition].log;
    const auto result = log.append(what.call.id, what.fields, what.call.payload, {});
    if (result && result->duplicate)
        env_.faults.hit(fault::publish_was_stored_before);
    if (!result || result->duplicate)
        return result;
    env_.books.accepted(what.partition, log.last(), what.call);
    log_grew_(what.partition);
    return result;
}

void engine_gateway::finished(const std::shared_ptr<publishing>& what, const boost::system::result<stored_at>& result)
{
    if (what->life != life_)
        return; // nobody is there to answer
    if (result)
        env_.books.promised(what->partition, what->call.id);
    else if (what->attempt < attempts)
        publish(what);
    else
        env_.faults.hit(fault::publish_given_up); // answered 503
}

}
