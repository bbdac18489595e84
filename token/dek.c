/* Data-encryption keys and random: crypto/ as the surface above may use it. */
#include <stdlib.h>

#include "crypto/crypto.h"
#include "token/token.h"

cmk_rc cmk_token_random(void *out, size_t n)
{
    return cmk_random(out, n);
}

cmk_rc cmk_token_seed(const void *seed, size_t n)
{
    return cmk_random_add(seed, n);
}

cmk_rc cmk_dek_generate(size_t n, cmk_secret *out)
{
    cmk_rc rc = cmk_secret_new(out, n);
    if (rc == CMK_OK && n > 0)
        rc = cmk_random(out->data, n);
    if (rc != CMK_OK)
        cmk_secret_clear(out);
    return rc;
}

bool cmk_dek_equal(cmk_bytes a, cmk_bytes b)
{
    return a.len == b.len && (a.len == 0 || cmk_equal_ct(a.data, b.data, a.len));
}

struct cmk_dek_op {
    cmk_cipher *cipher;
};

static const cmk_cipher_mode modes[] = {
    [CMK_DEK_CBC] = CMK_AES_CBC,
    [CMK_DEK_CBC_PAD] = CMK_AES_CBC_PAD,
    [CMK_DEK_GCM] = CMK_AES_GCM,
};

cmk_rc cmk_dek_start(const cmk_dek_params *params, cmk_bytes key, cmk_dek_op **out)
{
    if (!params || !out || (unsigned)params->mode >= sizeof modes / sizeof modes[0])
        return cmk_fail(CMK_E_MECHANISM, "unknown way of encrypting");
    const cmk_cipher_params p = {.mode = modes[params->mode],
                                 .encrypt = params->encrypt,
                                 .iv = params->iv,
                                 .aad = params->aad,
                                 .tag_bits = params->tag_bits};
    cmk_dek_op *op = calloc(1, sizeof *op);
    *out = NULL;
    if (!op)
        return cmk_fail(CMK_E_NO_MEMORY, "no memory for an encryption");
    cmk_rc rc = cmk_cipher_new(&p, key, &op->cipher);
    if (rc == CMK_OK)
        *out = op;
    else
        free(op);
    return rc;
}

size_t cmk_dek_update_size(const cmk_dek_op *op, size_t in_len)
{
    return cmk_cipher_update_size(op->cipher, in_len);
}

size_t cmk_dek_final_size(const cmk_dek_op *op)
{
    return cmk_cipher_final_size(op->cipher);
}

cmk_rc cmk_dek_update(cmk_dek_op *op, cmk_bytes in, uint8_t *out, size_t *out_len)
{
    return cmk_cipher_update(op->cipher, in, out, out_len);
}

cmk_rc cmk_dek_final(cmk_dek_op *op, uint8_t *out, size_t *out_len)
{
    return cmk_cipher_final(op->cipher, out, out_len);
}

void cmk_dek_end(cmk_dek_op *op)
{
    if (!op)
        return;
    cmk_cipher_free(op->cipher);
    free(op);
}

cmk_rc cmk_token_public_info(cmk_bytes modulus, cmk_bytes exponent, cmk_buf *der)
{
    cmk_rsa_public *key = NULL;
    cmk_rc rc = cmk_rsa_public_new(modulus, exponent, &key);
    if (rc == CMK_OK)
        rc = cmk_rsa_public_info(key, der);
    cmk_rsa_public_free(key);
    return rc;
}
