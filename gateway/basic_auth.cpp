#include "gateway/basic_auth.hpp"

#include "adapters/process/files.hpp"
#include "core/config.hpp"
#include "sluice/http.hpp"

#include <system_error>

namespace sluice::gateway {

namespace {

std::string base64(std::string_view bytes)
{
    static constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const auto at = [&](std::size_t k) { return i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u; };
        const unsigned triple = at(0) << 16 | at(1) << 8 | at(2);
        text.push_back(digits[triple >> 18 & 63]);
        text.push_back(digits[triple >> 12 & 63]);
        text.push_back(i + 1 < bytes.size() ? digits[triple >> 6 & 63] : '=');
        text.push_back(i + 2 < bytes.size() ? digits[triple & 63] : '=');
    }
    return text;
}

std::string content_of(const char* key, const std::string& path)
{
    try {
        return process::read_file(path);
    } catch (const std::system_error& wrong) {
        throw config::error(std::string(key) + ": " + wrong.what());
    }
}

std::string read_secret(const char* key, const std::string& path)
{
    const auto text = content_of(key, path);
    constexpr auto blank = " \t\r\n";
    const auto begin = text.find_first_not_of(blank);
    if (begin == text.npos)
        throw config::error(std::string(key) + ": " + path + " is empty");
    return text.substr(begin, text.find_last_not_of(blank) - begin + 1);
}

}

basic_auth::basic_auth(std::string_view user, std::string_view password) : expected_(base64(std::string(user).append(":").append(password)))
{}

basic_auth basic_auth::from_files(const std::string& user_file, const std::string& password_file)
{
    if (user_file.empty() && password_file.empty())
        return {};
    if (user_file.empty() || password_file.empty())
        throw config::error(std::string(user_file.empty() ? "basic_auth_user_file" : "basic_auth_password_file")
                            + ": is empty; give both files or none");
    const auto user = read_secret("basic_auth_user_file", user_file);
    if (user.find(':') != user.npos)
        throw config::error("basic_auth_user_file: a user's name cannot contain a colon");
    return basic_auth(user, read_secret("basic_auth_password_file", password_file));
}

bool basic_auth::allows(std::string_view authorization) const noexcept
{
    if (!required())
        return true;
    constexpr std::string_view scheme = "Basic ";
    if (!same_name(authorization.substr(0, scheme.size()), scheme))
        return false;
    auto given = authorization.substr(scheme.size());
    while (!given.empty() && given.front() == ' ')
        given.remove_prefix(1);
    unsigned difference = given.size() != expected_.size();
    for (std::size_t i = 0; i < expected_.size(); ++i)
        difference |= static_cast<unsigned char>(expected_[i]) ^ (i < given.size() ? static_cast<unsigned char>(given[i]) : 0u);
    return difference == 0;
}

}
