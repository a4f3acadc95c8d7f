#include "tests/support/certificate.hpp"
#include "tests/support/nats_jwt.hpp"
#include "tests/support/nats_server.hpp"
#include "tests/support/sluice_up.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

// `sluice up --nats`: every way in that a NATS server of somebody else may ask for, and what is said when it is the wrong one.
namespace sluice::test {

namespace {

using testing::AllOf;
using testing::HasSubstr;

class somebody_elses_nats : public ::testing::Test {
protected:
    // Room is reserved in the logs, and the disk may be small.
    static std::vector<std::string> small(std::vector<std::string> flags)
    {
        for (const char* option : {"gateway.log_bytes_max", "queue-worker.log_bytes_max", "queue-worker.journal_bytes_max"})
            flags.insert(flags.end(), {"--role-option", std::string(option) + "=32MiB"});
        return flags;
    }

    void works(const std::vector<std::string>& flags)
    {
        sluice_up up(loop_, small(flags));
        EXPECT_EQ(up.role("nats-server").pid, 0);
        const auto healthy = up.call("/healthz", {"GET", {}, ""});
        EXPECT_EQ(healthy.reply.status, 200u) << up.logs();
        EXPECT_EQ(up.stop(), 0) << up.logs();
    }

    // What `up` says when it ends by itself.
    std::string refusal(const std::vector<std::string>& flags)
    {
        try {
            const sluice_up up(loop_, flags);
        } catch (const std::runtime_error& ended) {
            const std::string all = ended.what();
            const auto at = all.find("sluice up: ");
            return at == all.npos ? all : all.substr(at, all.find('\n', at) - at);
        }
        return "it started";
    }

    std::string file(const std::string& name, const std::string& content)
    {
        std::ofstream(folder_ / name) << content;
        return folder_ / name;
    }

    temp_folder folder_;
    loop loop_;
};

TEST_F(somebody_elses_nats, over_tls_with_a_certificate_that_is_verified)
{
    write_certificate(folder_ / "cert.pem", folder_ / "key.pem");
    write_certificate(folder_ / "other.pem", folder_ / "other-key.pem");
    nats_server_options secure;
    secure.certificate_file = folder_ / "cert.pem";
    secure.key_file = folder_ / "key.pem";
    const nats_server server(secure);
    works({"--nats", server.url(), "--nats-ca-file", folder_ / "cert.pem"});
    EXPECT_THAT(refusal({"--nats", server.url(), "--nats-ca-file", folder_ / "other.pem"}),
                AllOf(HasSubstr(server.url()), HasSubstr("SSL"), HasSubstr("certificate")));
}

TEST_F(somebody_elses_nats, with_user_and_password)
{
    nats_server_options guarded;
    guarded.user = "somebody";
    guarded.password = "secret";
    const nats_server server(guarded);
    works({"--nats", server.url(), "--nats-user", "somebody", "--nats-password-file", file("right", "secret\n")});
    EXPECT_THAT(refusal({"--nats", server.url(), "--nats-user", "somebody", "--nats-password-file", file("wrong", "guess\n")}),
                AllOf(HasSubstr(server.url()), HasSubstr("Authorization Violation")));
    EXPECT_THAT(refusal({"--nats", server.url()}), AllOf(HasSubstr(server.url()), HasSubstr("Authorization Violation")));
}

TEST_F(somebody_elses_nats, with_a_users_credentials_file)
{
    const auto made = make_nats_operator(), stranger = make_nats_operator();
    nats_server_options trusting;
    trusting.more = made.server_config;
    const nats_server server(trusting);
    works({"--nats", server.url(), "--nats-credentials-file", file("user.creds", made.credentials)});
    EXPECT_THAT(refusal({"--nats", server.url(), "--nats-credentials-file", file("other.creds", stranger.credentials)}),
                AllOf(HasSubstr(server.url()), HasSubstr("Authorization Violation")));
}

TEST_F(somebody_elses_nats, that_cannot_be_used_is_said_with_url_and_reason)
{
    nats_server_options plain;
    plain.jetstream = false;
    nats_server server(plain);
    EXPECT_THAT(refusal({"--nats", server.url()}), AllOf(HasSubstr(server.url()), HasSubstr("JetStream")));
    EXPECT_THAT(
        refusal({"--nats", "tls://127.0.0.1:" + std::to_string(server.port())}),
        AllOf(HasSubstr(std::to_string(server.port())), testing::AnyOf(HasSubstr("TLS"), HasSubstr("secure"), HasSubstr("Secure"))));
    server.kill();
    EXPECT_THAT(refusal({"--nats", server.url()}), AllOf(HasSubstr(server.url()), HasSubstr("refused")));
}

}

}
