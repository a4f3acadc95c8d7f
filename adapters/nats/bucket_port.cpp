#include "adapters/nats/bucket_port.hpp"

#include "adapters/nats/log_port.hpp"
#include "adapters/nats/pull_reader.hpp"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <utility>

namespace sluice::nats {

namespace {

constexpr std::string_view operation_field = "KV-Operation";
constexpr std::string_view expected_revision_field = "Nats-Expected-Last-Subject-Sequence";

kv_entry make_entry(std::string_view key, std::uint64_t revision, const headers& fields, std::string_view value)
{
    const auto* operation = find(fields, operation_field);
    kv_entry entry{std::string(key), {}, revision, operation && (*operation == "DEL" || *operation == "PURGE")};
    if (!entry.erased)
        entry.value = value;
    return entry;
}

class bucket_watcher final : public key_value::watcher {
public:
    bucket_watcher(std::shared_ptr<session> on, pull_reader::target what, std::size_t prefix_size, std::function<void(kv_entry)> on_entry,
                   std::function<void()> on_current)
        : session_(std::move(on))
    {
        auto on_message = [prefix_size, call = std::move(on_entry)](natsMsg& message, std::uint64_t sequence) {
            const auto subject = text_of(natsMsg_GetSubject(&message));
            call(make_entry(subject.substr(std::min(prefix_size, subject.size())), sequence, fields_of(message), payload_of(message)));
        };
        pull_ =
            std::make_shared<pull_reader>(*session_, std::move(what), pull_reader::callbacks{std::move(on_message), std::move(on_current)});
        pull_->start();
    }
    ~bucket_watcher() override { pull_->close(); }

private:
    std::shared_ptr<session> session_;
    std::shared_ptr<pull_reader> pull_;
};

}

bucket_port::bucket_port(std::shared_ptr<session> on, std::string bucket)
    : session_(std::move(on)),
      stream_("KV_" + bucket),
      prefix_("$KV." + bucket + "."),
      puts_(std::make_shared<request_inbox<stored_at>>(*session_, api::parse_stored)),
      alive_(std::make_shared<bucket_port*>(this))
{
    session_->add(puts_);
}

bucket_port::~bucket_port() { puts_->close(); }

void bucket_port::last(const std::string& key, std::function<void(result<kv_entry>)> done)
{
    const boost::json::value request{{"last_by_subj", prefix_ + key}};
    session_->api().send("$JS.API.STREAM.MSG.GET." + stream_, {}, boost::json::serialize(request), api::deadline,
                         [weak = std::weak_ptr(alive_), key, done = std::move(done)](const result<std::string>& answer) {
                             if (weak.expired())
                                 return;
                             if (!answer)
                                 return done(answer.error());
                             const auto stored = api::parse_stored_message(*answer);
                             if (!stored)
                                 return done(stored.error());
                             const auto& message = stored->message;
                             done(make_entry(key, message.sequence, message.fields, message.payload));
                         });
}

void bucket_port::store(const std::string& key, headers fields, std::string_view value, std::function<void(result<stored_at>)> done)
{
    puts_->send(prefix_ + key, fields, value, api::deadline, std::move(done));
}

void bucket_port::get(std::string key, std::function<void(result<kv_entry>)> done)
{
    last(key, [done = std::move(done)](result<kv_entry> entry) {
        if (entry && entry->erased)
            return done(log_errc::not_found);
        done(std::move(entry));
    });
}

namespace {

auto as_revision(std::function<void(key_value::result<std::uint64_t>)> done)
{
    return [done = std::move(done)](const key_value::result<stored_at>& stored) {
        if (!stored)
            return done(stored.error());
        done(stored->sequence);
    };
}

}

void bucket_port::put(std::string key, std::string value, std::function<void(result<std::uint64_t>)> done)
{
    store(key, {}, value, as_revision(std::move(done)));
}

void bucket_port::update(std::string key, std::string value, std::uint64_t revision, std::function<void(result<std::uint64_t>)> done)
{
    store(key, {{std::string(expected_revision_field), std::to_string(revision)}}, value, as_revision(std::move(done)));
}

// A key that was erased has a last message: it is then replaced on the condition that nothing came in between.
void bucket_port::create(std::string key, std::string value, std::function<void(result<std::uint64_t>)> done)
{
    auto shared = std::make_shared<std::string>(std::move(value));
    update(key, *shared, 0, [this, key, shared, done = std::move(done)](const result<std::uint64_t>& created) {
        if (created || created.error() != log_errc::wrong_sequence)
            return done(created);
        last(key, [this, key, shared, done](const result<kv_entry>& entry) {
            if (!entry || !entry->erased)
                return done(entry ? make_error_code(log_errc::wrong_sequence) : entry.error());
            update(key, std::move(*shared), entry->revision, done);
        });
    });
}

void bucket_port::erase(std::string key, std::function<void(result<void>)> done)
{
    store(key, {{std::string(operation_field), "DEL"}}, {}, [done = std::move(done)](const result<stored_at>& stored) {
        if (!stored)
            return done(stored.error());
        done({});
    });
}

std::unique_ptr<key_value::watcher> bucket_port::watch(std::function<void(kv_entry)> on_entry, std::function<void()> on_current)
{
    return std::make_unique<bucket_watcher>(session_, pull_reader::target{stream_, prefix_ + ">", 1, true}, prefix_.size(),
                                            std::move(on_entry), std::move(on_current));
}

}
