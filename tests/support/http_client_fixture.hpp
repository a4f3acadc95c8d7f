#pragma once
#include "adapters/http/client.hpp"
#include "tests/support/loop_until.hpp"
#include "tests/support/raw_socket.hpp"

#include <algorithm>
#include <gtest/gtest.h>

namespace sluice::test {

using namespace std::chrono_literals;

// The client against a peer that says, byte for byte, what a test wants it to say.
class http_client_fixture : public ::testing::Test {
protected:
    http_client_fixture()
    {
        peer_.on_accept = [this](raw_socket& socket) {
            socket.on_bytes = [this, &socket] {
                if (on_request)
                    on_request(socket);
            };
        };
    }

    void start(http::client_options with = {}) { client_.emplace(loop_, with); }
    // Answers each whole request (told by the empty line, or by `x` where tests send a body) with the next of these, the last again.
    void answer_with(std::vector<std::string> answers)
    {
        on_request = [this, answers = std::move(answers), at = std::size_t{0}](raw_socket& socket) mutable {
            if (!socket.received.ends_with("\r\n\r\n") && !socket.received.ends_with("x"))
                return;
            requests_.push_back(std::exchange(socket.received, {}));
            socket.send(answers[std::min(at++, answers.size() - 1)]);
        };
    }
    http::client_request request(const std::string& method = "POST")
    {
        http::client_request out;
        out.host = "127.0.0.1";
        out.port = peer_.port();
        out.method = method;
        out.deadline = 20s;
        return out;
    }
    outcome call(http::client_request what)
    {
        auto got = wait_for<outcome>(loop_, [&](auto done) { client_->call(std::move(what), done); });
        return got ? std::move(*got) : outcome{outcome_kind::unreachable, {}, "no outcome at all", {}};
    }
    bool until(const std::function<bool()>& holds) { return loop_until(loop_, holds); }

    loop loop_;
    raw_listener peer_{loop_};
    std::optional<http::client> client_;
    std::vector<std::string> requests_;
    std::function<void(raw_socket&)> on_request;
};

inline const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

}
