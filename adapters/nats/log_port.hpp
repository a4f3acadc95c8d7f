#pragma once
#include "adapters/nats/request_inbox.hpp"
#include "sluice/message_log.hpp"

#include <memory>
#include <string>

// The message_log port on a JetStream stream of one subject. Internal to adapters/nats.
namespace sluice::nats {

class log_port final : public message_log {
public:
    log_port(std::shared_ptr<session> on, std::string stream, std::string subject);
    ~log_port() override;

    void append(const append_request& request, std::function<void(result<stored_at>)> done) override;
    void info(std::function<void(result<log_info>)> done) override;
    void get(std::uint64_t sequence, std::function<void(result<log_message>)> done) override;
    void purge_below(std::uint64_t sequence, std::function<void(result<void>)> done) override;
    std::unique_ptr<reader> read(std::uint64_t from, std::function<void(log_message)> on_message) override;

private:
    struct purge;
    void purge_step(std::shared_ptr<purge> what);

    std::shared_ptr<session> session_;
    std::string stream_, subject_;
    std::shared_ptr<request_inbox<stored_at>> appends_;
    std::shared_ptr<log_port*> alive_; // answers that come after we are gone find it expired
};

// The fields of a message that came over NATS, without those that only told the server how to store it.
headers fields_of(natsMsg& message);

}
