#pragma once
#include <string>

namespace sluice::test {

// Writes a self-signed certificate for localhost and 127.0.0.1, and its key, as PEM. Throws std::runtime_error.
void write_certificate(const std::string& certificate_file, const std::string& key_file);

}
