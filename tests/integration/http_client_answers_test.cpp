#include "tests/support/http_client_fixture.hpp"

#include <array>

// Every shape of an answer, and the one way each is understood or refused: RFC 9112 § 6.3.
namespace sluice {
namespace {

using namespace std::chrono_literals;
using test::ok;

class http_client_answers : public test::http_client_fixture {};

TEST_F(http_client_answers, leaves_out_fields_of_the_connection)
{
    start();
    answer_with({"HTTP/1.1 200 OK\r\nConnection: X-Secret , keep-alive\r\nX-Secret: 1\r\nX-Kept: 2\r\nKeep-Alive: 5\r\nTrailer: x\r\n"
                 "Upgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n"});
    const auto got = call(request());
    ASSERT_EQ(got.kind, outcome_kind::delivered) << got.reason;
    ASSERT_EQ(got.reply.fields.size(), 1u);
    EXPECT_EQ(got.reply.fields[0].name, "X-Kept");
}

struct shape {
    const char* name;
    const char* method;
    std::string bytes;
    std::string body;
    bool kept; // the connection serves the next call
};

TEST_F(http_client_answers, understands_every_way_an_answer_may_end)
{
    const std::string h = "HTTP/1.1 200 OK\r\n";
    const std::vector<shape> shapes = {
        {"a length", "POST", ok, "ok", true},
        {"chunks", "POST", h + "Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n002\r\nde\r\n0\r\n\r\n", "abcde", true},
        {"the connection", "POST", h + "\r\nuntil the end", "until the end", false},
        {"the connection in HTTP/1.0", "POST", "HTTP/1.0 200 OK\r\n\r\nuntil the end", "until the end", false},
        {"a length in HTTP/1.0", "POST", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", false},
        {"kept alive in HTTP/1.0", "POST", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", "ok", true},
        {"closing", "POST", h + "Connection: close\r\nContent-Length: 2\r\n\r\nok", "ok", false},
        {"no body to HEAD", "HEAD", h + "Content-Length: 100\r\n\r\n", "", true},
        {"no chunks to HEAD", "HEAD", h + "Transfer-Encoding: chunked\r\n\r\n", "", true},
        {"204", "POST", "HTTP/1.1 204 No Content\r\n\r\n", "", true},
        {"304 with a length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", "", true},
        {"interim answers", "POST", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nX: y\r\n\r\n" + ok, "ok", true},
        {"nothing", "POST", h + "Content-Length: 0\r\n\r\n", "", true},
        {"garbage behind", "POST", ok + "HTTP/1.1 500 Not asked for\r\n\r\n", "ok", false},
    };
    for (const auto& s : shapes)
        for (const bool slowly : {false, true}) {
            SCOPED_TRACE(std::string(s.name) + (slowly ? " slowly" : ""));
            if (slowly && s.bytes.find("Not asked") != std::string::npos)
                continue; // what comes once the next call is under way is its answer, as far as HTTP/1.1 can tell
            start();
            timer pace(loop_);
            std::size_t sent = 0;
            std::function<void(test::raw_socket&)> next = [&](test::raw_socket& socket) {
                sent += socket.send(s.bytes.substr(sent, slowly ? 1 : s.bytes.size()));
                if (sent < s.bytes.size())
                    pace.after(0ms, [&] { next(socket); });
                else if (s.body == "until the end")
                    socket.end_sending();
            };
            on_request = next;
            const auto before = peer_.accepted.size();
            const auto got = call(request(s.method));
            EXPECT_EQ(got.kind, outcome_kind::delivered) << got.reason;
            EXPECT_EQ(got.reply.body, s.body);
            answer_with({ok});
            EXPECT_EQ(call(request()).reply.body, "ok");
            EXPECT_EQ(peer_.accepted.size() - before, s.kept ? 1u : 2u);
        }
}

TEST_F(http_client_answers, refuses_answers_whose_end_is_in_doubt)
{
    const std::string h = "HTTP/1.1 200 OK\r\n";
    const std::pair<const char*, std::string> answers[] = {
        {"garbage", "hello there, this is no HTTP\r\n\r\n"},
        {"another version", "HTTP/2.0 200 OK\r\n\r\n"},
        {"a status of letters", "HTTP/1.1 abc OK\r\n\r\n"},
        {"a status below 100", "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n"},
        {"an unasked upgrade", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"},
        {"another coding", h + "Transfer-Encoding: gzip\r\n\r\nxx"},
        {"two codings", h + "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
        {"coding and length", h + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
        {"two lengths", h + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nok"},
        {"equal lengths twice", h + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok"},
        {"a length of letters", h + "Content-Length: two\r\n\r\nok"},
        {"a broken chunk", h + "Transfer-Encoding: chunked\r\n\r\n2\r\nokXX\r\n0\r\n\r\n"},
        {"a chunk size of letters", h + "Transfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n"},
        {"a header without end", h + "X: " + std::string(5000, 'x')},
        {"many fields",
         h +
             [] {
                 std::string f;
                 while (f.size() < 5000)
                     f += "A: b\r\n";
                 return f;
             }()
             + "\r\n"},
        {"interim answers without end",
         [] {
             std::string f;
             for (int i = 0; i < 100; ++i)
                 f += "HTTP/1.1 100 C\r\n\r\n";
             return f;
         }()},
        {"a control character", h + "X: a\x01\r\nContent-Length: 0\r\n\r\n"},
    };
    for (const auto& [name, bytes] : answers) {
        SCOPED_TRACE(name);
        start({.header_bytes_max = 4096});
        answer_with({bytes});
        const auto got = call(request("GET"));
        EXPECT_EQ(got.kind, outcome_kind::unreachable);
        EXPECT_NE(got.reason, "");
        EXPECT_TRUE(until([&] { return peer_.accepted.back()->ended; }));
    }
}

TEST_F(http_client_answers, is_unreachable_when_the_answer_breaks_off)
{
    for (const auto& part : {std::string(), std::string("HTTP/1.1 200"), std::string("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"),
                             std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")})
        for (const bool reset : {false, true}) {
            start();
            on_request = [&](test::raw_socket& socket) {
                socket.send(part);
                reset ? socket.reset() : socket.close();
            };
            const auto got = call(request());
            EXPECT_EQ(got.kind, outcome_kind::unreachable) << part;
            EXPECT_NE(got.reason, "");
        }
}

TEST_F(http_client_answers, bounds_and_counts_the_answer)
{
    start();
    const std::string body(300'000, 'b');
    answer_with({"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + body});
    auto what = request();
    what.answer_bytes_max = 1000;
    const auto got = call(std::move(what));
    ASSERT_EQ(got.kind, outcome_kind::delivered) << got.reason;
    EXPECT_EQ(got.reply.body.size(), 1000u);
    EXPECT_EQ(got.reply.body_bytes, 300'000u);
    EXPECT_TRUE(got.reply.truncated);
    EXPECT_EQ(call(request()).reply.body, body);
    EXPECT_EQ(peer_.accepted.size(), 1u);
}

TEST_F(http_client_answers, where_only_the_status_counts_it_does_not_wait_for_the_rest)
{
    start();
    auto what = request();
    what.answer_bytes_max = 1000;
    what.only_status = true;
    answer_with({"HTTP/1.1 200 OK\r\n\r\n" + std::string(2'000, 'b')}); // and no end
    auto got = call(what);
    ASSERT_EQ(got.kind, outcome_kind::delivered) << got.reason;
    EXPECT_EQ(got.reply.status, 200u);
    EXPECT_TRUE(got.reply.truncated);
    what.deadline = std::chrono::milliseconds(300);
    answer_with({"HTTP/1.1 202 Accepted\r\nContent-Length: 10\r\n\r\nb"});
    got = call(what);
    ASSERT_EQ(got.kind, outcome_kind::delivered) << got.reason;
    EXPECT_EQ(got.reply.status, 202u);
    answer_with({"HTTP/1.1 202 Acc"});
    EXPECT_EQ(call(what).kind, outcome_kind::timed_out);
    answer_with({"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n"});
    EXPECT_EQ(call(what).kind, outcome_kind::timed_out) << "the status is still to come";
}

TEST_F(http_client_answers, where_only_the_status_counts_it_may_break_off_behind_its_head)
{
    start();
    auto what = request();
    what.only_status = true;
    const std::string head = "HTTP/1.1 201 Created\r\nContent-Length: 10\r\n\r\n";
    for (const auto& sent : {head, head + "half", std::string("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal")})
        for (const bool in_order : {true, false}) {
            on_request = [&](test::raw_socket& socket) {
                socket.send(sent);
                in_order ? socket.close() : socket.reset();
            };
            const auto got = call(what);
            // A reset may overtake what was sent before it.
            const bool overtaken = !in_order && got.kind == outcome_kind::unreachable && got.reason.find("receive") != std::string::npos;
            EXPECT_TRUE(overtaken || (got.kind == outcome_kind::delivered && got.reply.status == 201)) << sent << ": " << got.reason;
            EXPECT_TRUE(overtaken || got.reply.truncated);
            what.only_status = false;
            on_request = [&](test::raw_socket& socket) {
                socket.send(sent);
                socket.close();
            };
            EXPECT_EQ(call(what).kind, outcome_kind::unreachable);
            what.only_status = true;
        }
}

TEST_F(http_client_answers, sends_large_bodies_to_slow_peers)
{
    start();
    std::size_t got_bytes = 0;
    on_request = [&](test::raw_socket& socket) {
        got_bytes += std::exchange(socket.received, {}).size();
        if (got_bytes > 8'000'000)
            socket.send(ok);
    };
    auto what = request();
    what.body = std::make_shared<const std::string>(8'000'000, 'b');
    EXPECT_EQ(call(std::move(what)).reply.body, "ok");
}

TEST_F(http_client_answers, takes_an_answer_that_comes_before_all_is_sent)
{
    start();
    peer_.on_accept = [](test::raw_socket& socket) {
        socket.pause_reading();
        socket.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    };
    auto what = request();
    what.body = std::make_shared<const std::string>(64'000'000, 'b');
    const auto got = call(std::move(what));
    ASSERT_EQ(got.kind, outcome_kind::delivered) << got.reason;
    EXPECT_EQ(got.reply.status, 413u);
    peer_.accepted.clear();
    peer_.on_accept = [this](test::raw_socket& socket) { socket.on_bytes = [this, &socket] { on_request(socket); }; };
    answer_with({ok});
    EXPECT_EQ(call(request()).reply.body, "ok") << "the half sent request must not be followed by another on its connection";
}

}
}
