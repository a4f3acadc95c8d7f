#include "tests/support/nats_jwt.hpp"

#include <cstdint>
#include <memory>
#include <openssl/evp.h>
#include <stdexcept>

namespace sluice::test {

namespace {

constexpr unsigned char operator_prefix = 14 << 3, account_prefix = 0, user_prefix = 20 << 3, seed_prefix = 18 << 3;
constexpr std::size_t key_bytes = 32, signature_bytes = 64;

using key_handle = std::unique_ptr<EVP_PKEY, decltype(&::EVP_PKEY_free)>;

// Of so many bits a character: 5 is RFC 4648's base32, 6 its base64url; without padding.
std::string encode(const std::string& bytes, unsigned width)
{
    const char* const digits =
        width == 5 ? "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string text;
    unsigned bits = 0, held = 0;
    for (const unsigned char byte : bytes) {
        bits = (bits << 8 | byte) & 0xffff;
        for (held += 8; held >= width; held -= width)
            text += digits[bits >> (held - width) & ((1u << width) - 1)];
    }
    if (held)
        text += digits[bits << (width - held) & ((1u << width) - 1)];
    return text;
}

// With CRC-16/XMODEM, low byte first.
std::string nkey(std::string raw)
{
    std::uint16_t crc = 0;
    for (const unsigned char byte : raw) {
        crc = static_cast<std::uint16_t>(crc ^ byte << 8);
        for (int bit = 0; bit < 8; ++bit)
            crc = static_cast<std::uint16_t>(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
    }
    raw += static_cast<char>(crc & 0xff);
    raw += static_cast<char>(crc >> 8);
    return encode(raw, 5);
}

class identity_key {
public:
    explicit identity_key(unsigned char prefix) : prefix_(prefix), key_(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), ::EVP_PKEY_free)
    {
        if (!key_)
            throw std::runtime_error("no Ed25519 key");
    }

    std::string name() const { return nkey(static_cast<char>(prefix_) + raw(EVP_PKEY_get_raw_public_key)); }
    std::string seed() const
    {
        const std::string prefix{static_cast<char>(seed_prefix | prefix_ >> 5), static_cast<char>((prefix_ & 31) << 3)};
        return nkey(prefix + raw(EVP_PKEY_get_raw_private_key));
    }
    std::string sign(const std::string& text) const
    {
        const std::unique_ptr<EVP_MD_CTX, decltype(&::EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), ::EVP_MD_CTX_free);
        std::string signature(signature_bytes, '\0');
        auto size = signature.size();
        if (EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) != 1
            || EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                              reinterpret_cast<const unsigned char*>(text.data()), text.size())
                != 1)
            throw std::runtime_error("not signed");
        return signature;
    }

    // A token of this key about `subject`; `claims` is what stands in "nats" beside the version.
    std::string token(const std::string& subject, const std::string& claims) const
    {
        const auto text = encode(R"({"typ":"JWT","alg":"ed25519-nkey"})", 6) + '.'
            + encode(R"({"jti":"test","iat":1700000000,"iss":")" + name() + R"(","name":"test","sub":")" + subject + R"(","nats":{)"
                         + claims + R"(,"version":2}})",
                     6);
        return text + '.' + encode(sign(text), 6);
    }

private:
    std::string raw(int (*read)(const EVP_PKEY*, unsigned char*, std::size_t*)) const
    {
        std::string bytes(key_bytes, '\0');
        auto size = bytes.size();
        if (read(key_.get(), reinterpret_cast<unsigned char*>(bytes.data()), &size) != 1)
            throw std::runtime_error("no raw key");
        return bytes;
    }

    unsigned char prefix_;
    key_handle key_;
};

// JetStream's room is -1 (any) or, for the system's own account, 0.
std::string account_claims(const std::string& room)
{
    return R"("limits":{"subs":-1,"data":-1,"payload":-1,"imports":-1,"exports":-1,"wildcards":true,"conn":-1,"leaf":-1,"mem_storage":)"
        + room + R"(,"disk_storage":)" + room + R"(,"streams":)" + room + R"(,"consumer":)" + room + R"(},"type":"account")";
}

}

nats_operator make_nats_operator()
{
    const identity_key top(operator_prefix), system_account(account_prefix), account(account_prefix), user(user_prefix);
    const auto user_token = account.token(user.name(), R"("pub":{},"sub":{},"subs":-1,"data":-1,"payload":-1,"type":"user")");
    nats_operator made;
    made.server_config = "operator: " + top.token(top.name(), R"("type":"operator")") + "\nsystem_account: " + system_account.name()
        + "\nresolver: MEMORY\nresolver_preload: {\n" + system_account.name() + ": " + top.token(system_account.name(), account_claims("0"))
        + "\n" + account.name() + ": " + top.token(account.name(), account_claims("-1")) + "\n}\n";
    made.credentials = "-----BEGIN NATS USER JWT-----\n" + user_token + "\n------END NATS USER JWT------\n\n"
        + "-----BEGIN USER NKEY SEED-----\n" + user.seed() + "\n------END USER NKEY SEED------\n";
    return made;
}

}
