#include "tests/support/certificate.hpp"

#include <cstdio>
#include <memory>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdexcept>

namespace sluice::test {

namespace {

constexpr long valid_seconds = 24 * 3600;

using key_handle = std::unique_ptr<EVP_PKEY, decltype(&::EVP_PKEY_free)>;
using certificate_handle = std::unique_ptr<X509, decltype(&::X509_free)>;
using file_handle = std::unique_ptr<std::FILE, decltype(&std::fclose)>;

void check(bool good, const char* what)
{
    if (!good)
        throw std::runtime_error(std::string("certificate: ") + what);
}

file_handle open_file(const std::string& path)
{
    file_handle file(std::fopen(path.c_str(), "w"), std::fclose);
    check(file != nullptr, path.c_str());
    return file;
}

}

void write_certificate(const std::string& certificate_file, const std::string& key_file, const std::string& names)
{
    const key_handle key(EVP_EC_gen("P-256"), ::EVP_PKEY_free);
    const certificate_handle certificate(X509_new(), ::X509_free);
    check(key && certificate, "no memory");
    X509_set_version(certificate.get(), X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), valid_seconds);
    X509_set_pubkey(certificate.get(), key.get());
    auto* name = X509_get_subject_name(certificate.get());
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
    X509_set_issuer_name(certificate.get(), name);
    auto* extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str());
    check(extension && X509_add_ext(certificate.get(), extension, -1), "names");
    X509_EXTENSION_free(extension);
    check(X509_sign(certificate.get(), key.get(), EVP_sha256()) > 0, "signing");
    check(PEM_write_X509(open_file(certificate_file).get(), certificate.get()), "writing");
    check(PEM_write_PrivateKey(open_file(key_file).get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr), "writing the key");
}

}
