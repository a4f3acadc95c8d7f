#include "tests/integration/queue_worker_fixture.hpp"
#include "tests/support/raw_socket.hpp"

// Receivers of callbacks that misbehave: each costs its own call's attempts, and nothing else. The many spellings of addresses that may
// not be reached are in unit/url_guard_test.
namespace sluice {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t attempts_max = 2;

// Answers every request on every connection with the same bytes.
class odd_receiver {
public:
    odd_receiver(loop& on, std::string answer, bool resets = false) : listener_(on)
    {
        listener_.on_accept = [this, answer = std::move(answer), resets](test::raw_socket& socket) {
            socket.on_bytes = [this, &socket, answer, resets] {
                if (!socket.received.ends_with("done")) // the callback's body
                    return;
                ++requests;
                socket.received.clear();
                socket.send(answer);
                if (resets)
                    socket.reset();
            };
        };
    }
    std::uint16_t port() const { return listener_.port(); }
    void close() { listener_.close(); }

    std::size_t requests = 0;

private:
    test::raw_listener listener_;
};

// Through the plain client, which connects to numbers, and through libcurl, which resolves names.
class callback_receivers_test : public test::queue_worker_test, public testing::WithParamInterface<const char*> {
protected:
    callback_receivers_test() { options_.shard.callback.attempts_max = attempts_max; }
    std::string url(std::uint16_t port, const std::string& path = "/cb") const
    {
        return std::string("http://") + GetParam() + ':' + std::to_string(port) + path;
    }
    // The function ran once, the receiver was asked so often, and a call behind it is called back.
    void expect(const std::string& at, std::size_t requests, const odd_receiver* asked)
    {
        start_worker();
        accept("odd", "x", at);
        accept("good", "x", true);
        ASSERT_TRUE(until([&] { return function_.calls.size() == 2 && worker_->live() == 0 && receiver_.calls.size() == 1; }));
        EXPECT_EQ(*find(receiver_.calls[0].fields, "X-Call-Id"), "good");
        if (asked) {
            EXPECT_EQ(asked->requests, requests);
        }
    }
};

TEST_P(callback_receivers_test, down)
{
    odd_receiver nobody(loop_, "");
    nobody.close();
    expect(url(nobody.port()), 0, nullptr);
}

TEST_P(callback_receivers_test, slow)
{
    options_.callback_deadline = 1s;
    const odd_receiver silent(loop_, "");
    expect(url(silent.port()), attempts_max, &silent);
}

TEST_P(callback_receivers_test, redirects)
{
    const odd_receiver elsewhere(
        loop_, "HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\nLocation: " + url(receiver_.port(), "/stolen") + "\r\n\r\n");
    expect(url(elsewhere.port()), attempts_max, &elsewhere);
}

TEST_P(callback_receivers_test, answers_with_a_header_that_does_not_end)
{
    std::string lines = "HTTP/1.1 200 OK\r\n";
    for (int i = 0; i < 20'000; ++i)
        lines += "X-Line: y\r\n";
    const odd_receiver endless(loop_, lines);
    expect(url(endless.port()), attempts_max, &endless);
}

TEST_P(callback_receivers_test, answers_with_a_body_that_does_not_end)
{
    const odd_receiver endless(loop_, "HTTP/1.1 200 OK\r\n\r\n" + std::string(64 * 1024, 'b'));
    expect(url(endless.port()), 1, &endless); // its status is there: delivered
}

TEST_P(callback_receivers_test, breaks_off)
{
    const odd_receiver breaks(loop_, "HTTP/1.1 200 O", true);
    expect(url(breaks.port()), attempts_max, &breaks);
}

TEST_P(callback_receivers_test, speaks_something_else)
{
    const odd_receiver other(loop_, "SSH-2.0-OpenSSH_9.2\r\n\r\n", true);
    expect(url(other.port()), attempts_max, &other);
}

TEST_P(callback_receivers_test, may_not_be_reached)
{
    const odd_receiver inside(loop_, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    options_.callback_allow = {"192.0.2.1"};
    start_worker();
    accept("odd", "x", url(inside.port()));
    ASSERT_TRUE(until([&] { return function_.calls.size() == 1 && worker_->live() == 0; }));
    EXPECT_EQ(inside.requests, 0u);
}

INSTANTIATE_TEST_SUITE_P(by, callback_receivers_test, testing::Values("127.0.0.1", "localhost"),
                         [](const auto& each) { return std::string(each.param) == "localhost" ? "name" : "number"; });

}
}
