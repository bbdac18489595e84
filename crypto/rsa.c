/* RSA keys: generation, PKCS #8, public keys.
 *
 * libcrypto's ASN.1 templates write and read the private key's DER straight from and to its numbers. EVP_PKEY2PKCS8()
 * and EVP_PKCS82PKEY() would be shorter, but free blocks with the key in them unwiped (with OpenSSL 3.0, 2 that hold a
 * prime for the one, 19 for the other; here none: tests/unit/test_crypto_process.c counts them). The numbers pass
 * between libcrypto's keys and us through one block of secret memory.
 */
#include "crypto/ossl.h"

#include <openssl/asn1t.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#define BITS_MIN 1024
#define BITS_MAX 16384
#define NUMBER_MAX (BITS_MAX / 8)
#define DER_MAX ((size_t)32 * 1024) /* a key of BITS_MAX with some attributes; arithmetic on much more takes long */
/* Above 3,072 bits libcrypto takes only exponents up to 64. */
#define SMALL_MODULUS_BITS 3072
#define LARGE_EXPONENT_BITS 64

enum { N, E, D, P, Q, DP, DQ, QINV, PARTS };
static const char *const part_names[PARTS] = {
    OSSL_PKEY_PARAM_RSA_N,         OSSL_PKEY_PARAM_RSA_E,
    OSSL_PKEY_PARAM_RSA_D,         OSSL_PKEY_PARAM_RSA_FACTOR1,
    OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
    OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
};

/* The first count numbers of an RSA key (2: public, PARTS: private). */
typedef struct rsa_parts {
    int32_t version; /* of RSAPrivateKey: 0, two primes */
    BIGNUM *v[PARTS];
    size_t count;
} rsa_parts;

static void parts_free(rsa_parts *parts)
{
    for (size_t i = 0; i < PARTS; i++)
        BN_clear_free(parts->v[i]);
}
#define AUTO_PARTS __attribute__((cleanup(parts_free))) rsa_parts

static cmk_rc parts_from_pkey(const EVP_PKEY *pkey, rsa_parts *parts)
{
    CMK_SECRET_AUTO native = CMK_SECRET_INIT;
    OSSL_PARAM params[PARTS + 1];
    size_t stride = (size_t)EVP_PKEY_get_size(pkey);
    cmk_rc rc = cmk_secret_new(&native, parts->count * stride);
    if (rc != CMK_OK)
        return rc;
    for (size_t i = 0; i < parts->count; i++)
        params[i] = OSSL_PARAM_construct_BN(part_names[i], native.data + i * stride, stride);
    params[parts->count] = OSSL_PARAM_construct_end();
    int ok = EVP_PKEY_get_params(pkey, params);
    for (size_t i = 0; ok == 1 && i < parts->count; i++)
        ok = OSSL_PARAM_modified(&params[i]) && (parts->v[i] = BN_secure_new()) != NULL &&
             OSSL_PARAM_get_BN(&params[i], &parts->v[i]) == 1;
    return ok == 1 ? CMK_OK : ossl_fail("reading an RSA key");
}

static cmk_rc parts_to_pkey(const ossl_lib *lib, const rsa_parts *parts, EVP_PKEY **out)
{
    CMK_SECRET_AUTO native = CMK_SECRET_INIT;
    OSSL_PARAM params[PARTS + 1];
    size_t stride = (size_t)BN_num_bytes(parts->v[N]);
    cmk_rc rc = cmk_secret_new(&native, parts->count * stride);
    if (rc != CMK_OK)
        return rc;
    bool ok = true;
    for (size_t i = 0; ok && i < parts->count; i++) {
        uint8_t *place = native.data + i * stride;
        int n = BN_num_bytes(parts->v[i]);
        ok = n > 0 && (size_t)n <= stride && BN_bn2nativepad(parts->v[i], place, n) == n;
        params[i] = OSSL_PARAM_construct_BN(part_names[i], place, ok ? (size_t)n : 0);
    }
    params[parts->count] = OSSL_PARAM_construct_end();
    AUTO_PKEY_CTX *ctx = ok ? EVP_PKEY_CTX_new_from_name(lib->ctx, "RSA", NULL) : NULL;
    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, out, parts->count == PARTS ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params) != 1)
        return ossl_fail("preparing an RSA key");
    return CMK_OK;
}

/* ---- DER ---- */

/* RSAPrivateKey (RFC 8017 appendix A.1.2) without further primes. CBIGNUM: wiped when freed. */
// clang-format off
ASN1_SEQUENCE(rsa_parts) = {
    ASN1_EMBED(rsa_parts, version, INT32),
    ASN1_SIMPLE(rsa_parts, v[N], CBIGNUM),
    ASN1_SIMPLE(rsa_parts, v[E], CBIGNUM),
    ASN1_SIMPLE(rsa_parts, v[D], CBIGNUM),
    ASN1_SIMPLE(rsa_parts, v[P], CBIGNUM),
    ASN1_SIMPLE(rsa_parts, v[Q], CBIGNUM),
    ASN1_SIMPLE(rsa_parts, v[DP], CBIGNUM),
    ASN1_SIMPLE(rsa_parts, v[DQ], CBIGNUM),
    ASN1_SIMPLE(rsa_parts, v[QINV], CBIGNUM)
} static_ASN1_SEQUENCE_END(rsa_parts)
    // clang-format on

    static void info_free(PKCS8_PRIV_KEY_INFO * *info)
{
    PKCS8_PRIV_KEY_INFO_free(*info); /* wipes the key in it */
}
#define AUTO_INFO __attribute__((cleanup(info_free))) PKCS8_PRIV_KEY_INFO

/* The PKCS #8 DER of parts with attributes (NULL: none). */
static cmk_rc parts_to_der(const rsa_parts *parts, const STACK_OF(X509_ATTRIBUTE) * attributes, cmk_secret *der)
{
    unsigned char *key = NULL;
    int n = ASN1_item_i2d((const ASN1_VALUE *)(const void *)parts, &key, ASN1_ITEM_rptr(rsa_parts));
    AUTO_INFO *info = n > 0 ? PKCS8_PRIV_KEY_INFO_new() : NULL;
    if (!info || PKCS8_pkey_set0(info, OBJ_nid2obj(NID_rsaEncryption), 0, V_ASN1_NULL, NULL, key, n) != 1) {
        OPENSSL_clear_free(key, n > 0 ? (size_t)n : 0);
        return ossl_fail("encoding an RSA key");
    }
    for (int i = 0; i < sk_X509_ATTRIBUTE_num(attributes); i++)
        if (PKCS8_pkey_add1_attr(info, sk_X509_ATTRIBUTE_value(attributes, i)) != 1)
            return ossl_fail("encoding an RSA key");
    n = i2d_PKCS8_PRIV_KEY_INFO(info, NULL);
    if (n <= 0)
        return ossl_fail("encoding an RSA key");
    cmk_rc rc = cmk_secret_new(der, (size_t)n);
    unsigned char *at = der->data;
    if (rc == CMK_OK && i2d_PKCS8_PRIV_KEY_INFO(info, &at) != n)
        rc = ossl_fail("encoding an RSA key");
    return rc;
}

/* Encoding it again tells whether der was strict DER of exactly this: versions, algorithm, positive numbers, no rest.
 */
static bool parts_from_der(cmk_bytes der, rsa_parts *parts)
{
    CMK_SECRET_AUTO again = CMK_SECRET_INIT;
    const unsigned char *at = der.data;
    const unsigned char *key = NULL;
    int n = 0;
    AUTO_INFO *info = der.len <= DER_MAX ? d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)der.len) : NULL;
    if (!info || PKCS8_pkey_get0(NULL, &key, &n, NULL, info) != 1)
        return false;
    rsa_parts *numbers = (rsa_parts *)(void *)ASN1_item_d2i(NULL, &key, n, ASN1_ITEM_rptr(rsa_parts));
    if (!numbers)
        return false;
    memcpy(parts->v, numbers->v, sizeof(parts->v));
    OPENSSL_free(numbers);
    return parts_to_der(parts, PKCS8_pkey_get0_attrs(info), &again) == CMK_OK &&
           cmk_bytes_equal(cmk_secret_view(&again), der);
}

/* ---- consistency ---- */

static bool public_ok(const rsa_parts *parts)
{
    int bits = BN_num_bits(parts->v[N]);
    int e_bits = BN_num_bits(parts->v[E]);
    return bits >= BITS_MIN && bits <= BITS_MAX && BN_is_odd(parts->v[N]) && BN_is_odd(parts->v[E]) && e_bits > 1 &&
           BN_ucmp(parts->v[E], parts->v[N]) < 0 && (bits <= SMALL_MODULUS_BITS || e_bits <= LARGE_EXPONENT_BITS);
}

/* a·b ≡ 1 modulo m? */
static bool inverse(const BIGNUM *a, const BIGNUM *b, const BIGNUM *m, BN_CTX *ctx)
{
    BN_CTX_start(ctx);
    BIGNUM *t = BN_CTX_get(ctx);
    bool ok = t && BN_mod_mul(t, a, b, m, ctx) == 1 && BN_is_one(t);
    BN_CTX_end(ctx);
    return ok;
}

/* Is d_prime = d modulo (prime - 1), and e·d_prime ≡ 1 there? */
static bool exponent_ok(const rsa_parts *parts, const BIGNUM *prime, const BIGNUM *d_prime, BN_CTX *ctx)
{
    BN_CTX_start(ctx);
    BIGNUM *less = BN_CTX_get(ctx);
    BIGNUM *t = BN_CTX_get(ctx);
    bool ok = less && t && BN_copy(less, prime) && BN_sub_word(less, 1) == 1;
    if (ok)
        BN_set_flags(less, BN_FLG_CONSTTIME);
    ok = ok && BN_mod(t, parts->v[D], less, ctx) == 1 && BN_cmp(t, d_prime) == 0 &&
         inverse(parts->v[E], d_prime, less, ctx);
    BN_CTX_end(ctx);
    return ok;
}

/* Everything but whether p and q are prime, which takes long. A wrong CRT parameter would be worse than useless: one
 * faulty result can betray the factors. */
static bool private_ok(const ossl_lib *lib, const rsa_parts *parts)
{
    BN_CTX *ctx = BN_CTX_secure_new_ex(lib->ctx);
    if (!ctx)
        return false;
    BN_CTX_start(ctx);
    BIGNUM *t = BN_CTX_get(ctx);
    for (size_t i = D; i < PARTS; i++)
        BN_set_flags(parts->v[i], BN_FLG_CONSTTIME);
    /* RFC 8017 §3.2: d is below n. A longer one would be of use to nobody but who wants to write past a buffer. */
    bool ok = t && BN_ucmp(parts->v[D], parts->v[N]) < 0 && BN_is_odd(parts->v[P]) && BN_is_odd(parts->v[Q]) &&
              !BN_is_one(parts->v[P]) && !BN_is_one(parts->v[Q]) && BN_mul(t, parts->v[P], parts->v[Q], ctx) == 1 &&
              BN_cmp(t, parts->v[N]) == 0 && BN_ucmp(parts->v[QINV], parts->v[P]) < 0 &&
              inverse(parts->v[QINV], parts->v[Q], parts->v[P], ctx) &&
              exponent_ok(parts, parts->v[P], parts->v[DP], ctx) && exponent_ok(parts, parts->v[Q], parts->v[DQ], ctx);
    BN_CTX_end(ctx);
    BN_CTX_free(ctx);
    return ok;
}

/* ---- the functions of crypto.h ---- */

/* Takes over pkey. */
static cmk_rc private_new(EVP_PKEY *pkey, cmk_rsa_private **out)
{
    cmk_rsa_private *key = calloc(1, sizeof(*key));
    cmk_rc rc = key ? rsa_key_setup(&key->k, pkey, true) : cmk_fail(CMK_E_NO_MEMORY, "no memory for an RSA key");
    if (rc == CMK_OK) {
        *out = key;
    } else {
        EVP_PKEY_free(pkey);
        free(key);
    }
    return rc;
}

static cmk_rc exponent_check(cmk_bytes e, BIGNUM **out)
{
    if (e.len == 0 || e.len > 8 || !(*out = BN_bin2bn(e.data, (int)e.len, NULL)) || !BN_is_odd(*out) ||
        BN_num_bits(*out) < 17)
        return cmk_fail(CMK_E_ARGUMENT, "the public exponent must be odd, at least 65537 and at most 8 bytes long");
    return CMK_OK;
}

cmk_rc cmk_rsa_generate(unsigned bits, cmk_bytes e, cmk_rsa_private **out)
{
    OSSL_SCOPE();
    *out = NULL;
    if (bits != 2048 && bits != 3072 && bits != 4096)
        return cmk_fail(CMK_E_KEY_SIZE, "RSA keys of %u bits are not generated: use 2048, 3072 or 4096", bits);
    AUTO_BN *exponent = NULL;
    cmk_rc rc = exponent_check(e, &exponent);
    if (rc != CMK_OK)
        return rc;
    const ossl_lib *lib = ossl_get();
    if (!lib)
        return CMK_E_CRYPTO;
    EVP_PKEY *pkey = NULL;
    AUTO_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(lib->ctx, "RSA", NULL);
    if (!ctx || EVP_PKEY_keygen_init(ctx) != 1 || EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)bits) != 1 ||
        EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, exponent) != 1 || EVP_PKEY_generate(ctx, &pkey) != 1)
        return ossl_fail("generating an RSA key");
    return private_new(pkey, out);
}

cmk_rc cmk_rsa_private_export(const cmk_rsa_private *key, cmk_secret *der)
{
    OSSL_SCOPE();
    cmk_secret_clear(der);
    AUTO_PARTS parts = {.count = PARTS};
    cmk_rc rc = parts_from_pkey(key->k.pkey, &parts);
    if (rc == CMK_OK)
        rc = parts_to_der(&parts, NULL, der);
    if (rc != CMK_OK)
        cmk_secret_clear(der);
    return rc;
}

cmk_rc cmk_rsa_private_load(cmk_bytes der, cmk_rsa_private **out)
{
    OSSL_SCOPE();
    *out = NULL;
    const ossl_lib *lib = ossl_get();
    if (!lib)
        return CMK_E_CRYPTO;
    AUTO_PARTS parts = {.count = PARTS};
    EVP_PKEY *pkey = NULL;
    if (!parts_from_der(der, &parts))
        return cmk_fail(CMK_E_FORMAT, "not the PKCS #8 DER of an RSA private key with its CRT parameters");
    if (!public_ok(&parts) || !private_ok(lib, &parts))
        return cmk_fail(CMK_E_FORMAT,
                        "an RSA private key of %d bits has numbers out of range or that do not fit together",
                        BN_num_bits(parts.v[N]));
    cmk_rc rc = parts_to_pkey(lib, &parts, &pkey);
    return rc == CMK_OK ? private_new(pkey, out) : rc;
}

static cmk_rc append_number(cmk_buf *out, const BIGNUM *v)
{
    int n = BN_num_bytes(v);
    uint8_t *p = cmk_buf_extend(out, (size_t)n);
    return p && BN_bn2binpad(v, p, n) == n ? CMK_OK : cmk_fail(CMK_E_NO_MEMORY, "no memory for a public key");
}

cmk_rc cmk_rsa_private_public(const cmk_rsa_private *key, cmk_buf *n, cmk_buf *e)
{
    OSSL_SCOPE();
    AUTO_PARTS parts = {.count = 2};
    cmk_rc rc = parts_from_pkey(key->k.pkey, &parts);
    if (rc == CMK_OK)
        rc = append_number(n, parts.v[N]);
    if (rc == CMK_OK)
        rc = append_number(e, parts.v[E]);
    return rc;
}

void cmk_rsa_private_free(cmk_rsa_private *key)
{
    if (!key)
        return;
    rsa_key_clear(&key->k);
    free(key);
}

cmk_rc cmk_rsa_public_new(cmk_bytes n, cmk_bytes e, cmk_rsa_public **out)
{
    OSSL_SCOPE();
    *out = NULL;
    const ossl_lib *lib = ossl_get();
    if (!lib)
        return CMK_E_CRYPTO;
    AUTO_PARTS parts = {.count = 2};
    EVP_PKEY *pkey = NULL;
    if (n.len > NUMBER_MAX + 1 || e.len > NUMBER_MAX + 1 || !(parts.v[N] = BN_bin2bn(n.data, (int)n.len, NULL)) ||
        !(parts.v[E] = BN_bin2bn(e.data, (int)e.len, NULL)) || !public_ok(&parts))
        return cmk_fail(CMK_E_FORMAT, "no RSA public key of 1024 to 16384 bits: modulus %zu, exponent %zu bytes", n.len,
                        e.len);
    cmk_rc rc = parts_to_pkey(lib, &parts, &pkey);
    if (rc != CMK_OK)
        return rc;
    cmk_rsa_public *key = calloc(1, sizeof(*key));
    rc = key ? rsa_key_setup(&key->k, pkey, false) : cmk_fail(CMK_E_NO_MEMORY, "no memory for an RSA key");
    if (rc == CMK_OK) {
        *out = key;
    } else {
        EVP_PKEY_free(pkey);
        free(key);
    }
    return rc;
}

void cmk_rsa_public_free(cmk_rsa_public *key)
{
    if (!key)
        return;
    rsa_key_clear(&key->k);
    free(key);
}

size_t cmk_rsa_public_size(const cmk_rsa_public *key)
{
    return key->k.size;
}

size_t cmk_rsa_private_size(const cmk_rsa_private *key)
{
    return key->k.size;
}

cmk_rc cmk_rsa_public_info(const cmk_rsa_public *key, cmk_buf *out)
{
    OSSL_SCOPE();
    unsigned char *der = NULL;
    int n = i2d_PUBKEY(key->k.pkey, &der);
    if (n <= 0)
        return ossl_fail("encoding a public key");
    cmk_buf_add(out, der, (size_t)n);
    OPENSSL_free(der);
    return cmk_buf_ok(out);
}
