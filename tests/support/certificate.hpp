#pragma once
#include <string>

namespace sluice::test {

// Writes a self-signed certificate for these names (OpenSSL's form), and its key, as PEM. Throws std::runtime_error.
void write_certificate(const std::string& certificate_file, const std::string& key_file,
                       const std::string& names = "DNS:localhost,IP:127.0.0.1");

}
