/* AES key wrap with padding, alone and under RSA-OAEP. */
#include "crypto/ossl.h"

#include <string.h>

#define KWP_PLAIN_MAX ((size_t)65536)
#define KWP_BLOCK 8
#define KWP_WRAPPED_MIN ((size_t)16)
#define KWP_WRAPPED_MAX (KWP_PLAIN_MAX + KWP_BLOCK)

/* A context for AES-KWP, NULL when there is no such key size or libcrypto fails. */
static EVP_CIPHER_CTX *kwp_context(const ossl_lib *lib, cmk_bytes kek, int encrypt)
{
    const EVP_CIPHER *cipher = ossl_aes_cipher(lib, OSSL_AES_KWP, kek.len);
    EVP_CIPHER_CTX *ctx = cipher ? EVP_CIPHER_CTX_new() : NULL;
    if (ctx)
        EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    if (ctx && EVP_CipherInit_ex2(ctx, cipher, kek.data, NULL, encrypt, NULL) == 1)
        return ctx;
    EVP_CIPHER_CTX_free(ctx);
    return NULL;
}

static cmk_rc kek_check(cmk_bytes kek)
{
    if (kek.len != 16 && kek.len != 24 && kek.len != 32)
        return cmk_fail(CMK_E_KEY_SIZE, "an AES key has 16, 24 or 32 bytes, not %zu", kek.len);
    return CMK_OK;
}

static size_t kwp_size(size_t plain_len)
{
    return (plain_len + KWP_BLOCK - 1) / KWP_BLOCK * KWP_BLOCK + KWP_BLOCK;
}

cmk_rc cmk_aes_kwp_wrap(cmk_bytes kek, cmk_bytes plain, cmk_buf *out)
{
    OSSL_SCOPE();
    cmk_rc rc = kek_check(kek);
    if (rc != CMK_OK)
        return rc;
    if (plain.len == 0 || plain.len > KWP_PLAIN_MAX)
        return cmk_fail(CMK_E_DATA_LENGTH, "AES key wrap takes 1 to %zu bytes, not %zu", KWP_PLAIN_MAX, plain.len);
    const ossl_lib *lib = ossl_get();
    if (!lib)
        return CMK_E_CRYPTO;
    size_t start = out->len;
    size_t size = kwp_size(plain.len);
    uint8_t *p = cmk_buf_extend(out, size);
    if (!p)
        return cmk_fail(CMK_E_NO_MEMORY, "no memory for a wrapped key of %zu bytes", size);
    AUTO_CIPHER_CTX *ctx = kwp_context(lib, kek, 1);
    int n = 0;
    if (!ctx || EVP_EncryptUpdate(ctx, p, &n, plain.data, (int)plain.len) != 1 || n < 0 || (size_t)n != size) {
        ossl_buf_cut(out, start);
        return ossl_fail("AES key wrap");
    }
    return CMK_OK;
}

static bool kwp_length_ok(size_t n)
{
    return n >= KWP_WRAPPED_MIN && n <= KWP_WRAPPED_MAX && n % KWP_BLOCK == 0;
}

cmk_rc cmk_aes_kwp_unwrap(cmk_bytes kek, cmk_bytes wrapped, cmk_secret *plain)
{
    OSSL_SCOPE();
    CMK_SECRET_AUTO scratch = CMK_SECRET_INIT;
    cmk_secret_clear(plain);
    cmk_rc rc = kek_check(kek);
    if (rc != CMK_OK)
        return rc;
    if (!kwp_length_ok(wrapped.len))
        return CMK_E_WRAPPED_KEY;
    const ossl_lib *lib = ossl_get();
    if (!lib)
        return CMK_E_CRYPTO;
    rc = cmk_secret_new(&scratch, wrapped.len);
    if (rc != CMK_OK)
        return rc;
    AUTO_CIPHER_CTX *ctx = kwp_context(lib, kek, 0);
    int n = 0;
    if (!ctx)
        return ossl_fail("AES key unwrap");
    if (EVP_DecryptUpdate(ctx, scratch.data, &n, wrapped.data, (int)wrapped.len) != 1 || n <= 0)
        return CMK_E_WRAPPED_KEY;
    return cmk_secret_copy(plain, cmk_bytes_of(scratch.data, (size_t)n));
}

static cmk_rc aes_bits_check(unsigned bits)
{
    if (bits != 128 && bits != 192 && bits != 256)
        return cmk_fail(CMK_E_MECHANISM_PARAM, "the temporary AES key must have 128, 192 or 256 bits, not %u", bits);
    return CMK_OK;
}

cmk_rc cmk_rsa_aes_wrap(cmk_rsa_public *key, const cmk_oaep *params, unsigned aes_bits, cmk_bytes plain, cmk_buf *out)
{
    CMK_SECRET_AUTO temporary = CMK_SECRET_INIT;
    size_t start = out->len;
    cmk_rc rc = aes_bits_check(aes_bits);
    if (rc == CMK_OK)
        rc = cmk_secret_new(&temporary, aes_bits / 8);
    if (rc == CMK_OK)
        rc = cmk_random(temporary.data, temporary.len);
    if (rc == CMK_OK) {
        uint8_t *p = cmk_buf_extend(out, cmk_rsa_public_size(key));
        rc = p ? cmk_rsa_oaep_encrypt(key, params, cmk_secret_view(&temporary), p)
               : cmk_fail(CMK_E_NO_MEMORY, "no memory for a wrapped key");
    }
    if (rc == CMK_OK)
        rc = cmk_aes_kwp_wrap(cmk_secret_view(&temporary), plain, out);
    if (rc != CMK_OK)
        ossl_buf_cut(out, start);
    return rc;
}

/* After the private operation both steps are always done, with a random key where the first one failed, so that the
 * time taken does not tell which of them it was. */
static cmk_rc unwrap_both(cmk_rsa_private *key, const cmk_oaep *params, cmk_bytes first, cmk_bytes second,
                          cmk_secret *temporary, cmk_secret *plain)
{
    CMK_SECRET_AUTO opened = CMK_SECRET_INIT;
    cmk_rc rc = cmk_rsa_oaep_decrypt(key, params, first, &opened);
    if (rc != CMK_OK && rc != CMK_E_WRAPPED_KEY)
        return rc;
    bool good = rc == CMK_OK && opened.len == temporary->len;
    if (good)
        memcpy(temporary->data, opened.data, temporary->len);
    rc = cmk_aes_kwp_unwrap(cmk_secret_view(temporary), second, plain);
    if (good && rc == CMK_OK)
        return CMK_OK;
    cmk_secret_clear(plain);
    cmk_fail_clear();
    return CMK_E_WRAPPED_KEY;
}

cmk_rc cmk_rsa_aes_unwrap(cmk_rsa_private *key, const cmk_oaep *params, unsigned aes_bits, cmk_bytes wrapped,
                          cmk_secret *plain)
{
    CMK_SECRET_AUTO temporary = CMK_SECRET_INIT;
    cmk_secret_clear(plain);
    cmk_rc rc = aes_bits_check(aes_bits);
    if (rc != CMK_OK)
        return rc;
    size_t size = cmk_rsa_private_size(key);
    if (wrapped.len < size || !kwp_length_ok(wrapped.len - size))
        return cmk_fail(CMK_E_WRAPPED_KEY_LENGTH, "a wrapped key of %zu bytes does not fit a modulus of %zu",
                        wrapped.len, size);
    rc = cmk_secret_new(&temporary, aes_bits / 8);
    if (rc == CMK_OK)
        rc = cmk_random(temporary.data, temporary.len);
    if (rc != CMK_OK)
        return rc;
    return unwrap_both(key, params, cmk_bytes_of(wrapped.data, size),
                       cmk_bytes_of(wrapped.data + size, wrapped.len - size), &temporary, plain);
}
