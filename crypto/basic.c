/* The library context, random numbers, hashes, HMAC and HKDF. */
#include "crypto/ossl.h"

#include <openssl/crypto.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <unistd.h>

#define RANDOM_ADD_MAX ((size_t)1024 * 1024)
#define HKDF_MAX ((size_t)255 * CMK_SHA256_SIZE)

typedef struct hash_row {
    const char *name;
    size_t size;
} hash_row;
static const hash_row hashes[CMK_HASH_COUNT] = {
    [CMK_SHA1] = {"SHA1", 20},       [CMK_SHA224] = {"SHA2-224", 28}, [CMK_SHA256] = {"SHA2-256", 32},
    [CMK_SHA384] = {"SHA2-384", 48}, [CMK_SHA512] = {"SHA2-512", 64},
};

static const char *const aes_names[OSSL_AES_COUNT][OSSL_AES_SIZES] = {
    [OSSL_AES_CBC] = {"AES-128-CBC", "AES-192-CBC", "AES-256-CBC"},
    [OSSL_AES_GCM] = {"AES-128-GCM", "AES-192-GCM", "AES-256-GCM"},
    [OSSL_AES_KWP] = {"AES-128-WRAP-PAD", "AES-192-WRAP-PAD", "AES-256-WRAP-PAD"},
};

static pthread_once_t lib_once = PTHREAD_ONCE_INIT;
static ossl_lib lib_state;
static bool lib_ready;
static char lib_error[128];

static bool lib_fetch(ossl_lib *lib)
{
    for (size_t i = 0; i < CMK_HASH_COUNT; i++)
        if (hashes[i].name && !(lib->md[i] = EVP_MD_fetch(lib->ctx, hashes[i].name, NULL)))
            return false;
    for (size_t m = 0; m < OSSL_AES_COUNT; m++)
        for (size_t s = 0; s < OSSL_AES_SIZES; s++)
            if (!(lib->aes[m][s] = EVP_CIPHER_fetch(lib->ctx, aes_names[m][s], NULL)))
                return false;
    lib->hkdf = EVP_KDF_fetch(lib->ctx, "HKDF", NULL);
    lib->scrypt = EVP_KDF_fetch(lib->ctx, "SCRYPT", NULL);
    lib->hmac = EVP_MAC_fetch(lib->ctx, "HMAC", NULL);
    return lib->hkdf && lib->scrypt && lib->hmac;
}

/* Only error strings are initialised for the process: asking for anything about configuration here, even that it be
 * left alone, would decide it for the application too. */
static void lib_make(void)
{
    OSSL_SCOPE();
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    lib_state.cores = cores > 0 ? (size_t)cores : 1;
    lib_ready = OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL) == 1 &&
                (lib_state.ctx = OSSL_LIB_CTX_new()) != NULL && OSSL_PROVIDER_load(lib_state.ctx, "default") != NULL &&
                lib_fetch(&lib_state);
    if (!lib_ready)
        ERR_error_string_n(ERR_peek_last_error(), lib_error, sizeof(lib_error));
}

const ossl_lib *ossl_get(void)
{
    pthread_once(&lib_once, lib_make);
    if (lib_ready)
        return &lib_state;
    (void)cmk_fail(CMK_E_CRYPTO, "libcrypto's default provider can't be used: %s", lib_error);
    return NULL;
}

cmk_rc cmk_crypto_init(void)
{
    return ossl_get() ? CMK_OK : CMK_E_CRYPTO;
}

cmk_rc ossl_fail(const char *what)
{
    unsigned long e = ERR_peek_last_error();
    const char *reason = e ? ERR_reason_error_string(e) : NULL;
    return cmk_fail(CMK_E_CRYPTO, "%s failed in libcrypto: %s", what, reason ? reason : "no reason given");
}

const char *ossl_hash_name(cmk_hash h)
{
    return (unsigned)h < CMK_HASH_COUNT ? hashes[h].name : NULL;
}

size_t cmk_hash_size(cmk_hash h)
{
    return (unsigned)h < CMK_HASH_COUNT ? hashes[h].size : 0;
}

const EVP_CIPHER *ossl_aes_cipher(const ossl_lib *lib, ossl_aes mode, size_t key_size)
{
    if (key_size != 16 && key_size != 24 && key_size != 32)
        return NULL;
    return lib->aes[mode][(key_size - 16) / 8];
}

cmk_rc cmk_random(void *out, size_t n)
{
    OSSL_SCOPE();
    const ossl_lib *lib = ossl_get();
    if (!lib)
        return CMK_E_CRYPTO;
    if (n > 0 && RAND_priv_bytes_ex(lib->ctx, out, n, 0) != 1)
        return ossl_fail("random number generation");
    return CMK_OK;
}

/* The primary DRBG, from which every thread's own are seeded again once they see that it was: so this reaches all of
 * them. */
cmk_rc cmk_random_add(const void *seed, size_t n)
{
    OSSL_SCOPE();
    const ossl_lib *lib = ossl_get();
    if (!lib)
        return CMK_E_CRYPTO;
    EVP_RAND_CTX *primary = RAND_get0_primary(lib->ctx);
    if (!primary)
        return ossl_fail("opening the random number generator");
    const uint8_t *p = seed;
    while (n > 0) {
        size_t part = n < RANDOM_ADD_MAX ? n : RANDOM_ADD_MAX;
        if (EVP_RAND_reseed(primary, 0, NULL, 0, p, part) != 1)
            return ossl_fail("seeding the random number generator");
        p += part;
        n -= part;
    }
    return CMK_OK;
}

cmk_rc cmk_id_new(cmk_id *out)
{
    return cmk_random(out->b, sizeof(out->b));
}

bool cmk_equal_ct(const void *a, const void *b, size_t n)
{
    return n == 0 || CRYPTO_memcmp(a, b, n) == 0;
}

cmk_rc cmk_sha256(const cmk_bytes *parts, size_t n, uint8_t out[CMK_SHA256_SIZE])
{
    OSSL_SCOPE();
    const ossl_lib *lib = ossl_get();
    if (!lib)
        return CMK_E_CRYPTO;
    AUTO_MD_CTX *ctx = EVP_MD_CTX_new();
    int ok = ctx != NULL && EVP_DigestInit_ex2(ctx, lib->md[CMK_SHA256], NULL) == 1;
    for (size_t i = 0; ok && i < n; i++)
        ok = parts[i].len == 0 || EVP_DigestUpdate(ctx, parts[i].data, parts[i].len) == 1;
    if (!ok || EVP_DigestFinal_ex(ctx, out, NULL) != 1)
        return ossl_fail("SHA-256");
    return CMK_OK;
}

cmk_rc cmk_hmac_sha256(cmk_bytes key, const cmk_bytes *parts, size_t n, uint8_t out[CMK_SHA256_SIZE])
{
    OSSL_SCOPE();
    const ossl_lib *lib = ossl_get();
    if (!lib)
        return CMK_E_CRYPTO;
    static const uint8_t no_key[1] = {0}; /* NULL would mean: keep the key of before */
    size_t len = 0;
    OSSL_PARAM params[] = {ossl_param_text(OSSL_MAC_PARAM_DIGEST, hashes[CMK_SHA256].name), OSSL_PARAM_construct_end()};
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(lib->hmac);
    int ok = ctx != NULL && EVP_MAC_init(ctx, key.len > 0 ? key.data : no_key, key.len, params) == 1;
    for (size_t i = 0; ok && i < n; i++)
        ok = parts[i].len == 0 || EVP_MAC_update(ctx, parts[i].data, parts[i].len) == 1;
    ok = ok && EVP_MAC_final(ctx, out, &len, CMK_SHA256_SIZE) == 1 && len == CMK_SHA256_SIZE;
    EVP_MAC_CTX_free(ctx);
    return ok ? CMK_OK : ossl_fail("HMAC-SHA-256");
}

cmk_rc cmk_hkdf_sha256(cmk_bytes secret, cmk_bytes salt, cmk_bytes info, uint8_t *out, size_t len)
{
    OSSL_SCOPE();
    if (secret.len == 0 || len == 0 || len > HKDF_MAX)
        return cmk_fail(CMK_E_ARGUMENT, "HKDF-SHA-256 gives 1 to %zu bytes from a secret that is not empty", HKDF_MAX);
    const ossl_lib *lib = ossl_get();
    if (!lib)
        return CMK_E_CRYPTO;
    OSSL_PARAM params[5];
    size_t n = 0;
    params[n++] = ossl_param_text(OSSL_KDF_PARAM_DIGEST, hashes[CMK_SHA256].name);
    params[n++] = ossl_param_octets(OSSL_KDF_PARAM_KEY, secret);
    if (salt.len > 0)
        params[n++] = ossl_param_octets(OSSL_KDF_PARAM_SALT, salt);
    if (info.len > 0)
        params[n++] = ossl_param_octets(OSSL_KDF_PARAM_INFO, info);
    params[n] = OSSL_PARAM_construct_end();
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(lib->hkdf);
    int ok = ctx != NULL && EVP_KDF_derive(ctx, out, len, params) == 1;
    EVP_KDF_CTX_free(ctx);
    return ok ? CMK_OK : ossl_fail("HKDF-SHA-256");
}
