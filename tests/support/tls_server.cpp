#include "tests/support/tls_server.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <mutex>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdexcept>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace sluice::test {

namespace {

using context_handle = std::unique_ptr<SSL_CTX, decltype(&::SSL_CTX_free)>;
using tls_handle = std::unique_ptr<SSL, decltype(&::SSL_free)>;

// Where the request ends, once its head is there: after as many bytes as its Content-Length says.
std::size_t size_of(const std::string& request)
{
    const auto head = request.find("\r\n\r\n");
    if (head == std::string::npos)
        return std::string::npos;
    const std::string_view field = "\r\nContent-Length: ";
    const auto at = request.find(field);
    return head + 4 + (at < head ? std::stoul(request.substr(at + field.size())) : 0);
}

}

struct tls_server::state {
    context_handle context{SSL_CTX_new(TLS_server_method()), ::SSL_CTX_free};
    int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    std::uint16_t port = 0;
    mutable std::mutex mutex;
    std::vector<std::string> requests;
    std::thread thread;

    void serve()
    {
        for (int fd; (fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC)) >= 0; ::close(fd)) {
            const tls_handle tls(SSL_new(context.get()), ::SSL_free);
            SSL_set_fd(tls.get(), fd);
            if (SSL_accept(tls.get()) == 1)
                serve(tls.get());
        }
    }

    void serve(SSL* tls)
    {
        std::string request;
        std::array<char, 4096> piece;
        // All of it is read: closing on unread bytes would reset the connection under the answer.
        while (request.size() < size_of(request)) {
            const int count = SSL_read(tls, piece.data(), static_cast<int>(piece.size()));
            if (count <= 0)
                return;
            request.append(piece.data(), static_cast<std::size_t>(count));
        }
        const auto answer =
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + std::to_string(request.size()) + "\r\n\r\n" + request;
        {
            const std::lock_guard lock(mutex);
            requests.push_back(std::move(request));
        }
        SSL_write(tls, answer.data(), static_cast<int>(answer.size()));
        SSL_shutdown(tls);
    }
};

tls_server::tls_server(const std::string& certificate_file, const std::string& key_file) : state_(std::make_unique<state>())
{
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    if (SSL_CTX_use_certificate_file(state_->context.get(), certificate_file.c_str(), SSL_FILETYPE_PEM) != 1
        || SSL_CTX_use_PrivateKey_file(state_->context.get(), key_file.c_str(), SSL_FILETYPE_PEM) != 1
        || ::bind(state_->listener, reinterpret_cast<sockaddr*>(&at), size) != 0 || ::listen(state_->listener, 16) != 0
        || ::getsockname(state_->listener, reinterpret_cast<sockaddr*>(&at), &size) != 0)
        throw std::runtime_error("a test's TLS listener failed");
    state_->port = ntohs(at.sin_port);
    state_->thread = std::thread([this] { state_->serve(); });
}

tls_server::~tls_server()
{
    ::shutdown(state_->listener, SHUT_RDWR); // wakes accept
    state_->thread.join();
    ::close(state_->listener);
}

std::uint16_t tls_server::port() const { return state_->port; }

std::vector<std::string> tls_server::requests() const
{
    const std::lock_guard lock(state_->mutex);
    return state_->requests;
}

}
