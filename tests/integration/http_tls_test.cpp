#include "adapters/curl/client.hpp"
#include "tests/support/certificate.hpp"
#include "tests/support/loop_until.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/tls_server.hpp"

#include <gtest/gtest.h>

// TLS to a server with a certificate of its own, for "localhost": trusted only where its authority is configured, and only by that name.
namespace sluice {
namespace {

class http_tls : public ::testing::Test {
protected:
    http_tls() { server_.emplace(ca_file_, folder_ / "key.pem"); }

    outcome call(const std::string& host, const std::string& ca_file)
    {
        curl::client client(loop_, {.ca_file = ca_file});
        curl::client_request what;
        what.url = "https://" + host + ":" + std::to_string(server_->port()) + "/cb";
        what.body = std::make_shared<const std::string>("secret");
        auto got = test::wait_for<outcome>(loop_, [&](auto done) { client.call(std::move(what), done); });
        return got ? std::move(*got) : outcome{outcome_kind::unreachable, {}, "no outcome at all", {}};
    }

    test::temp_folder folder_;
    std::string ca_file_ = [this] {
        test::write_certificate(folder_ / "ca.pem", folder_ / "key.pem", "DNS:localhost");
        return folder_ / "ca.pem";
    }();
    std::optional<test::tls_server> server_;
    loop loop_;
};

TEST_F(http_tls, delivers_to_whom_it_can_verify)
{
    const auto got = call("localhost", ca_file_);
    ASSERT_EQ(got.kind, outcome_kind::delivered) << got.reason;
    EXPECT_TRUE(got.reply.body.starts_with("POST /cb HTTP/1.1\r\n")) << got.reply.body;
}

TEST_F(http_tls, sends_nothing_to_an_unknown_authority)
{
    const auto got = call("localhost", "");
    EXPECT_EQ(got.kind, outcome_kind::refused);
    EXPECT_NE(got.reason.find("certificate"), std::string::npos) << got.reason;
    EXPECT_TRUE(server_->requests().empty());
}

TEST_F(http_tls, sends_nothing_to_another_name)
{
    const auto got = call("127.0.0.1", ca_file_);
    EXPECT_EQ(got.kind, outcome_kind::refused);
    EXPECT_NE(got.reason.find("name"), std::string::npos) << got.reason;
    EXPECT_TRUE(server_->requests().empty());
}

}
}
