/* Password hashing: scrypt, RFC 7914. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "crypto/ossl.h"

#define R 8
#define DEFAULT_P 1
#define P_MAX 16
#define LOG2N_MAX 20
#ifdef CMK_WEAK_KDF_FOR_TESTS
#define DEFAULT_LOG2N 10
#define LOG2N_MIN 4
#else
#define DEFAULT_LOG2N 16
#define LOG2N_MIN 16
#endif
#define COST_MAX ((uint64_t)1 << 30) /* 128·N·r·p; with the other bounds it can't overflow */
/* libcrypto's own limit counts some small buffers too; ours, checked before, is the one that decides. */
#define LIBCRYPTO_MAXMEM ((uint64_t)2 << 30)

cmk_rc cmk_scrypt_default(cmk_scrypt_params *out)
{
    *out = (cmk_scrypt_params){.log2n = DEFAULT_LOG2N, .r = R, .p = DEFAULT_P};
    return cmk_random(out->salt, sizeof(out->salt));
}

cmk_rc cmk_scrypt_check(const cmk_scrypt_params *params)
{
    bool ok = params->log2n >= LOG2N_MIN && params->log2n <= LOG2N_MAX && params->r == R && params->p >= 1 &&
              params->p <= P_MAX && ((uint64_t)128 * R * params->p << params->log2n) <= COST_MAX;
    if (!ok)
        return cmk_fail(CMK_E_TAMPERED,
                        "scrypt parameters out of bounds: log2 N %u, r %u, p %u; this build takes log2 N of %d to %d, "
                        "r = %d, p of 1 to %d, and 1 GiB in all",
                        params->log2n, params->r, params->p, LOG2N_MIN, LOG2N_MAX, R, P_MAX);
    return CMK_OK;
}

cmk_rc ossl_scrypt(uint64_t n, uint32_t r, uint32_t p, cmk_bytes salt, cmk_bytes pin, uint8_t *out, size_t len)
{
    OSSL_SCOPE();
    const ossl_lib *lib = ossl_get();
    if (!lib)
        return CMK_E_CRYPTO;
    static const uint8_t empty[1] = {0};
    uint64_t maxmem = LIBCRYPTO_MAXMEM;
    OSSL_PARAM params[] = {
        ossl_param_octets(OSSL_KDF_PARAM_PASSWORD, pin.len > 0 ? pin : cmk_bytes_of(empty, 0)),
        ossl_param_octets(OSSL_KDF_PARAM_SALT, salt.len > 0 ? salt : cmk_bytes_of(empty, 0)),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &maxmem),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(lib->scrypt);
    int ok = ctx != NULL && EVP_KDF_derive(ctx, out, len, params) == 1;
    EVP_KDF_CTX_free(ctx);
    return ok ? CMK_OK : ossl_fail("scrypt");
}

cmk_rc cmk_scrypt(const cmk_scrypt_params *params, cmk_bytes pin, uint8_t out[CMK_KEY_SIZE])
{
    cmk_rc rc = cmk_scrypt_check(params);
    if (rc != CMK_OK)
        return rc;
    return ossl_scrypt((uint64_t)1 << params->log2n, params->r, params->p,
                       cmk_bytes_of(params->salt, sizeof(params->salt)), pin, out, CMK_KEY_SIZE);
}
