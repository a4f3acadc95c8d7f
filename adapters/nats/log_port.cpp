#include "adapters/nats/log_port.hpp"

#include "adapters/nats/api.hpp"
#include "adapters/nats/pull_reader.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace sluice::nats {

namespace {

// One purge of very many messages would stall the server's appends.
constexpr std::uint64_t purge_step_messages = 100'000;

constexpr std::string_view id_field = "Nats-Msg-Id";
constexpr std::string_view expectation_fields = "Nats-Expected-";

class log_reader final : public message_log::reader {
public:
    log_reader(std::shared_ptr<session> on, pull_reader::target what, std::function<void(log_message)> on_message)
        : session_(std::move(on)),
          pull_(std::make_shared<pull_reader>(
              *session_, std::move(what),
              pull_reader::callbacks{[call = std::move(on_message)](natsMsg& message, std::uint64_t sequence) {
                                         call({sequence, fields_of(message), std::string(payload_of(message))});
                                     },
                                     nullptr}))
    {
        pull_->start();
    }
    ~log_reader() override { pull_->close(); }
    void pause() override { pull_->pause(); }
    void resume() override { pull_->resume(); }

private:
    std::shared_ptr<session> session_;
    std::shared_ptr<pull_reader> pull_;
};

}

headers fields_of(natsMsg& message)
{
    headers fields;
    const char** names = nullptr;
    int count = 0;
    if (natsMsgHeader_Keys(&message, &names, &count) != NATS_OK)
        return fields;
    for (int i = 0; i < count; ++i) {
        if (text_of(names[i]).starts_with(expectation_fields))
            continue;
        const char** values = nullptr;
        int values_count = 0;
        if (natsMsgHeader_Values(&message, names[i], &values, &values_count) != NATS_OK)
            continue;
        for (int j = 0; j < values_count; ++j)
            fields.push_back({names[i], values[j]});
        std::free(values);
    }
    std::free(names);
    return fields;
}

log_port::log_port(std::shared_ptr<session> on, std::string stream, std::string subject)
    : session_(std::move(on)),
      stream_(std::move(stream)),
      subject_(std::move(subject)),
      appends_(std::make_shared<request_inbox<stored_at>>(*session_, api::parse_stored)),
      alive_(std::make_shared<log_port*>(this))
{
    session_->add(appends_);
}

log_port::~log_port() { appends_->close(); }

void log_port::append(const append_request& request, std::function<void(result<stored_at>)> done)
{
    if (!valid_fields(request.fields)) {
        session_->post([weak = std::weak_ptr(alive_), done = std::move(done)] {
            if (!weak.expired())
                done(make_error_code(boost::system::errc::invalid_argument));
        });
        return;
    }
    auto fields = request.fields;
    if (!request.id.empty())
        fields.push_back({std::string(id_field), request.id});
    if (request.expected_last_sequence)
        fields.push_back({"Nats-Expected-Last-Sequence", std::to_string(*request.expected_last_sequence)});
    appends_->send(subject_, fields, request.payload, request.deadline, std::move(done));
}

void log_port::info(std::function<void(result<log_info>)> done)
{
    session_->api().send("$JS.API.STREAM.INFO." + stream_, {}, {}, api::deadline,
                         [weak = std::weak_ptr(alive_), done = std::move(done)](const result<std::string>& answer) {
                             if (weak.expired())
                                 return;
                             if (!answer)
                                 return done(answer.error());
                             const auto info = api::parse_stream_info(*answer);
                             done(info ? result<log_info>(info->state) : result<log_info>(info.error()));
                         });
}

void log_port::get(std::uint64_t sequence, std::function<void(result<log_message>)> done)
{
    session_->api().send("$JS.API.STREAM.MSG.GET." + stream_, {}, "{\"seq\":" + std::to_string(sequence) + "}", api::deadline,
                         [weak = std::weak_ptr(alive_), done = std::move(done)](const result<std::string>& answer) {
                             if (weak.expired())
                                 return;
                             if (!answer)
                                 return done(answer.error());
                             auto stored = api::parse_stored_message(*answer);
                             if (!stored)
                                 return done(stored.error());
                             std::erase_if(stored->message.fields,
                                           [](const auto& field) { return field.name.starts_with(expectation_fields); });
                             done(std::move(stored->message));
                         });
}

// What is asked for, and how far it is.
struct log_port::purge {
    std::uint64_t below = 0;
    std::uint64_t done_below = 0;
    std::function<void(result<void>)> done;
};

// Never beyond the end: a replicated stream of nats-server 2.9 breaks when purged beyond its last sequence, and one that lost its tail has
// other messages below that sequence than the caller means.
void log_port::purge_below(std::uint64_t sequence, std::function<void(result<void>)> done)
{
    auto what = std::make_shared<purge>(purge{sequence, 0, std::move(done)});
    info([this, what](const result<log_info>& info) {
        if (!info)
            return what->done(info.error());
        if (what->below > info->last_sequence + 1)
            return what->done(log_errc::wrong_sequence);
        what->done_below = info->first_sequence;
        purge_step(what);
    });
}

void log_port::purge_step(std::shared_ptr<purge> what)
{
    if (what->done_below >= what->below)
        return what->done({});
    what->done_below = std::min(what->below, what->done_below + purge_step_messages);
    session_->api().send("$JS.API.STREAM.PURGE." + stream_, {}, "{\"seq\":" + std::to_string(what->done_below) + "}", api::deadline,
                         [weak = std::weak_ptr(alive_), what](const result<std::string>& answer) {
                             const auto self = weak.lock();
                             if (!self)
                                 return;
                             if (!answer)
                                 return what->done(answer.error());
                             if (const auto purged = api::parse_success(*answer); !purged)
                                 return what->done(purged.error());
                             (*self)->purge_step(what);
                         });
}

std::unique_ptr<message_log::reader> log_port::read(std::uint64_t from, std::function<void(log_message)> on_message)
{
    return std::make_unique<log_reader>(session_, pull_reader::target{stream_, {}, from, false}, std::move(on_message));
}

}
