/* What the files of crypto/ share: the library context with its fetched algorithms, error scopes, and two primitives
 * that have published vectors but no public function of their own. Nothing outside crypto/ (and its unit tests)
 * includes this.
 */
#ifndef CMK_CRYPTO_OSSL_H
#define CMK_CRYPTO_OSSL_H

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "crypto/crypto.h"

typedef enum ossl_aes { OSSL_AES_CBC, OSSL_AES_GCM, OSSL_AES_KWP, OSSL_AES_COUNT } ossl_aes;
#define OSSL_AES_SIZES 3

/* Immutable once made, kept until the process ends. */
typedef struct ossl_lib {
    OSSL_LIB_CTX *ctx;
    EVP_MD *md[CMK_HASH_COUNT];
    EVP_CIPHER *aes[OSSL_AES_COUNT][OSSL_AES_SIZES];
    EVP_KDF *hkdf;
    EVP_KDF *scrypt;
    EVP_MAC *hmac;
    size_t cores; /* processors on-line, at least 1 */
} ossl_lib;

/* The library, made at first use; NULL with cmk_fail() done (CMK_E_CRYPTO) when it can't be. */
const ossl_lib *ossl_get(void);
/* OpenSSL's name of a hash that OAEP names ("SHA2-256"); NULL for NONE and values out of range. */
const char *ossl_hash_name(cmk_hash h);
/* The AES cipher of mode for a key of key_size bytes, NULL when there is no such size. */
const EVP_CIPHER *ossl_aes_cipher(const ossl_lib *lib, ossl_aes mode, size_t key_size);

/* CMK_E_CRYPTO with what was done and OpenSSL's reason for the last error in the queue. */
cmk_rc ossl_fail(const char *what);

/* Until the end of the block, errors of OpenSSL's are ours: at its end the thread's error queue is as it was. */
static inline void ossl_scope_end(const int *marked)
{
    (void)marked;
    ERR_pop_to_mark();
}
#define OSSL_SCOPE() __attribute__((cleanup(ossl_scope_end), unused)) const int ossl_scope = ERR_set_mark()

/* Frees at the end of the block. */
#define OSSL_AUTO(type, fn)                                                                                            \
    static inline void fn##_auto(__typeof__(type) **p)                                                                 \
    {                                                                                                                  \
        fn(*p);                                                                                                        \
    }
OSSL_AUTO(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free)
OSSL_AUTO(EVP_MD_CTX, EVP_MD_CTX_free)
OSSL_AUTO(EVP_PKEY, EVP_PKEY_free)
OSSL_AUTO(EVP_PKEY_CTX, EVP_PKEY_CTX_free)
OSSL_AUTO(BIGNUM, BN_clear_free)
#define AUTO_CIPHER_CTX __attribute__((cleanup(EVP_CIPHER_CTX_free_auto))) EVP_CIPHER_CTX
#define AUTO_MD_CTX __attribute__((cleanup(EVP_MD_CTX_free_auto))) EVP_MD_CTX
#define AUTO_PKEY __attribute__((cleanup(EVP_PKEY_free_auto))) EVP_PKEY
#define AUTO_PKEY_CTX __attribute__((cleanup(EVP_PKEY_CTX_free_auto))) EVP_PKEY_CTX
#define AUTO_BN __attribute__((cleanup(BN_clear_free_auto))) BIGNUM

/* OSSL_PARAM has no const; OpenSSL only reads through these. */
static inline OSSL_PARAM ossl_param_octets(const char *key, cmk_bytes v)
{
    union {
        const uint8_t *in;
        void *out;
    } data = {v.data};
    return OSSL_PARAM_construct_octet_string(key, data.out, v.len);
}
static inline OSSL_PARAM ossl_param_text(const char *key, const char *s)
{
    union {
        const char *in;
        char *out;
    } data = {s};
    return OSSL_PARAM_construct_utf8_string(key, data.out, 0);
}

/* Wipes what was appended to b since its length was len, and shortens it to that: an append that failed half-way leaves
 * nothing. */
static inline void ossl_buf_cut(cmk_buf *b, size_t len)
{
    if (b->data && b->len > len) {
        cmk_wipe(b->data + len, b->len - len);
        b->len = len;
    }
}

/* scrypt without the bounds of cmk_scrypt_check() and with a salt of any length (crypto/kdf.c). */
CMK_MUST_USE cmk_rc ossl_scrypt(uint64_t n, uint32_t r, uint32_t p, cmk_bytes salt, cmk_bytes pin, uint8_t *out,
                                size_t len);
/* X25519 (RFC 7748 §5); CMK_E_TAMPERED when the shared secret is all zeros (crypto/curve.c). */
CMK_MUST_USE cmk_rc ossl_x25519(const uint8_t priv[CMK_CURVE_KEY_SIZE], const uint8_t peer[CMK_CURVE_KEY_SIZE],
                                uint8_t out[CMK_CURVE_KEY_SIZE]);

/* ---- RSA: lanes (crypto/rsa.c, crypto/rsa_use.c) ----
 *
 * A lane is one copy of a key with ready-made OAEP contexts, lent to one caller at a time. Two threads on one RSA
 * object would take turns at its locks (Montgomery contexts, and the blinding factors, which the second of two threads
 * has to work around at extra cost); with a lane each they share nothing. It also means that in a forked child no lock
 * inside a lane that can be borrowed is held by a thread that no longer exists.
 *
 * Idle lanes wait in slots, taken and put back by atomic exchange: no lock, so nothing to be stuck at after fork. There
 * are as many slots as cores; a caller who finds them empty makes a lane, a caller who finds them full frees its lane.
 */
typedef struct rsa_lane rsa_lane;
typedef struct rsa_key {
    EVP_PKEY *pkey;
    size_t size;        /* modulus in bytes */
    bool secret;        /* a private key: lanes decrypt, else they encrypt */
    _Atomic(bool) lent; /* some lane works on pkey itself, further ones on copies */
    size_t slots;
    _Atomic(rsa_lane *) *idle;
} rsa_key;

struct cmk_rsa_public {
    rsa_key k;
};
struct cmk_rsa_private {
    rsa_key k;
};

/* Makes k own pkey. */
CMK_MUST_USE cmk_rc rsa_key_setup(rsa_key *k, EVP_PKEY *pkey, bool secret);
/* Frees what k holds; no caller may be at work. */
void rsa_key_clear(rsa_key *k);

#endif
