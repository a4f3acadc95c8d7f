#include "adapters/memory/memory_log.hpp"

#include "adapters/memory/memory_store.hpp"

#include <algorithm>
#include <utility>

namespace sluice::memory {

namespace {

constexpr std::chrono::seconds duplicate_window{20};
constexpr std::size_t payload_bytes_max = 8 * 1024 * 1024;
constexpr std::size_t delivered_in_a_turn = 100;

std::uint64_t size_of(const log_message& message)
{
    std::uint64_t size = message.payload.size();
    for (const auto& field : message.fields)
        size += field.name.size() + field.value.size() + 4;
    return size;
}

// What the real log cannot hold is refused here too.
bool valid(const headers& fields)
{
    return std::none_of(fields.begin(), fields.end(), [](const header& field) {
        return field.name.empty() || field.value.empty() || (field.name + field.value).find_first_of("\r\n") != std::string::npos;
    });
}

}

message_log::result<stored_at> stream::append(const append_request& request)
{
    if (!valid(request.fields))
        return make_error_code(boost::system::errc::invalid_argument);
    if (*down)
        return log_errc::unavailable;
    log_message message{last_sequence + 1, request.fields, request.payload};
    const auto size = size_of(message);
    if (size > payload_bytes_max)
        return log_errc::too_large;
    forget_old_ids();
    if (const auto known = sequences_by_id.find(request.id); !request.id.empty() && known != sequences_by_id.end())
        return stored_at{known->second, true};
    if (request.expected_last_sequence && *request.expected_last_sequence != last_sequence)
        return log_errc::wrong_sequence;
    if (bytes_max > 0 && bytes + size > bytes_max)
        return log_errc::full;
    if (!request.id.empty()) {
        message.fields.push_back({"Nats-Msg-Id", request.id});
        sequences_by_id[request.id] = message.sequence;
        ids.emplace_back(std::chrono::steady_clock::now(), request.id);
    }
    bytes += size;
    last_sequence = message.sequence;
    messages.push_back(std::move(message));
    wake_readers();
    return stored_at{last_sequence, false};
}

void stream::forget_old_ids()
{
    const auto oldest = std::chrono::steady_clock::now() - duplicate_window;
    for (; !ids.empty() && ids.front().first < oldest; ids.pop_front())
        sequences_by_id.erase(ids.front().second);
}

message_log::result<log_message> stream::get(std::uint64_t sequence) const
{
    if (*down)
        return log_errc::unavailable;
    if (messages.empty() || sequence < messages.front().sequence || sequence > last_sequence)
        return log_errc::not_found;
    return messages[sequence - messages.front().sequence];
}

log_info stream::info() const
{
    return {messages.empty() ? last_sequence + 1 : messages.front().sequence, last_sequence, messages.size(), bytes, bytes_max};
}

void stream::purge_below(std::uint64_t sequence)
{
    for (; !messages.empty() && messages.front().sequence < sequence; messages.pop_front())
        bytes -= std::min(bytes, size_of(messages.front()));
    if (messages.empty())
        bytes = 0;
}

void stream::wake_readers()
{
    std::erase_if(readers, [](const auto& each) { return each.expired(); });
    for (const auto& each : readers)
        if (const auto reader = each.lock())
            reader->schedule();
}

void reading::schedule()
{
    if (std::exchange(scheduled, true))
        return;
    from->on->post([me = weak_from_this()] {
        if (const auto self = me.lock())
            self->deliver();
    });
}

void reading::deliver()
{
    scheduled = false;
    for (std::size_t i = 0; i < delivered_in_a_turn; ++i) {
        if (closed || paused || *from->down || from->messages.empty())
            return;
        next = std::max(next, from->messages.front().sequence);
        if (next > from->last_sequence)
            return;
        on_message(from->messages[next++ - from->messages.front().sequence]);
    }
    schedule();
}

namespace {

class reader_port final : public message_log::reader {
public:
    explicit reader_port(std::shared_ptr<reading> what) : what_(std::move(what)) { what_->schedule(); }
    ~reader_port() override { what_->closed = true; }
    void pause() override { what_->paused = true; }
    void resume() override
    {
        what_->paused = false;
        what_->schedule();
    }

private:
    std::shared_ptr<reading> what_;
};

class log_port final : public message_log {
public:
    explicit log_port(std::shared_ptr<stream> on) : stream_(std::move(on)) {}

    void append(const append_request& request, std::function<void(result<stored_at>)> done) override
    {
        answer(stream_->append(request), std::move(done));
    }
    void info(std::function<void(result<log_info>)> done) override
    {
        answer(*stream_->down ? result<log_info>(log_errc::unavailable) : result<log_info>(stream_->info()), std::move(done));
    }
    void get(std::uint64_t sequence, std::function<void(result<log_message>)> done) override
    {
        answer(stream_->get(sequence), std::move(done));
    }
    void purge_below(std::uint64_t sequence, std::function<void(result<void>)> done) override
    {
        if (*stream_->down)
            return answer(result<void>(log_errc::unavailable), std::move(done));
        if (sequence > stream_->info().last_sequence + 1)
            return answer(result<void>(log_errc::wrong_sequence), std::move(done));
        stream_->purge_below(sequence);
        answer(result<void>(), std::move(done));
    }
    std::unique_ptr<reader> read(std::uint64_t from, std::function<void(log_message)> on_message) override
    {
        auto what = std::make_shared<reading>();
        what->from = stream_;
        what->next = std::max<std::uint64_t>(from, 1);
        what->on_message = std::move(on_message);
        stream_->readers.push_back(what);
        return std::make_unique<reader_port>(std::move(what));
    }

private:
    // On the loop, and not at all once we are gone.
    template <class Result, class Done> void answer(Result what, Done done)
    {
        stream_->on->post([alive = std::weak_ptr(alive_), what = std::move(what), done = std::move(done)]() mutable {
            if (!alive.expired())
                done(std::move(what));
        });
    }

    std::shared_ptr<stream> stream_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}

std::unique_ptr<message_log> make_log(std::shared_ptr<stream> on) { return std::make_unique<log_port>(std::move(on)); }

struct store::state {
    loop* on = nullptr;
    bool down = false;
    std::map<std::string, std::shared_ptr<stream>> streams;
    std::map<std::string, std::shared_ptr<bucket>> buckets;
};

store::store(loop& on) : state_(std::make_shared<state>()) { state_->on = &on; }
store::~store() = default;

std::unique_ptr<message_log> store::open_log(const std::string& stream_name, std::uint64_t bytes_max)
{
    auto& found = state_->streams[stream_name];
    if (!found) {
        found = std::make_shared<stream>();
        found->on = state_->on;
        found->down = &state_->down;
        found->bytes_max = bytes_max;
    }
    return make_log(found);
}

std::unique_ptr<key_value> store::open_bucket(const std::string& bucket_name)
{
    auto& found = state_->buckets[bucket_name];
    if (!found) {
        found = std::make_shared<bucket>();
        found->on = state_->on;
        found->down = &state_->down;
    }
    return make_bucket(found);
}

void store::set_down(bool down)
{
    state_->down = down;
    if (!down)
        for (const auto& [name, each] : state_->streams)
            each->wake_readers();
}

}
