#pragma once
#include "tests/support/engine_environment.hpp"

#include <functional>
#include <memory>
#include <string>

namespace sluice::testing_support {

// The gateways: each call is published up to three times under one id, as long as it is not known what became of the time before, and answered 202
// only when the log says that it has it. A gateway may die with calls under way, of which nobody is told anything.
class engine_gateway {
public:
    // `log_grew` is told of a partition whose log has a new message.
    engine_gateway(environment& in, std::function<void(std::uint32_t partition)> log_grew);

    // A random call comes in.
    void accept();
    void crash();
    std::uint64_t calls() const { return calls_; }
    void tell_of(std::string function) { functions_.push_back(std::move(function)); }

private:
    struct publishing;
    void publish(const std::shared_ptr<publishing>& what);
    // The log's answer; unknown: none in time.
    boost::system::result<stored_at> store(const publishing& what);
    void finished(const std::shared_ptr<publishing>& what, const boost::system::result<stored_at>& result);

    environment& env_;
    std::function<void(std::uint32_t)> log_grew_;
    std::vector<std::string> functions_;
    std::uint64_t calls_ = 0, life_ = 0;
};

}
