#pragma once
#include <string>
#include <string_view>

namespace sluice::gateway {

// Basic authentication (RFC 7617) against one user and password. Without both, everybody is let in.
class basic_auth {
public:
    basic_auth() = default;
    basic_auth(std::string_view user, std::string_view password);
    // From two files, whose outer whitespace does not count; both empty: no authentication. Throws config::error naming the key.
    static basic_auth from_files(const std::string& user_file, const std::string& password_file);

    bool required() const noexcept { return !expected_.empty(); }
    // `authorization` is the field's value. Takes the same time wherever the first difference is.
    bool allows(std::string_view authorization) const noexcept;

private:
    std::string expected_; // base64 of "user:password"
};

}
