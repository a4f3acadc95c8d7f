#include "adapters/nats/config.hpp"

#include "adapters/process/files.hpp"
#include "core/option_checks.hpp"

#include <stdexcept>
#include <string_view>
#include <system_error>

namespace sluice::nats {

namespace {

std::string first_line(std::string_view content)
{
    auto line = content.substr(0, content.find('\n'));
    if (line.ends_with('\r'))
        line.remove_suffix(1);
    return std::string(line);
}

std::string read_password(const std::string& path)
{
    try {
        auto password = first_line(process::read_file(path));
        if (password.empty())
            throw sluice::config::error("nats_password_file: the first line of " + path + " is empty");
        return password;
    } catch (const std::system_error& wrong) {
        throw sluice::config::error(std::string("nats_password_file: ") + wrong.what());
    }
}

void check_password_file(const std::string& path)
{
    process::check_readable(path);
    if (const auto content = process::look_into_file(path); content && first_line(*content).empty())
        throw std::invalid_argument("names a file whose first line is empty");
}

}

void add_to(sluice::config::table& table, config& into, const char* url_key, const char* url_help)
{
    const auto file = [&](const char* key, const char* help, std::string& member) {
        table.text(key, help, member, process::check_readable);
    };
    table.text(url_key, url_help, into.url, core::check_nats_urls, core::without_userinfo);
    table.text("nats_user", "user at the NATS server", into.user);
    table.text("nats_password_file", "file whose first line is the password of nats_user", into.password_file, check_password_file);
    file("nats_credentials_file", "JWT and seed of a NATS user (.creds)", into.credentials_file);
    file("nats_ca_file", "certificates (PEM) that the NATS server's must be signed by; turns TLS on", into.ca_file);
    file("nats_cert_file", "our certificate (PEM) for a NATS server that verifies its clients", into.cert_file);
    file("nats_key_file", "private key (PEM) of nats_cert_file", into.key_file);
}

void check(const config& given)
{
    if (given.cert_file.empty() != given.key_file.empty())
        throw sluice::config::error("nats_cert_file and nats_key_file: one was given without the other");
    if (given.user.empty() != given.password_file.empty())
        throw sluice::config::error("nats_user and nats_password_file: one was given without the other");
}

connection_options to_options(const config& from, const std::string& name)
{
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
