#pragma once
#include <string>

// Checks of option values that several roles take, for config::table: each throws std::invalid_argument that says what is allowed. Pure.
namespace sluice::core {

void check_listen_address(const std::string& text); // HOST:PORT, the host numeric or localhost
void check_callback_allow(const std::string& item); // see url_guard
void check_static_function(const std::string& item);
void check_nats_urls(const std::string& comma_list); // [nats://|tls://][USER[:PASSWORD]@]HOST[:PORT], of each server of a cluster

// The same URLs for people and logs: "***" in place of what stands before each "@". Of what is no URL it rather hides too much.
std::string without_userinfo(const std::string& comma_list);

}
