/* Records under AES-256-GCM. */
#include "crypto/ossl.h"

#include <string.h>

enum { NONCE_SIZE = 12, TAG_SIZE = 16 };

_Static_assert(NONCE_SIZE + TAG_SIZE == CMK_AEAD_OVERHEAD, "a blob is nonce, ciphertext, tag");

/* EVP counts in int. */
static cmk_rc check_size(cmk_bytes aad, cmk_bytes data)
{
    if (aad.len > CMK_BUF_MAX || data.len > CMK_BUF_MAX)
        return cmk_fail(CMK_E_ARGUMENT, "a record of %zu bytes is too large, %zu at most", data.len, CMK_BUF_MAX);
    return CMK_OK;
}

static bool encrypt(EVP_CIPHER_CTX *ctx, cmk_bytes aad, cmk_bytes plain, uint8_t *out)
{
    int n = 0;
    return (aad.len == 0 || EVP_EncryptUpdate(ctx, NULL, &n, aad.data, (int)aad.len) == 1) &&
           (plain.len == 0 || EVP_EncryptUpdate(ctx, out, &n, plain.data, (int)plain.len) == 1) &&
           EVP_EncryptFinal_ex(ctx, out + plain.len, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, out + plain.len) == 1;
}

cmk_rc cmk_aead_seal(const uint8_t key[CMK_KEY_SIZE], cmk_bytes aad, cmk_bytes plain, cmk_buf *out)
{
    OSSL_SCOPE();
    size_t start = out->len;
    cmk_rc rc = check_size(aad, plain);
    if (rc != CMK_OK)
        return rc;
    const ossl_lib *lib = ossl_get();
    if (!lib)
        return CMK_E_CRYPTO;
    uint8_t *p = cmk_buf_extend(out, NONCE_SIZE + plain.len + TAG_SIZE);
    if (!p)
        return cmk_fail(CMK_E_NO_MEMORY, "no memory for a sealed record of %zu bytes", plain.len);
    AUTO_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    rc = cmk_random(p, NONCE_SIZE);
    if (rc == CMK_OK && (!ctx || EVP_EncryptInit_ex2(ctx, lib->aes[OSSL_AES_GCM][2], key, p, NULL) != 1 ||
                         !encrypt(ctx, aad, plain, p + NONCE_SIZE)))
        rc = ossl_fail("sealing a record");
    if (rc != CMK_OK)
        ossl_buf_cut(out, start);
    return rc;
}

static bool decrypt(EVP_CIPHER_CTX *ctx, cmk_bytes aad, cmk_bytes text, uint8_t *out)
{
    uint8_t tag[TAG_SIZE];
    uint8_t none[1];
    int n = 0;
    memcpy(tag, text.data + text.len, TAG_SIZE);
    return (aad.len == 0 || EVP_DecryptUpdate(ctx, NULL, &n, aad.data, (int)aad.len) == 1) &&
           (text.len == 0 || EVP_DecryptUpdate(ctx, out, &n, text.data, (int)text.len) == 1) &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, tag) == 1 &&
           EVP_DecryptFinal_ex(ctx, none, &n) == 1;
}

cmk_rc cmk_aead_open(const uint8_t key[CMK_KEY_SIZE], cmk_bytes aad, cmk_bytes blob, cmk_secret *plain)
{
    OSSL_SCOPE();
    cmk_secret_clear(plain);
    cmk_rc rc = check_size(aad, blob);
    if (rc != CMK_OK)
        return rc;
    if (blob.len < CMK_AEAD_OVERHEAD)
        return cmk_fail(CMK_E_TAMPERED, "a sealed record of %zu bytes is too short", blob.len);
    const ossl_lib *lib = ossl_get();
    if (!lib)
        return CMK_E_CRYPTO;
    cmk_bytes text = cmk_bytes_of(blob.data + NONCE_SIZE, blob.len - CMK_AEAD_OVERHEAD);
    rc = cmk_secret_new(plain, text.len);
    if (rc != CMK_OK)
        return rc;
    AUTO_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (!ctx || EVP_DecryptInit_ex2(ctx, lib->aes[OSSL_AES_GCM][2], key, blob.data, NULL) != 1)
        rc = ossl_fail("opening a record");
    else if (!decrypt(ctx, aad, text, plain->data))
        rc = cmk_fail(CMK_E_TAMPERED, "a sealed record does not authenticate");
    if (rc != CMK_OK)
        cmk_secret_clear(plain);
    return rc;
}
