#pragma once
#include <string_view>

// Small questions about the text of a request's head. Pure.
namespace sluice::http {

bool only_digits(std::string_view text);

// Characters of uri-host and port (RFC 3986 § 3.2.2), percent-encoding included.
bool is_host_char(char c);

// "HTTP/2.0" and the like, of which only the number is wrong. Anything else that is no version has no version.
bool names_other_version(std::string_view head);

// A line that ends with LF alone.
bool has_bare_newline(std::string_view head);

// The same text at its new place.
void rebase(std::string_view& v, const char* from, const char* to);

}
