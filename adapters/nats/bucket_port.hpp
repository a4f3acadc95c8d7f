#pragma once
#include "adapters/nats/api.hpp"
#include "adapters/nats/request_inbox.hpp"
#include "sluice/key_value.hpp"

#include <memory>
#include <string>

// The key_value port on a JetStream KV bucket (NATS ADR-8): stream KV_<bucket>, subjects $KV.<bucket>.<key>, the field KV-Operation on what
// was erased. Internal to adapters/nats.
namespace sluice::nats {

class bucket_port final : public key_value {
public:
    bucket_port(std::shared_ptr<session> on, std::string bucket);
    ~bucket_port() override;

    void get(std::string key, std::function<void(result<kv_entry>)> done) override;
    void put(std::string key, std::string value, std::function<void(result<std::uint64_t>)> done) override;
    void create(std::string key, std::string value, std::function<void(result<std::uint64_t>)> done) override;
    void update(std::string key, std::string value, std::uint64_t revision, std::function<void(result<std::uint64_t>)> done) override;
    void erase(std::string key, std::function<void(result<void>)> done) override;
    std::unique_ptr<watcher> watch(std::function<void(kv_entry)> on_entry, std::function<void()> on_current) override;

private:
    // The last message of the key, erased or not.
    void last(const std::string& key, std::function<void(result<kv_entry>)> done);
    void store(const std::string& key, headers fields, std::string_view value, std::function<void(result<stored_at>)> done);

    std::shared_ptr<session> session_;
    std::string stream_, prefix_;
    std::shared_ptr<request_inbox<stored_at>> puts_;
    std::shared_ptr<bucket_port*> alive_; // answers that come after we are gone find it expired
};

}
