#include "provider/local/replica.hpp"

#include <algorithm>
#include <csignal>
#include <utility>

namespace sluice::provider {

namespace {

using core::replica_phase;
using std::chrono::milliseconds;

constexpr milliseconds wait_first{5};
constexpr milliseconds wait_starting_max{200};
constexpr milliseconds wait_ready{2'000};
constexpr milliseconds wait_failing{500};
constexpr milliseconds answer_deadline{6'000}; // above the watchdog's own for a function's ready_path
constexpr int misses_max = 3;

bool takes_calls(const outcome& result)
{
    const auto status = result.reply.status;
    return result.kind == outcome_kind::delivered && ((status >= 200 && status < 300) || status == 429); // 429: it is full
}

}

replica::replica(loop& on, http::client& asks, core::replica_record record, milliseconds slow_start_after, listener told)
    : client_(asks),
      record_(std::move(record)),
      told_(std::move(told)),
      since_(std::chrono::steady_clock::now()),
      slow_start_after_(slow_start_after),
      wait_(wait_first),
      timer_(on),
      watch_(on, {record_.pid, record_.start_ticks}, [this](process::exit_status status) { told_.ended(status); })
{
    ask();
}

replica::~replica()
{
    *here_ = false;
    if (asking_)
        client_.cancel(question_);
}

void replica::ask()
{
    http::client_request request;
    request.host = "127.0.0.1";
    request.port = record_.port;
    request.method = "GET";
    request.target = "/_/ready";
    request.deadline = answer_deadline;
    request.answer_bytes_max = 4096;
    asking_ = true;
    question_ = client_.call(std::move(request), [this, here = here_](const outcome& result) {
        if (*here)
            answered(result);
    });
}

void replica::answered(const outcome& result)
{
    asking_ = false;
    if (phase_ >= replica_phase::leaving)
        return;
    const auto before = why_not_ready();
    ready_status_ = result.kind == outcome_kind::delivered ? result.reply.status : 0;
    ready_reason_ = result.kind == outcome_kind::delivered ? result.reply.body : std::string();
    bool news = !std::exchange(asked_once_, true);
    if (takes_calls(result)) {
        misses_ = 0;
        wait_ = wait_ready;
        enter(replica_phase::ready);
    } else if (phase_ == replica_phase::starting) {
        wait_ = std::min(wait_ * 2, wait_starting_max);
        if (std::chrono::steady_clock::now() - since_ >= slow_start_after_)
            news |= !std::exchange(slow_, true) || why_not_ready() != before;
    } else {
        wait_ = wait_failing;
        if (++misses_ >= misses_max)
            enter(result.kind == outcome_kind::delivered ? replica_phase::failing : replica_phase::silent);
    }
    timer_.after(wait_, [this] { ask(); });
    if (news)
        told_.changed();
}

void replica::enter(replica_phase phase)
{
    if (phase_ == phase)
        return;
    phase_ = phase;
    since_ = std::chrono::steady_clock::now();
    told_.changed();
}

void replica::leave()
{
    timer_.cancel();
    enter(replica_phase::leaving);
}

void replica::terminate()
{
    timer_.cancel();
    enter(replica_phase::stopping);
    process::signal({record_.pid, record_.start_ticks}, SIGTERM);
}

std::string replica::why_not_ready() const
{
    if (ready_status_ == 0)
        return "its watchdog does not answer /_/ready";
    return ready_reason_.empty() ? "/_/ready answers " + std::to_string(ready_status_) : ready_reason_;
}

void replica::kill(std::string reason)
{
    kill_reason_ = std::move(reason);
    process::signal({record_.pid, record_.start_ticks}, SIGKILL);
}

}
