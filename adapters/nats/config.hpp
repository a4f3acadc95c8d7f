#pragma once
#include "adapters/nats/connection.hpp"
#include "core/config.hpp"

#include <string>

// How a role finds its NATS server, as configuration keys: the same for every role.
namespace sluice::nats {

struct config {
    std::string url = "nats://127.0.0.1:4222";
    std::string user{};
    std::string password_file{}; // one line; never a flag, so that no process list shows it
    std::string credentials_file{};
    std::string ca_file{};
    std::string cert_file{};
    std::string key_file{};
};

// Keys nats_url (or url_key), nats_user, nats_password_file, nats_credentials_file, nats_ca_file, nats_cert_file, nats_key_file.
void add_to(sluice::config::table& table, config& into, const char* url_key = "nats_url",
            const char* url_help = "NATS server, or a comma list of a cluster's; tls:// for TLS");
// What no single value shows; throws sluice::config::error naming the keys.
void check(const config& given);

// Reads the password file; throws sluice::config::error naming the key when it cannot be read. `name` is what the server's
// monitoring shows.
connection_options to_options(const config& from, const std::string& name);

}
