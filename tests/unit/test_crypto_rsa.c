/* crypto/: RSA keys, OAEP against plain EVP in OpenSSL's default context, RSA-AES wrapping, certificates, threads. */
#include "crypto/crypto.h"
#include "tests/unit/unit.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>

static const uint8_t f4[] = {1, 0, 1};
static const char *const names[CMK_HASH_COUNT] = {NULL, "SHA1", "SHA224", "SHA256", "SHA384", "SHA512"};

typedef struct pair {
    cmk_rsa_private *priv;
    cmk_rsa_public *pub;
    EVP_PKEY *plain; /* the same key, as an application would hold it */
} pair;

static void pair_make(pair *p, unsigned bits)
{
    CMK_SECRET_AUTO der = CMK_SECRET_INIT;
    CMK_BUF_AUTO n = CMK_BUF_INIT;
    CMK_BUF_AUTO e = CMK_BUF_INIT;
    CU_ASSERT_EQUAL_FATAL(cmk_rsa_generate(bits, cmk_bytes_of(f4, 3), &p->priv), CMK_OK);
    UNIT_OK(cmk_rsa_private_export(p->priv, &der));
    const unsigned char *at = der.data;
    p->plain = d2i_AutoPrivateKey(NULL, &at, (long)der.len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p->plain);
    CU_ASSERT_PTR_EQUAL(at, der.data + der.len);
    UNIT_OK(cmk_rsa_private_public(p->priv, &n, &e));
    CU_ASSERT(n.len == bits / 8 && n.data[0] >= 0x80 && cmk_bytes_equal(cmk_buf_view(&e), cmk_bytes_of(f4, 3)));
    CU_ASSERT_EQUAL_FATAL(cmk_rsa_public_new(cmk_buf_view(&n), cmk_buf_view(&e), &p->pub), CMK_OK);
    CU_ASSERT_EQUAL(cmk_rsa_public_size(p->pub), bits / 8);
    CU_ASSERT_EQUAL(cmk_rsa_private_size(p->priv), bits / 8);
}

static void pair_free(pair *p)
{
    cmk_rsa_private_free(p->priv);
    cmk_rsa_public_free(p->pub);
    EVP_PKEY_free(p->plain);
}

/* One key for all tests, made by the first and freed by the last. */
static pair kek;

static EVP_PKEY_CTX *evp(EVP_PKEY *key, const cmk_oaep *o, int encrypt)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    void *label = o->label.len ? OPENSSL_memdup(o->label.data, o->label.len) : NULL;
    CU_ASSERT_EQUAL(encrypt ? EVP_PKEY_encrypt_init(ctx) : EVP_PKEY_decrypt_init(ctx), 1);
    CU_ASSERT_EQUAL(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING), 1);
    CU_ASSERT_EQUAL(EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_get_digestbyname(names[o->hash])), 1);
    CU_ASSERT_EQUAL(EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_get_digestbyname(names[o->mgf])), 1);
    if (label)
        CU_ASSERT_EQUAL(EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, label, (int)o->label.len), 1);
    return ctx;
}

static void check_ours_to_evp(const cmk_oaep *o, cmk_bytes text)
{
    uint8_t wrapped[256];
    uint8_t out[256];
    size_t n = sizeof(out);
    EVP_PKEY_CTX *ctx = evp(kek.plain, o, 0);
    UNIT_OK(cmk_rsa_oaep_encrypt(kek.pub, o, text, wrapped));
    CU_ASSERT_EQUAL(EVP_PKEY_decrypt(ctx, out, &n, wrapped, sizeof(wrapped)), 1);
    CU_ASSERT(cmk_bytes_equal(cmk_bytes_of(out, n), text));
    EVP_PKEY_CTX_free(ctx);
}

static void check_evp_to_ours(const cmk_oaep *o, cmk_bytes text)
{
    uint8_t wrapped[256];
    size_t n = sizeof(wrapped);
    CMK_SECRET_AUTO back = CMK_SECRET_INIT;
    EVP_PKEY_CTX *ctx = evp(kek.plain, o, 1);
    CU_ASSERT_EQUAL(EVP_PKEY_encrypt(ctx, wrapped, &n, text.data, text.len), 1);
    UNIT_OK(cmk_rsa_oaep_decrypt(kek.priv, o, cmk_bytes_of(wrapped, n), &back));
    CU_ASSERT(cmk_bytes_equal(cmk_secret_view(&back), text));
    EVP_PKEY_CTX_free(ctx);
}

static void test_oaep_pairs(void)
{
    static uint8_t text[256];
    pair_make(&kek, 2048);
    UNIT_OK(cmk_random(text, sizeof(text)));
    for (cmk_hash h = CMK_SHA1; h < CMK_HASH_COUNT; h++)
        for (cmk_hash m = CMK_SHA1; m < CMK_HASH_COUNT; m++)
            for (int label = 0; label < 2; label++) {
                cmk_oaep o = {h, m, label ? cmk_bytes_str("tenant 7") : cmk_bytes_of(NULL, 0)};
                size_t most = cmk_oaep_max(256, h);
                uint8_t out[256];
                check_ours_to_evp(&o, cmk_bytes_of(text, 32));
                check_ours_to_evp(&o, cmk_bytes_of(text, most));
                check_evp_to_ours(&o, cmk_bytes_of(text, 32));
                check_evp_to_ours(&o, cmk_bytes_of(text, most));
                UNIT_RC(cmk_rsa_oaep_encrypt(kek.pub, &o, cmk_bytes_of(text, most + 1), out), CMK_E_DATA_LENGTH);
            }
}

static void test_oaep_empty(void)
{
    cmk_oaep o = {CMK_SHA256, CMK_SHA256, {NULL, 0}};
    uint8_t wrapped[256];
    CMK_SECRET_AUTO back = CMK_SECRET_INIT;
    UNIT_OK(cmk_rsa_oaep_encrypt(kek.pub, &o, cmk_bytes_of(NULL, 0), wrapped));
    UNIT_OK(cmk_rsa_oaep_decrypt(kek.priv, &o, cmk_bytes_of(wrapped, 256), &back));
    CU_ASSERT(back.data == NULL && back.len == 0);
}

static void refused(const cmk_oaep *o, cmk_bytes wrapped, cmk_rc want)
{
    CMK_SECRET_AUTO back = CMK_SECRET_INIT;
    cmk_fail_clear();
    UNIT_RC(cmk_rsa_oaep_decrypt(kek.priv, o, wrapped, &back), want);
    CU_ASSERT(back.data == NULL && back.len == 0);
    if (want == CMK_E_WRAPPED_KEY)
        CU_ASSERT_STRING_EQUAL(cmk_fail_detail(), "");
}

static void test_oaep_refusals(void)
{
    cmk_oaep o = {CMK_SHA256, CMK_SHA256, {NULL, 0}};
    uint8_t wrapped[257] = {0};
    ERR_clear_error();
    UNIT_OK(cmk_rsa_oaep_encrypt(kek.pub, &o, cmk_bytes_str("a key"), wrapped));
    refused(&o, cmk_bytes_of(wrapped, 255), CMK_E_WRAPPED_KEY_LENGTH);
    refused(&o, cmk_bytes_of(wrapped, 257), CMK_E_WRAPPED_KEY_LENGTH);
    refused(&o, cmk_bytes_of(wrapped, 0), CMK_E_WRAPPED_KEY_LENGTH);
    for (size_t i = 0; i < 256; i += 15) {
        wrapped[i] ^= 0x10;
        refused(&o, cmk_bytes_of(wrapped, 256), CMK_E_WRAPPED_KEY);
        wrapped[i] ^= 0x10;
    }
    cmk_oaep other = {CMK_SHA256, CMK_SHA1, {NULL, 0}};
    refused(&other, cmk_bytes_of(wrapped, 256), CMK_E_WRAPPED_KEY);
    other = (cmk_oaep){CMK_SHA256, CMK_SHA256, cmk_bytes_str("x")};
    refused(&other, cmk_bytes_of(wrapped, 256), CMK_E_WRAPPED_KEY);
    other = (cmk_oaep){CMK_HASH_NONE, CMK_SHA256, {NULL, 0}};
    refused(&other, cmk_bytes_of(wrapped, 256), CMK_E_MECHANISM_PARAM);
    memset(wrapped, 0xff, 256); /* not below the modulus */
    refused(&o, cmk_bytes_of(wrapped, 256), CMK_E_WRAPPED_KEY);
    memset(wrapped, 0, 256);
    refused(&o, cmk_bytes_of(wrapped, 256), CMK_E_WRAPPED_KEY);
    CU_ASSERT_EQUAL(ERR_peek_error(), 0);
    CU_ASSERT_EQUAL(cmk_oaep_max(256, CMK_SHA256), 190);
    CU_ASSERT_EQUAL(cmk_oaep_max(128, CMK_SHA512), 0);
    CU_ASSERT_EQUAL(cmk_oaep_max(256, CMK_HASH_NONE), 0);
}

static void test_keys(void)
{
    static const uint8_t even[] = {1, 0, 2};
    static const uint8_t small[] = {3};
    static const uint8_t odd[] = {1, 0, 0, 0, 0, 0, 0, 15};
    static const uint8_t nine[9] = {1, 0, 0, 0, 0, 0, 0, 0, 1};
    cmk_rsa_private *key = NULL;
    UNIT_RC(cmk_rsa_generate(1024, cmk_bytes_of(f4, 3), &key), CMK_E_KEY_SIZE);
    UNIT_RC(cmk_rsa_generate(2049, cmk_bytes_of(f4, 3), &key), CMK_E_KEY_SIZE);
    UNIT_RC(cmk_rsa_generate(2048, cmk_bytes_of(even, 3), &key), CMK_E_ARGUMENT);
    UNIT_RC(cmk_rsa_generate(2048, cmk_bytes_of(small, 1), &key), CMK_E_ARGUMENT);
    UNIT_RC(cmk_rsa_generate(2048, cmk_bytes_of(nine, 9), &key), CMK_E_ARGUMENT);
    UNIT_RC(cmk_rsa_generate(2048, cmk_bytes_of(NULL, 0), &key), CMK_E_ARGUMENT);
    CU_ASSERT_PTR_NULL(key);
    UNIT_OK(cmk_rsa_generate(2048, cmk_bytes_of(odd, 8), &key));
    cmk_rsa_private_free(key);
    cmk_rsa_private_free(NULL);
    cmk_rsa_public_free(NULL);
    pair p = {NULL, NULL, NULL};
    pair_make(&p, 3072);
    pair_free(&p);
}

static void test_load(void)
{
    CMK_SECRET_AUTO der = CMK_SECRET_INIT;
    CMK_SECRET_AUTO again = CMK_SECRET_INIT;
    cmk_rsa_private *key = NULL;
    unsigned char *reference = NULL;
    PKCS8_PRIV_KEY_INFO *p8 = EVP_PKEY2PKCS8(kek.plain);
    int n = i2d_PKCS8_PRIV_KEY_INFO(p8, &reference);
    UNIT_OK(cmk_rsa_private_export(kek.priv, &der));
    CU_ASSERT(n > 0 && cmk_bytes_equal(cmk_secret_view(&der), cmk_bytes_of(reference, (size_t)n)));
    OPENSSL_clear_free(reference, (size_t)n);
    reference = NULL;
    /* with attributes, as some tools write them */
    CU_ASSERT_EQUAL(PKCS8_pkey_add1_attr_by_NID(p8, NID_friendlyName, MBSTRING_ASC, (const uint8_t *)"kek", 3), 1);
    n = i2d_PKCS8_PRIV_KEY_INFO(p8, &reference);
    CU_ASSERT_FATAL(n > (int)der.len);
    UNIT_OK(cmk_rsa_private_load(cmk_bytes_of(reference, (size_t)n), &key));
    cmk_rsa_private_free(key);
    OPENSSL_clear_free(reference, (size_t)n);
    PKCS8_PRIV_KEY_INFO_free(p8);
    UNIT_OK(cmk_rsa_private_load(cmk_secret_view(&der), &key));
    UNIT_OK(cmk_rsa_private_export(key, &again));
    CU_ASSERT(cmk_bytes_equal(cmk_secret_view(&der), cmk_secret_view(&again)));
    cmk_rsa_private_free(key);
    for (size_t i = 0; i < der.len; i++) {
        der.data[i] ^= 2;
        UNIT_RC(cmk_rsa_private_load(cmk_secret_view(&der), &key), CMK_E_FORMAT);
        der.data[i] ^= 2;
    }
    for (size_t len = 0; len < der.len; len += 7)
        UNIT_RC(cmk_rsa_private_load(cmk_bytes_of(der.data, len), &key), CMK_E_FORMAT);
    CU_ASSERT_PTR_NULL(key);
}

/* The key of kek.plain with d + (p - 1)(q - 1)·2^shift for d: consistent, but with a private exponent longer than the
 * modulus. */
static EVP_PKEY *with_long_exponent(int shift)
{
    enum { N, E, D, P, Q, DP, DQ, QINV, PARTS };
    static const char *const part[PARTS] = {
        OSSL_PKEY_PARAM_RSA_N,         OSSL_PKEY_PARAM_RSA_E,
        OSSL_PKEY_PARAM_RSA_D,         OSSL_PKEY_PARAM_RSA_FACTOR1,
        OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
        OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
    };
    BIGNUM *v[PARTS] = {NULL};
    EVP_PKEY *out = NULL;
    BN_CTX *bn = BN_CTX_new();
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    for (size_t i = 0; i < PARTS; i++)
        CU_ASSERT_EQUAL_FATAL(EVP_PKEY_get_bn_param(kek.plain, part[i], &v[i]), 1);
    BIGNUM *p = BN_dup(v[P]);
    BIGNUM *q = BN_dup(v[Q]);
    CU_ASSERT(BN_sub_word(p, 1) && BN_sub_word(q, 1) && BN_mul(p, p, q, bn) && BN_lshift(p, p, shift) &&
              BN_add(v[D], v[D], p));
    for (size_t i = 0; i < PARTS; i++)
        CU_ASSERT_EQUAL(OSSL_PARAM_BLD_push_BN(bld, part[i], v[i]), 1);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    CU_ASSERT(EVP_PKEY_fromdata_init(ctx) == 1 && EVP_PKEY_fromdata(ctx, &out, EVP_PKEY_KEYPAIR, params) == 1);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);
    for (size_t i = 0; i < PARTS; i++)
        BN_clear_free(v[i]);
    BN_clear_free(p);
    BN_clear_free(q);
    BN_CTX_free(bn);
    return out;
}

static void test_load_long_exponent(void)
{
    static const int shifts[] = {1, 64, 8000};
    for (size_t i = 0; i < sizeof(shifts) / sizeof(shifts[0]); i++) {
        cmk_rsa_private *key = NULL;
        unsigned char *der = NULL;
        EVP_PKEY *odd = with_long_exponent(shifts[i]);
        PKCS8_PRIV_KEY_INFO *p8 = EVP_PKEY2PKCS8(odd);
        int n = i2d_PKCS8_PRIV_KEY_INFO(p8, &der);
        CU_ASSERT_FATAL(n > 0);
        UNIT_RC(cmk_rsa_private_load(cmk_bytes_of(der, (size_t)n), &key), CMK_E_FORMAT);
        cmk_rsa_private_free(key);
        OPENSSL_clear_free(der, (size_t)n);
        PKCS8_PRIV_KEY_INFO_free(p8);
        EVP_PKEY_free(odd);
    }
}

static void test_public(void)
{
    static uint8_t n[2050];
    cmk_rsa_public *key = NULL;
    CMK_BUF_AUTO info = CMK_BUF_INIT;
    unsigned char *reference = NULL;
    memset(n, 0xff, sizeof(n));
    UNIT_RC(cmk_rsa_public_new(cmk_bytes_of(n, 127), cmk_bytes_of(f4, 3), &key), CMK_E_FORMAT);
    UNIT_RC(cmk_rsa_public_new(cmk_bytes_of(n, 2049), cmk_bytes_of(f4, 3), &key), CMK_E_FORMAT);
    UNIT_RC(cmk_rsa_public_new(cmk_bytes_of(n, 256), cmk_bytes_of(n, 256), &key), CMK_E_FORMAT);
    UNIT_RC(cmk_rsa_public_new(cmk_bytes_of(n, 512), cmk_bytes_of(n, 9), &key), CMK_E_FORMAT);
    UNIT_RC(cmk_rsa_public_new(cmk_bytes_of(NULL, 0), cmk_bytes_of(f4, 3), &key), CMK_E_FORMAT);
    UNIT_RC(cmk_rsa_public_new(cmk_bytes_of(n, 256), cmk_bytes_of(NULL, 0), &key), CMK_E_FORMAT);
    UNIT_OK(cmk_rsa_public_new(cmk_bytes_of(n, 128), cmk_bytes_of(f4, 3), &key));
    uint8_t out[128];
    cmk_oaep o = {CMK_SHA512, CMK_SHA512, {NULL, 0}};
    UNIT_RC(cmk_rsa_oaep_encrypt(key, &o, cmk_bytes_of(NULL, 0), out), CMK_E_DATA_LENGTH);
    cmk_rsa_public_free(key);
    int len = i2d_PUBKEY(kek.plain, &reference);
    UNIT_OK(cmk_rsa_public_info(kek.pub, &info));
    CU_ASSERT(len > 0 && cmk_bytes_equal(cmk_buf_view(&info), cmk_bytes_of(reference, (size_t)len)));
    OPENSSL_free(reference);
}

static void test_rsa_aes(void)
{
    static uint8_t text[1217];
    cmk_oaep o = {CMK_SHA256, CMK_SHA1, {NULL, 0}};
    UNIT_OK(cmk_random(text, sizeof(text)));
    for (unsigned bits = 128; bits <= 256; bits += 64) {
        CMK_BUF_AUTO out = CMK_BUF_INIT;
        CMK_SECRET_AUTO back = CMK_SECRET_INIT;
        UNIT_OK(cmk_rsa_aes_wrap(kek.pub, &o, bits, cmk_bytes_of(text, sizeof(text)), &out));
        CU_ASSERT_EQUAL(out.len, 256 + 1224 + 8);
        UNIT_OK(cmk_rsa_aes_unwrap(kek.priv, &o, bits, cmk_buf_view(&out), &back));
        CU_ASSERT(cmk_bytes_equal(cmk_secret_view(&back), cmk_bytes_of(text, sizeof(text))));
        UNIT_RC(cmk_rsa_aes_unwrap(kek.priv, &o, 384 - bits == bits ? 128 : 384 - bits, cmk_buf_view(&out), &back),
                CMK_E_WRAPPED_KEY);
        for (size_t i = 0; i < out.len; i += 97) {
            out.data[i] ^= 1;
            cmk_fail_clear();
            UNIT_RC(cmk_rsa_aes_unwrap(kek.priv, &o, bits, cmk_buf_view(&out), &back), CMK_E_WRAPPED_KEY);
            CU_ASSERT(back.data == NULL && cmk_fail_detail()[0] == '\0');
            out.data[i] ^= 1;
        }
        UNIT_RC(cmk_rsa_aes_unwrap(kek.priv, &o, bits, cmk_bytes_of(out.data, out.len - 1), &back),
                CMK_E_WRAPPED_KEY_LENGTH);
        UNIT_RC(cmk_rsa_aes_unwrap(kek.priv, &o, bits, cmk_bytes_of(out.data, 264), &back), CMK_E_WRAPPED_KEY_LENGTH);
        UNIT_RC(cmk_rsa_aes_unwrap(kek.priv, &o, bits + 1, cmk_buf_view(&out), &back), CMK_E_MECHANISM_PARAM);
    }
}

static void test_certificate(void)
{
    CMK_BUF_AUTO der = CMK_BUF_INIT;
    char cn[512] = "";
    char got[512] = "";
    for (int i = 0; i < 70; i++)
        strcat(cn, "\xc3\xa9"); /* é */
    UNIT_OK(cmk_rsa_self_certificate(kek.priv, cmk_bytes_str(cn), 1800000000, &der));
    const unsigned char *at = der.data;
    X509 *cert = d2i_X509(NULL, &at, (long)der.len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(cert);
    CU_ASSERT_EQUAL(X509_verify(cert, kek.plain), 1);
    CU_ASSERT_EQUAL(X509_get_version(cert), X509_VERSION_3);
    CU_ASSERT_EQUAL(X509_get_key_usage(cert), KU_KEY_ENCIPHERMENT);
    CU_ASSERT_EQUAL(X509_check_ca(cert), 0);
    CU_ASSERT(X509_get0_subject_key_id(cert) != NULL && ASN1_STRING_length(X509_get0_subject_key_id(cert)) == 20);
    CU_ASSERT_EQUAL(ASN1_STRING_length(X509_get0_serialNumber(cert)), 16);
    CU_ASSERT_EQUAL(X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)), 0);
    CU_ASSERT_EQUAL(X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, got, sizeof(got)), 128);
    CU_ASSERT_EQUAL(ASN1_TIME_cmp_time_t(X509_get0_notBefore(cert), 1800000000), 0);
    CU_ASSERT_STRING_EQUAL((const char *)ASN1_STRING_get0_data(X509_get0_notAfter(cert)), "99991231235959Z");
    CU_ASSERT_EQUAL(X509_get_signature_nid(cert), NID_sha256WithRSAEncryption);
    X509_free(cert);
}

/* More threads than cores on one key, with and without a label, sound and damaged. */
#define THREADS 6
static atomic_int wrong;
static void *worker(void *arg)
{
    const int *id = arg;
    for (int i = 0; i < 30; i++) {
        cmk_oaep o = {(cmk_hash)(1 + i % 5), (cmk_hash)(1 + *id % 5),
                      i % 7 ? cmk_bytes_of(NULL, 0) : cmk_bytes_str("l")};
        uint8_t wrapped[256];
        uint8_t text[20];
        CMK_SECRET_AUTO back = CMK_SECRET_INIT;
        memset(text, i, sizeof(text));
        if (cmk_rsa_oaep_encrypt(kek.pub, &o, cmk_bytes_of(text, 20), wrapped) != CMK_OK ||
            cmk_rsa_oaep_decrypt(kek.priv, &o, cmk_bytes_of(wrapped, 256), &back) != CMK_OK ||
            !cmk_bytes_equal(cmk_secret_view(&back), cmk_bytes_of(text, 20)))
            atomic_fetch_add(&wrong, 1);
        wrapped[200] ^= 1;
        if (cmk_rsa_oaep_decrypt(kek.priv, &o, cmk_bytes_of(wrapped, 256), &back) != CMK_E_WRAPPED_KEY)
            atomic_fetch_add(&wrong, 1);
    }
    return NULL;
}

static void test_threads(void)
{
    pthread_t t[THREADS];
    int id[THREADS];
    for (int i = 0; i < THREADS; i++) {
        id[i] = i;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&t[i], NULL, worker, &id[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
}

static void test_free(void)
{
    pair_free(&kek);
}

static const unit_test tests[] = {
    {"oaep-pairs", test_oaep_pairs},
    {"oaep-empty", test_oaep_empty},
    {"oaep-refusals", test_oaep_refusals},
    {"keys", test_keys},
    {"load", test_load},
    {"load-long-exponent", test_load_long_exponent},
    {"public", test_public},
    {"rsa-aes", test_rsa_aes},
    {"certificate", test_certificate},
    {"threads", test_threads},
    {"free", test_free},
};
UNIT_MAIN("crypto-rsa", tests)
