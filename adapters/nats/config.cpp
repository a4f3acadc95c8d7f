#include "adapters/nats/config.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>

namespace sluice::nats {

namespace {

std::string read_password(const std::string& path)
{
    std::ifstream in(path);
    std::string line;
    if (!in || !std::getline(in, line))
        throw sluice::config::error("nats_password_file: cannot read a line of '" + path + "': " + std::strerror(errno ? errno : EINVAL));
    if (!line.empty() && line.back() == '\r')
        line.pop_back();
    return line;
}

}

void add_to(sluice::config::table& table, config& into)
{
    table.text("nats_url", "NATS server, or a comma list of a cluster's; tls:// for TLS", into.url);
    table.text("nats_user", "user at the NATS server", into.user);
    table.text("nats_password_file", "file whose first line is the password of nats_user", into.password_file);
    table.text("nats_credentials_file", "JWT and seed of a NATS user (.creds)", into.credentials_file);
    table.text("nats_ca_file", "certificates (PEM) that the NATS server's must be signed by; turns TLS on", into.ca_file);
    table.text("nats_cert_file", "our certificate (PEM) for a NATS server that verifies its clients", into.cert_file);
    table.text("nats_key_file", "private key (PEM) of nats_cert_file", into.key_file);
}

connection_options to_options(const config& from, const std::string& name)
{
    if (from.cert_file.empty() != from.key_file.empty())
        throw sluice::config::error("nats_cert_file and nats_key_file: one was given without the other");
    connection_options options;
    options.url = from.url;
    options.user = from.user;
    if (!from.password_file.empty())
        options.password = read_password(from.password_file);
    options.credentials_file = from.credentials_file;
    options.ca_file = from.ca_file;
    options.cert_file = from.cert_file;
    options.key_file = from.key_file;
    options.name = name;
    return options;
}

}
