/* AES on an application's data: CBC and GCM in parts. */
#include "crypto/ossl.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK 16
#define TAG_MAX 16
#define GCM_IV_MAX 128          /* libcrypto's GCM_IV_MAX_SIZE */
#define CHUNK ((size_t)1 << 30) /* EVP counts in int */
/* No object is larger; a length beyond is an error of the application's that sums here must not wrap around at. */
#define DATA_MAX ((size_t)PTRDIFF_MAX)

struct cmk_cipher {
    EVP_CIPHER_CTX *ctx;
    cmk_cipher_mode mode;
    bool encrypt;
    size_t tag_len;
    size_t held; /* bytes taken in but not yet given out: part of a block, CBC_PAD decryption up to a whole one, or part
                    of what may be the tag */
    uint8_t tail[TAG_MAX]; /* GCM decryption: the last bytes seen, the tag if nothing follows */
    cmk_buf plain;         /* GCM decryption: decrypted but not yet verified */
};

static const ossl_aes aes_mode[] = {
    [CMK_AES_CBC] = OSSL_AES_CBC, [CMK_AES_CBC_PAD] = OSSL_AES_CBC, [CMK_AES_GCM] = OSSL_AES_GCM};

static cmk_rc params_check(const cmk_cipher_params *p)
{
    if ((unsigned)p->mode > CMK_AES_GCM)
        return cmk_fail(CMK_E_MECHANISM, "unknown AES mode %d", (int)p->mode);
    if (p->mode != CMK_AES_GCM)
        return p->iv.len == BLOCK
                   ? CMK_OK
                   : cmk_fail(CMK_E_MECHANISM_PARAM, "AES-CBC needs an IV of 16 bytes, not %zu", p->iv.len);
    if (p->iv.len < 1 || p->iv.len > GCM_IV_MAX)
        return cmk_fail(CMK_E_MECHANISM_PARAM, "AES-GCM takes an IV of 1 to %d bytes, not %zu", GCM_IV_MAX, p->iv.len);
    if (p->tag_bits % 8 != 0 || p->tag_bits > 128 || (p->tag_bits < 96 && p->tag_bits != 32 && p->tag_bits != 64))
        return cmk_fail(CMK_E_MECHANISM_PARAM, "AES-GCM takes a tag of 32, 64 or 96 to 128 bits, not %u", p->tag_bits);
    if (p->aad.len > CHUNK)
        return cmk_fail(CMK_E_MECHANISM_PARAM, "AES-GCM takes at most %zu bytes of associated data", CHUNK);
    return CMK_OK;
}

static bool start(cmk_cipher *c, const EVP_CIPHER *cipher, const cmk_cipher_params *p, cmk_bytes key)
{
    int n = 0;
    size_t iv_len = p->iv.len;
    OSSL_PARAM gcm[] = {OSSL_PARAM_construct_size_t(OSSL_CIPHER_PARAM_AEAD_IVLEN, &iv_len), OSSL_PARAM_construct_end()};
    c->ctx = EVP_CIPHER_CTX_new();
    if (!c->ctx || EVP_CipherInit_ex2(c->ctx, cipher, NULL, NULL, p->encrypt, NULL) != 1)
        return false;
    if (p->mode == CMK_AES_GCM && EVP_CIPHER_CTX_set_params(c->ctx, gcm) != 1)
        return false;
    if (EVP_CipherInit_ex2(c->ctx, NULL, key.data, p->iv.data, p->encrypt, NULL) != 1)
        return false;
    if (p->mode == CMK_AES_GCM)
        return p->aad.len == 0 || EVP_CipherUpdate(c->ctx, NULL, &n, p->aad.data, (int)p->aad.len) == 1;
    return EVP_CIPHER_CTX_set_padding(c->ctx, p->mode == CMK_AES_CBC_PAD) == 1;
}

cmk_rc cmk_cipher_new(const cmk_cipher_params *params, cmk_bytes key, cmk_cipher **out)
{
    OSSL_SCOPE();
    *out = NULL;
    cmk_rc rc = params_check(params);
    if (rc != CMK_OK)
        return rc;
    const ossl_lib *lib = ossl_get();
    if (!lib)
        return CMK_E_CRYPTO;
    const EVP_CIPHER *cipher = ossl_aes_cipher(lib, aes_mode[params->mode], key.len);
    if (!cipher)
        return cmk_fail(CMK_E_KEY_SIZE, "an AES key has 16, 24 or 32 bytes, not %zu", key.len);
    cmk_cipher *c = calloc(1, sizeof(*c));
    if (!c)
        return cmk_fail(CMK_E_NO_MEMORY, "no memory for an AES operation");
    c->mode = params->mode;
    c->encrypt = params->encrypt;
    c->tag_len = params->mode == CMK_AES_GCM ? params->tag_bits / 8 : 0;
    if (!start(c, cipher, params, key)) {
        cmk_cipher_free(c);
        return ossl_fail("starting an AES operation");
    }
    *out = c;
    return CMK_OK;
}

size_t cmk_cipher_update_size(const cmk_cipher *c, size_t in_len)
{
    if (c->mode == CMK_AES_GCM)
        return c->encrypt ? in_len : 0;
    if (in_len > DATA_MAX)
        return in_len; /* update refuses it */
    size_t n = c->held + in_len;
    if (c->mode == CMK_AES_CBC_PAD && !c->encrypt) /* the last block may be padding */
        return n == 0 ? 0 : (n - 1) / BLOCK * BLOCK;
    return n / BLOCK * BLOCK;
}

size_t cmk_cipher_final_size(const cmk_cipher *c)
{
    if (c->mode == CMK_AES_GCM)
        return c->encrypt ? c->tag_len : c->plain.len;
    return c->mode == CMK_AES_CBC_PAD ? BLOCK : 0;
}

/* EVP in steps that an int can count. */
static cmk_rc feed(cmk_cipher *c, cmk_bytes in, uint8_t *out, size_t *out_len)
{
    size_t done = 0;
    for (size_t at = 0; at < in.len;) {
        size_t part = in.len - at < CHUNK ? in.len - at : CHUNK;
        int n = 0;
        if (EVP_CipherUpdate(c->ctx, out + done, &n, in.data + at, (int)part) != 1 || n < 0)
            return ossl_fail("AES");
        done += (size_t)n;
        at += part;
    }
    *out_len = done;
    return CMK_OK;
}

/* CBC writes ahead of what it has read when bytes are held, so data that is worked on in place is moved aside first. */
static cmk_rc feed_cbc(cmk_cipher *c, cmk_bytes in, uint8_t *out, size_t *out_len)
{
    cmk_rc rc = CMK_E_INTERNAL;
    size_t will = cmk_cipher_update_size(c, in.len);
    if (in.data != out || (c->held == 0 && in.len <= CHUNK)) {
        rc = feed(c, in, out, out_len);
    } else {
        uint8_t *aside = malloc(in.len);
        if (!aside)
            return cmk_fail(CMK_E_NO_MEMORY, "no memory for %zu bytes of data", in.len);
        memcpy(aside, in.data, in.len);
        rc = feed(c, cmk_bytes_of(aside, in.len), out, out_len);
        cmk_wipe(aside, in.len);
        free(aside);
    }
    c->held = c->held + in.len - will;
    return rc;
}

/* Decrypts n bytes at p to the end of what waits for the tag. */
static cmk_rc feed_plain(cmk_cipher *c, const uint8_t *p, size_t n)
{
    size_t ignored = 0;
    if (n == 0)
        return CMK_OK;
    if (n > CMK_BUF_MAX - c->plain.len)
        return cmk_fail(CMK_E_DATA_LENGTH, "AES-GCM decryption takes at most %zu bytes", CMK_BUF_MAX);
    uint8_t *out = cmk_buf_extend(&c->plain, n);
    if (!out)
        return cmk_fail(CMK_E_NO_MEMORY, "no memory for %zu bytes of data", n);
    return feed(c, cmk_bytes_of(p, n), out, &ignored);
}

/* All but the last tag_len bytes seen so far is ciphertext. */
static cmk_rc feed_gcm(cmk_cipher *c, cmk_bytes in)
{
    size_t all = c->held + in.len;
    size_t text = all > c->tag_len ? all - c->tag_len : 0;
    size_t old = text < c->held ? text : c->held;
    cmk_rc rc = feed_plain(c, c->tail, old);
    if (rc == CMK_OK)
        rc = feed_plain(c, in.data, text - old);
    if (rc != CMK_OK)
        return rc;
    memmove(c->tail, c->tail + old, c->held - old);
    memcpy(c->tail + (c->held - old), in.data + (text - old), in.len - (text - old));
    c->held = all - text;
    return CMK_OK;
}

cmk_rc cmk_cipher_update(cmk_cipher *c, cmk_bytes in, uint8_t *out, size_t *out_len)
{
    OSSL_SCOPE();
    *out_len = 0;
    if (in.len == 0)
        return CMK_OK;
    if (in.len > DATA_MAX)
        return cmk_fail(CMK_E_DATA_LENGTH, "%zu bytes of data are more than memory holds", in.len);
    if (c->mode != CMK_AES_GCM)
        return feed_cbc(c, in, out, out_len);
    return c->encrypt ? feed(c, in, out, out_len) : feed_gcm(c, in);
}

static cmk_rc final_cbc(cmk_cipher *c, uint8_t *out, size_t *out_len)
{
    uint8_t none[BLOCK] = {0};
    int n = 0;
    bool pad = c->mode == CMK_AES_CBC_PAD;
    if ((!pad && c->held != 0) || (pad && !c->encrypt && c->held != BLOCK))
        return cmk_fail(CMK_E_DATA_LENGTH, "AES-CBC works on whole blocks of 16 bytes, %zu are left over",
                        c->held % BLOCK);
    if (EVP_CipherFinal_ex(c->ctx, pad ? out : none, &n) != 1 || n < 0)
        return c->encrypt ? ossl_fail("AES-CBC") : cmk_fail(CMK_E_DECRYPT, "the padding is wrong");
    *out_len = (size_t)n;
    return CMK_OK;
}

static cmk_rc final_gcm(cmk_cipher *c, uint8_t *out, size_t *out_len)
{
    uint8_t none[BLOCK];
    int n = 0;
    if (c->encrypt) {
        if (EVP_CipherFinal_ex(c->ctx, none, &n) != 1 ||
            EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_GET_TAG, (int)c->tag_len, out) != 1)
            return ossl_fail("AES-GCM");
        *out_len = c->tag_len;
        return CMK_OK;
    }
    if (c->held < c->tag_len)
        return cmk_fail(CMK_E_DATA_LENGTH, "AES-GCM ciphertext is shorter than its tag of %zu bytes", c->tag_len);
    if (EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_SET_TAG, (int)c->tag_len, c->tail) != 1)
        return ossl_fail("AES-GCM");
    if (EVP_CipherFinal_ex(c->ctx, none, &n) != 1) {
        cmk_buf_reset(&c->plain);
        return cmk_fail(CMK_E_DECRYPT, "the data does not authenticate");
    }
    if (c->plain.len > 0)
        memcpy(out, c->plain.data, c->plain.len);
    *out_len = c->plain.len;
    return CMK_OK;
}

cmk_rc cmk_cipher_final(cmk_cipher *c, uint8_t *out, size_t *out_len)
{
    OSSL_SCOPE();
    *out_len = 0;
    return c->mode == CMK_AES_GCM ? final_gcm(c, out, out_len) : final_cbc(c, out, out_len);
}

void cmk_cipher_free(cmk_cipher *c)
{
    if (!c)
        return;
    EVP_CIPHER_CTX_free(c->ctx);
    cmk_buf_free(&c->plain);
    cmk_wipe(c, sizeof(*c));
    free(c);
}
