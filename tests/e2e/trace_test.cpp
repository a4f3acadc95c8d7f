#include "adapters/http/server.hpp"
#include "tests/support/http_service.hpp"
#include "tests/support/poll_until.hpp"
#include "tests/support/sluice_up.hpp"

#include <gtest/gtest.h>

#include <regex>

// A trace goes through the whole engine, from a client's call to the function and the callback, as W3C Trace Context
// (https://www.w3.org/TR/trace-context/, section 3.2) has it: the trace id stays, each hop has a span id that is not all zeros.
namespace sluice::test {

namespace {

struct trace {
    std::string id, span, flags; // empty: the field is no traceparent of version 00
};

trace trace_of(std::string_view field)
{
    static const std::regex form("00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})");
    std::cmatch parts;
    if (!std::regex_match(field.data(), field.data() + field.size(), parts, form) || parts[1] == std::string(32, '0')
        || parts[2] == std::string(16, '0'))
        return {};
    return {parts[1], parts[2], parts[3]};
}

class traced : public ::testing::Test {
protected:
    traced()
    {
        function_service_.on_call = [this](http::exchange_ptr call) {
            at_function_ = trace_of(call->request().field("traceparent"));
            call->reply({200, {}, "done"});
        };
        callback_service_.on_call = [this](http::exchange_ptr call) {
            at_callback_ = trace_of(call->request().field("traceparent"));
            called_back_ = true;
            call->reply({204, {}, ""});
        };
    }

    void call(headers fields)
    {
        called_back_ = false;
        fields.push_back({"X-Callback-Url", "http://127.0.0.1:" + std::to_string(callbacks_.port()) + "/done"});
        unsigned status = 0;
        ASSERT_TRUE(poll_until(loop_,
                               [&] {
                                   status = up_.call("/async-function/traced", {"POST", fields, "work"}).reply.status;
                                   return status == 202;
                               }))
            << status << ' ' << up_.logs();
        ASSERT_TRUE(loop_until(loop_, [&] { return called_back_; })) << up_.logs();
    }

    loop loop_;
    http_service function_service_, callback_service_;
    http::server function_{loop_, {}, function_service_}, callbacks_{loop_, {}, callback_service_};
    sluice_up up_{loop_, {"--static-function", "traced=http://127.0.0.1:" + std::to_string(function_.port())}};
    trace at_function_, at_callback_;
    bool called_back_ = false;
};

TEST_F(traced, a_clients_trace_reaches_the_function_and_the_callback)
{
    const std::string id = "4bf92f3577b34da6a3ce929d0e0e4736", span = "00f067aa0ba902b7";
    call({{"traceparent", "00-" + id + '-' + span + "-01"}});
    EXPECT_EQ(at_function_.id, id);
    EXPECT_NE(at_function_.span, "");
    EXPECT_EQ(at_function_.flags, "01") << "sampled stays sampled";
    EXPECT_EQ(at_callback_.id, id);
    EXPECT_NE(at_callback_.span, "");
}

TEST_F(traced, a_call_without_a_trace_or_with_a_broken_one_begins_one)
{
    call({});
    EXPECT_EQ(at_function_.id.size(), 32u);
    EXPECT_EQ(at_callback_.id, at_function_.id);
    const auto first = at_function_.id;
    call({{"traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"}});
    EXPECT_EQ(at_function_.id.size(), 32u) << "a trace id of zeros is none";
    EXPECT_EQ(at_callback_.id, at_function_.id);
    EXPECT_NE(at_function_.id, first);
}

}

}
