#include "adapters/curl/client.hpp"
#include "tests/support/loop_until.hpp"

#include <arpa/inet.h>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

// TLS to a server with a certificate of its own, for "localhost": trusted only where its authority is configured, and only by that name.
namespace sluice {
namespace {

using namespace std::chrono_literals;

template <auto Free> struct freed_by {
    template <class T> void operator()(T* thing) const { Free(thing); }
};
using key_ptr = std::unique_ptr<EVP_PKEY, freed_by<&EVP_PKEY_free>>;
using certificate_ptr = std::unique_ptr<X509, freed_by<&X509_free>>;

certificate_ptr make_certificate(EVP_PKEY* key)
{
    certificate_ptr made(X509_new());
    X509_set_version(made.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(made.get()), -3600);
    X509_gmtime_adj(X509_getm_notAfter(made.get()), 3600);
    X509_set_pubkey(made.get(), key);
    auto* name = X509_get_subject_name(made.get());
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
    X509_set_issuer_name(made.get(), name);
    for (const auto& [id, value] : {std::pair{NID_subject_alt_name, "DNS:localhost"}, {NID_basic_constraints, "critical,CA:TRUE"}}) {
        auto* extension = X509V3_EXT_conf_nid(nullptr, nullptr, id, value);
        X509_add_ext(made.get(), extension, -1);
        X509_EXTENSION_free(extension);
    }
    X509_sign(made.get(), key, EVP_sha256());
    return made;
}

// Answers one request a connection with what it read, in a thread of its own.
class tls_server {
public:
    tls_server(EVP_PKEY* key, X509* certificate)
        : context_(SSL_CTX_new(TLS_server_method())), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))
    {
        SSL_CTX_use_PrivateKey(context_.get(), key);
        SSL_CTX_use_certificate(context_.get(), certificate);
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof at;
        if (::bind(listener_, reinterpret_cast<sockaddr*>(&at), size) != 0 || ::listen(listener_, 16) != 0
            || ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size) != 0)
            throw std::runtime_error("a test's TLS listener failed");
        port_ = ntohs(at.sin_port);
        thread_ = std::thread([this] { serve(); });
    }
    ~tls_server()
    {
        ::shutdown(listener_, SHUT_RDWR); // wakes accept
        thread_.join();
        ::close(listener_);
    }
    std::uint16_t port() const { return port_; }

private:
    void serve()
    {
        for (int fd; (fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0; ::close(fd)) {
            std::unique_ptr<SSL, freed_by<&SSL_free>> tls(SSL_new(context_.get()));
            SSL_set_fd(tls.get(), fd);
            if (SSL_accept(tls.get()) != 1)
                continue;
            std::string request;
            std::array<char, 4096> piece;
            // All of it is read: closing on unread bytes would reset the connection under the answer.
            for (int count = 1; count > 0 && !request.ends_with("secret");) {
                count = SSL_read(tls.get(), piece.data(), static_cast<int>(piece.size()));
                request.append(piece.data(), static_cast<std::size_t>(std::max(count, 0)));
            }
            const auto answer =
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + std::to_string(request.size()) + "\r\n\r\n" + request;
            SSL_write(tls.get(), answer.data(), static_cast<int>(answer.size()));
            SSL_shutdown(tls.get());
        }
    }

    std::unique_ptr<SSL_CTX, freed_by<&SSL_CTX_free>> context_;
    int listener_;
    std::uint16_t port_ = 0;
    std::thread thread_;
};

class http_tls : public ::testing::Test {
protected:
    http_tls()
    {
        char pattern[] = "/tmp/sluice-tls-XXXXXX";
        folder_ = ::mkdtemp(pattern);
        ca_file_ = folder_ + "/ca.pem";
        auto* file = std::fopen(ca_file_.c_str(), "w");
        PEM_write_X509(file, certificate_.get());
        std::fclose(file);
    }
    ~http_tls() override { std::filesystem::remove_all(folder_); }

    outcome call(const std::string& host, const std::string& ca_file)
    {
        curl::client client(loop_, {.ca_file = ca_file});
        curl::client_request what;
        what.url = "https://" + host + ":" + std::to_string(server_.port()) + "/cb";
        what.body = std::make_shared<const std::string>("secret");
        auto got = test::wait_for<outcome>(loop_, [&](auto done) { client.call(std::move(what), done); });
        return got ? std::move(*got) : outcome{outcome_kind::unreachable, {}, "no outcome at all", {}};
    }

    key_ptr key_{EVP_EC_gen("P-256")};
    certificate_ptr certificate_ = make_certificate(key_.get());
    tls_server server_{key_.get(), certificate_.get()};
    std::string folder_, ca_file_;
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
}

TEST_F(http_tls, sends_nothing_to_another_name)
{
    const auto got = call("127.0.0.1", ca_file_);
    EXPECT_EQ(got.kind, outcome_kind::refused);
    EXPECT_NE(got.reason.find("name"), std::string::npos) << got.reason;
}

}
}
