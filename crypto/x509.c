/* The self-signed certificate of a KEK version. */
#include "crypto/ossl.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define CN_MAX_CHARACTERS 64
#define SERIAL_SIZE 16

/* Length in bytes of the first CN_MAX_CHARACTERS characters of UTF-8: continuation bytes (10xxxxxx) do not count. */
static size_t name_length(cmk_bytes name)
{
    size_t characters = 0;
    for (size_t i = 0; i < name.len; i++)
        if ((name.data[i] & 0xc0) != 0x80 && ++characters > CN_MAX_CHARACTERS)
            return i;
    return name.len;
}

static bool set_serial(X509 *cert)
{
    uint8_t bytes[SERIAL_SIZE];
    if (cmk_random(bytes, sizeof(bytes)) != CMK_OK)
        return false;
    bytes[0] = (uint8_t)((bytes[0] & 0x7f) | 0x40); /* positive, and always 16 bytes long */
    AUTO_BN *bn = BN_bin2bn(bytes, sizeof(bytes), NULL);
    return bn && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert)) != NULL;
}

/* The entry's string type is given outright: by way of MBSTRING_UTF8 the application's global string mask would decide
 * it. */
static bool set_names(X509 *cert, cmk_bytes cn)
{
    X509_NAME *name = X509_NAME_new();
    bool ok = name &&
              X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_UTF8STRING, cn.data, (int)name_length(cn), -1,
                                         0) == 1 &&
              X509_set_subject_name(cert, name) == 1 && X509_set_issuer_name(cert, name) == 1;
    X509_NAME_free(name);
    return ok;
}

static bool set_validity(X509 *cert, int64_t not_before)
{
    return ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)not_before) != NULL &&
           ASN1_TIME_set_string_X509(X509_getm_notAfter(cert), "99991231235959Z") == 1;
}

static bool add_usage(X509 *cert)
{
    ASN1_BIT_STRING *usage = ASN1_BIT_STRING_new();
    bool ok = usage && ASN1_BIT_STRING_set_bit(usage, 2 /* keyEncipherment */, 1) == 1 &&
              X509_add1_ext_i2d(cert, NID_key_usage, usage, 1, X509V3_ADD_DEFAULT) == 1;
    ASN1_BIT_STRING_free(usage);
    return ok;
}

static bool add_constraints(X509 *cert)
{
    BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new(); /* CA false is the default */
    bool ok = constraints && X509_add1_ext_i2d(cert, NID_basic_constraints, constraints, 1, X509V3_ADD_DEFAULT) == 1;
    BASIC_CONSTRAINTS_free(constraints);
    return ok;
}

/* RFC 5280 §4.2.1.2 method (1): SHA-1 of the public key, as an identifier, not for security. */
static bool add_key_id(const ossl_lib *lib, X509 *cert)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
    bool ok = id && X509_pubkey_digest(cert, lib->md[CMK_SHA1], digest, &n) == 1 &&
              ASN1_OCTET_STRING_set(id, digest, (int)n) == 1 &&
              X509_add1_ext_i2d(cert, NID_subject_key_identifier, id, 0, X509V3_ADD_DEFAULT) == 1;
    ASN1_OCTET_STRING_free(id);
    return ok;
}

static bool append(X509 *cert, cmk_buf *out)
{
    unsigned char *der = NULL;
    int n = i2d_X509(cert, &der);
    if (n <= 0)
        return false;
    cmk_buf_add(out, der, (size_t)n);
    OPENSSL_free(der);
    return true;
}

cmk_rc cmk_rsa_self_certificate(cmk_rsa_private *key, cmk_bytes common_name, int64_t not_before, cmk_buf *out)
{
    OSSL_SCOPE();
    const ossl_lib *lib = ossl_get();
    if (!lib)
        return CMK_E_CRYPTO;
    X509 *cert = X509_new_ex(lib->ctx, NULL);
    bool ok = cert && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) && set_names(cert, common_name) &&
              set_validity(cert, not_before) && X509_set_pubkey(cert, key->k.pkey) == 1 && add_usage(cert) &&
              add_constraints(cert) && add_key_id(lib, cert) && X509_sign(cert, key->k.pkey, lib->md[CMK_SHA256]) > 0 &&
              append(cert, out);
    cmk_rc rc = ok ? cmk_buf_ok(out) : ossl_fail("making a certificate");
    X509_free(cert);
    return rc;
}
