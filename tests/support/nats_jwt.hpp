#pragma once
#include <string>

// A NATS operator with one account and one user, made for a test: decentralised authentication without the tool nsc.
// Keys and tokens are as NATS defines them: nkeys (base32 of prefix, Ed25519 key, CRC-16) and JWTs of version 2 signed "ed25519-nkey".
namespace sluice::test {

struct nats_operator {
    std::string server_config; // lines for nats_server_options::more
    std::string credentials;   // content of the user's .creds file
};

nats_operator make_nats_operator(); // throws std::runtime_error

}
