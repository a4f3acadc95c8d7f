#include "adapters/http/server.hpp"
#include "tests/support/http_service.hpp"
#include "tests/support/poll_until.hpp"
#include "tests/support/sluice_up.hpp"

#include <gtest/gtest.h>

#include <algorithm>

// A trace goes through the whole engine, from a client's call to the function and the callback, as W3C Trace Context
// (https://www.w3.org/TR/trace-context/, section 3.2) has it: the trace id stays, each hop has a span id that is not all zeros.
namespace sluice::test {

namespace {

struct trace {
    std::string id, span, flags; // empty: the field is no traceparent of version 00
};

trace trace_of(std::string_view field)
{
    // "00-", 32 digits, "-", 16 digits, "-", 2 digits
    constexpr std::string_view form = "00-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
    const auto fits = [](char c, char as) {
        return as == 'x' ? std::string_view("0123456789abcdef").find(c) != std::string_view::npos : c == as;
    };
    if (field.size() != form.size() || !std::equal(field.begin(), field.end(), form.begin(), fits))
        return {};
    trace found{std::string(field.substr(3, 32)), std::string(field.substr(36, 16)), std::string(field.substr(53))};
    const bool zeros = found.id == std::string(32, '0') || found.span == std::string(16, '0');
    return zeros ? trace{} : found;
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
