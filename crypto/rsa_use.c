/* RSA-OAEP (RFC 8017 §7.1) on lanes; see crypto/ossl.h. */
#include "crypto/ossl.h"

#include <openssl/rsa.h>
#include <stdatomic.h>
#include <stdlib.h>

#define HASHES ((size_t)CMK_HASH_COUNT - 1)

struct rsa_lane {
    EVP_PKEY *pkey;
    EVP_PKEY_CTX *ready[HASHES * HASHES]; /* without a label, made at first use of the pair of hashes */
    uint8_t *scratch; /* secret memory: what a private operation gives, before its length is known */
};

static void lane_free(rsa_lane *lane)
{
    if (!lane)
        return;
    for (size_t i = 0; i < HASHES * HASHES; i++)
        EVP_PKEY_CTX_free(lane->ready[i]);
    EVP_PKEY_free(lane->pkey);
    cmk_secret_free(lane->scratch);
    free(lane);
}

/* The first lane works on the key itself, so a key that only one thread uses exists once. Copying reads numbers that
 * never change, so it needs no lock against that lane. */
static rsa_lane *lane_new(rsa_key *k)
{
    rsa_lane *lane = calloc(1, sizeof(*lane));
    if (!lane)
        return NULL;
    if (atomic_exchange_explicit(&k->lent, true, memory_order_relaxed))
        lane->pkey = EVP_PKEY_dup(k->pkey);
    else if (EVP_PKEY_up_ref(k->pkey) == 1)
        lane->pkey = k->pkey;
    if (k->secret)
        lane->scratch = cmk_secret_alloc(k->size);
    if (lane->pkey && (lane->scratch || !k->secret))
        return lane;
    lane_free(lane);
    return NULL;
}

static rsa_lane *lane_borrow(rsa_key *k)
{
    for (size_t i = 0; i < k->slots; i++) {
        rsa_lane *lane = NULL;
        if (atomic_load_explicit(&k->idle[i], memory_order_relaxed))
            lane = atomic_exchange_explicit(&k->idle[i], NULL, memory_order_acquire);
        if (lane)
            return lane;
    }
    return lane_new(k);
}

static void lane_return(rsa_key *k, rsa_lane *lane)
{
    for (size_t i = 0; i < k->slots; i++) {
        rsa_lane *none = NULL;
        if (!atomic_load_explicit(&k->idle[i], memory_order_relaxed) &&
            atomic_compare_exchange_strong_explicit(&k->idle[i], &none, lane, memory_order_release,
                                                    memory_order_relaxed))
            return;
    }
    lane_free(lane);
}

cmk_rc rsa_key_setup(rsa_key *k, EVP_PKEY *pkey, bool secret)
{
    const ossl_lib *lib = ossl_get();
    int size = EVP_PKEY_get_size(pkey);
    if (!lib || size <= 0)
        return CMK_E_CRYPTO;
    k->slots = lib->cores;
    k->idle = calloc(k->slots, sizeof(*k->idle));
    if (!k->idle)
        return cmk_fail(CMK_E_NO_MEMORY, "no memory for an RSA key");
    k->pkey = pkey;
    k->size = (size_t)size;
    k->secret = secret;
    return CMK_OK;
}

void rsa_key_clear(rsa_key *k)
{
    for (size_t i = 0; i < k->slots; i++)
        lane_free(atomic_load_explicit(&k->idle[i], memory_order_acquire));
    free(k->idle);
    EVP_PKEY_free(k->pkey);
}

static EVP_PKEY_CTX *context_new(const rsa_key *k, EVP_PKEY *pkey, const cmk_oaep *params)
{
    const ossl_lib *lib = ossl_get();
    EVP_PKEY_CTX *ctx = lib ? EVP_PKEY_CTX_new_from_pkey(lib->ctx, pkey, NULL) : NULL;
    OSSL_PARAM set[5];
    size_t n = 0;
    set[n++] = ossl_param_text(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, OSSL_PKEY_RSA_PAD_MODE_OAEP);
    set[n++] = ossl_param_text(OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST, ossl_hash_name(params->hash));
    set[n++] = ossl_param_text(OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST, ossl_hash_name(params->mgf));
    if (params->label.len > 0)
        set[n++] = ossl_param_octets(OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL, params->label);
    set[n] = OSSL_PARAM_construct_end();
    if (ctx && (k->secret ? EVP_PKEY_decrypt_init_ex(ctx, set) : EVP_PKEY_encrypt_init_ex(ctx, set)) == 1)
        return ctx;
    EVP_PKEY_CTX_free(ctx);
    return NULL;
}

/* The lane's context for params, or with a label one that is made for this call: *once then owns it. */
static EVP_PKEY_CTX *lane_context(const rsa_key *k, rsa_lane *lane, const cmk_oaep *params, EVP_PKEY_CTX **once)
{
    if (params->label.len > 0)
        return *once = context_new(k, lane->pkey, params);
    EVP_PKEY_CTX **ready = &lane->ready[(size_t)(params->hash - 1) * HASHES + (size_t)(params->mgf - 1)];
    if (!*ready)
        *ready = context_new(k, lane->pkey, params);
    return *ready;
}

static cmk_rc params_check(const cmk_oaep *params)
{
    if (cmk_hash_size(params->hash) == 0 || cmk_hash_size(params->mgf) == 0)
        return cmk_fail(CMK_E_MECHANISM_PARAM, "OAEP needs a hash and one for MGF1: SHA-1, 224, 256, 384 or 512");
    return CMK_OK;
}

static size_t overhead(cmk_hash hash)
{
    return 2 * cmk_hash_size(hash) + 2;
}

size_t cmk_oaep_max(size_t size, cmk_hash hash)
{
    return cmk_hash_size(hash) > 0 && size > overhead(hash) ? size - overhead(hash) : 0;
}

cmk_rc cmk_rsa_oaep_encrypt(cmk_rsa_public *key, const cmk_oaep *params, cmk_bytes plain, uint8_t *out)
{
    OSSL_SCOPE();
    static const uint8_t empty[1] = {0};
    rsa_key *k = &key->k;
    cmk_rc rc = params_check(params);
    if (rc != CMK_OK)
        return rc;
    if (k->size < overhead(params->hash) || plain.len > cmk_oaep_max(k->size, params->hash))
        return cmk_fail(CMK_E_DATA_LENGTH, "OAEP with this key and hash takes at most %zu bytes, not %zu",
                        cmk_oaep_max(k->size, params->hash), plain.len);
    rsa_lane *lane = lane_borrow(k);
    if (!lane)
        return ossl_fail("preparing an RSA encryption");
    AUTO_PKEY_CTX *once = NULL;
    EVP_PKEY_CTX *ctx = lane_context(k, lane, params, &once);
    size_t len = k->size;
    if (!ctx || EVP_PKEY_encrypt(ctx, out, &len, plain.len > 0 ? plain.data : empty, plain.len) != 1 || len != k->size)
        rc = ossl_fail("RSA-OAEP encryption");
    lane_return(k, lane);
    return rc;
}

/* From the private operation on there is one error without detail, whatever failed. */
static cmk_rc decrypt(EVP_PKEY_CTX *ctx, const rsa_key *k, rsa_lane *lane, cmk_bytes cipher, cmk_secret *plain)
{
    size_t len = k->size;
    int ok = EVP_PKEY_decrypt(ctx, lane->scratch, &len, cipher.data, cipher.len);
    cmk_rc rc = ok == 1 ? cmk_secret_copy(plain, cmk_bytes_of(lane->scratch, len)) : CMK_E_WRAPPED_KEY;
    cmk_wipe(lane->scratch, k->size);
    if (rc == CMK_OK)
        return CMK_OK;
    cmk_fail_clear();
    return CMK_E_WRAPPED_KEY;
}

cmk_rc cmk_rsa_oaep_decrypt(cmk_rsa_private *key, const cmk_oaep *params, cmk_bytes cipher, cmk_secret *plain)
{
    OSSL_SCOPE();
    rsa_key *k = &key->k;
    cmk_secret_clear(plain);
    cmk_rc rc = params_check(params);
    if (rc != CMK_OK)
        return rc;
    if (k->size < overhead(params->hash))
        return cmk_fail(CMK_E_KEY_SIZE, "a key of %zu bytes is too small for OAEP with this hash", k->size);
    if (cipher.len != k->size)
        return cmk_fail(CMK_E_WRAPPED_KEY_LENGTH, "the wrapped key has %zu bytes, the modulus %zu", cipher.len,
                        k->size);
    rsa_lane *lane = lane_borrow(k);
    if (!lane)
        return ossl_fail("preparing an RSA decryption");
    AUTO_PKEY_CTX *once = NULL;
    EVP_PKEY_CTX *ctx = lane_context(k, lane, params, &once);
    rc = ctx ? decrypt(ctx, k, lane, cipher, plain) : ossl_fail("preparing an RSA decryption");
    lane_return(k, lane);
    return rc;
}
