/* Ed25519, X25519, and sealing to an X25519 key. */
#include "crypto/ossl.h"

static EVP_PKEY *private_key(const ossl_lib *lib, const char *type, const uint8_t *priv)
{
    return EVP_PKEY_new_raw_private_key_ex(lib->ctx, type, NULL, priv, CMK_CURVE_KEY_SIZE);
}

static cmk_rc derive_public(const char *type, const uint8_t *priv, uint8_t *pub)
{
    const ossl_lib *lib = ossl_get();
    if (!lib)
        return CMK_E_CRYPTO;
    size_t len = CMK_CURVE_KEY_SIZE;
    AUTO_PKEY *pkey = private_key(lib, type, priv);
    if (!pkey || EVP_PKEY_get_raw_public_key(pkey, pub, &len) != 1 || len != CMK_CURVE_KEY_SIZE)
        return ossl_fail("deriving a public key");
    return CMK_OK;
}

static cmk_rc generate(const char *type, uint8_t *priv, uint8_t *pub)
{
    OSSL_SCOPE();
    cmk_rc rc = cmk_random(priv, CMK_CURVE_KEY_SIZE);
    if (rc == CMK_OK)
        rc = derive_public(type, priv, pub);
    if (rc != CMK_OK)
        cmk_wipe(priv, CMK_CURVE_KEY_SIZE);
    return rc;
}

static cmk_rc check_pair(const char *type, const uint8_t *priv, const uint8_t *pub)
{
    OSSL_SCOPE();
    uint8_t mine[CMK_CURVE_KEY_SIZE] = {0};
    cmk_rc rc = derive_public(type, priv, mine);
    if (rc == CMK_OK && !cmk_equal_ct(mine, pub, sizeof(mine)))
        rc = cmk_fail(CMK_E_TAMPERED, "private and public half of an %s key do not belong together", type);
    return rc;
}

cmk_rc cmk_ed25519_generate(uint8_t priv[CMK_CURVE_KEY_SIZE], uint8_t pub[CMK_CURVE_KEY_SIZE])
{
    return generate("ED25519", priv, pub);
}

cmk_rc cmk_ed25519_check_pair(const uint8_t priv[CMK_CURVE_KEY_SIZE], const uint8_t pub[CMK_CURVE_KEY_SIZE])
{
    return check_pair("ED25519", priv, pub);
}

cmk_rc cmk_x25519_generate(uint8_t priv[CMK_CURVE_KEY_SIZE], uint8_t pub[CMK_CURVE_KEY_SIZE])
{
    return generate("X25519", priv, pub);
}

cmk_rc cmk_x25519_check_pair(const uint8_t priv[CMK_CURVE_KEY_SIZE], const uint8_t pub[CMK_CURVE_KEY_SIZE])
{
    return check_pair("X25519", priv, pub);
}

/* EVP_DigestSign takes a message that is not there for a question about sizes. */
static const uint8_t *present(cmk_bytes message)
{
    static const uint8_t empty[1] = {0};
    return message.len > 0 ? message.data : empty;
}

cmk_rc cmk_ed25519_sign(const uint8_t priv[CMK_CURVE_KEY_SIZE], cmk_bytes message, uint8_t sig[CMK_SIGNATURE_SIZE])
{
    OSSL_SCOPE();
    const ossl_lib *lib = ossl_get();
    if (!lib)
        return CMK_E_CRYPTO;
    size_t len = CMK_SIGNATURE_SIZE;
    AUTO_PKEY *pkey = private_key(lib, "ED25519", priv);
    AUTO_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!pkey || !ctx || EVP_DigestSignInit_ex(ctx, NULL, NULL, lib->ctx, NULL, pkey, NULL) != 1 ||
        EVP_DigestSign(ctx, sig, &len, present(message), message.len) != 1 || len != CMK_SIGNATURE_SIZE)
        return ossl_fail("signing");
    return CMK_OK;
}

cmk_rc cmk_ed25519_verify(const uint8_t pub[CMK_CURVE_KEY_SIZE], cmk_bytes message,
                          const uint8_t sig[CMK_SIGNATURE_SIZE])
{
    OSSL_SCOPE();
    const ossl_lib *lib = ossl_get();
    if (!lib)
        return CMK_E_CRYPTO;
    AUTO_PKEY *pkey = EVP_PKEY_new_raw_public_key_ex(lib->ctx, "ED25519", NULL, pub, CMK_CURVE_KEY_SIZE);
    AUTO_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!pkey || !ctx || EVP_DigestVerifyInit_ex(ctx, NULL, NULL, lib->ctx, NULL, pkey, NULL) != 1)
        return ossl_fail("verifying a signature");
    if (EVP_DigestVerify(ctx, sig, CMK_SIGNATURE_SIZE, present(message), message.len) != 1)
        return cmk_fail(CMK_E_TAMPERED, "a signature does not verify");
    return CMK_OK;
}

cmk_rc ossl_x25519(const uint8_t priv[CMK_CURVE_KEY_SIZE], const uint8_t peer[CMK_CURVE_KEY_SIZE],
                   uint8_t out[CMK_CURVE_KEY_SIZE])
{
    OSSL_SCOPE();
    static const uint8_t zeros[CMK_CURVE_KEY_SIZE];
    const ossl_lib *lib = ossl_get();
    if (!lib)
        return CMK_E_CRYPTO;
    size_t len = CMK_CURVE_KEY_SIZE;
    AUTO_PKEY *mine = private_key(lib, "X25519", priv);
    AUTO_PKEY *theirs = EVP_PKEY_new_raw_public_key_ex(lib->ctx, "X25519", NULL, peer, CMK_CURVE_KEY_SIZE);
    AUTO_PKEY_CTX *ctx = mine ? EVP_PKEY_CTX_new_from_pkey(lib->ctx, mine, NULL) : NULL;
    if (!theirs || !ctx || EVP_PKEY_derive_init(ctx) != 1 || EVP_PKEY_derive_set_peer_ex(ctx, theirs, 0) != 1)
        return ossl_fail("X25519");
    /* libcrypto itself fails for a point of small order; the comparison does not rely on that. */
    if (EVP_PKEY_derive(ctx, out, &len) != 1 || len != CMK_CURVE_KEY_SIZE || cmk_equal_ct(out, zeros, len)) {
        cmk_wipe(out, CMK_CURVE_KEY_SIZE);
        return cmk_fail(CMK_E_TAMPERED, "an X25519 public key of small order is refused");
    }
    return CMK_OK;
}

/* The AEAD key of a box, into secret memory. */
static cmk_rc box_key(const uint8_t *priv, const uint8_t *peer, cmk_bytes context, const uint8_t *ephemeral,
                      const uint8_t *recipient, cmk_secret *key)
{
    CMK_SECRET_AUTO shared = CMK_SECRET_INIT;
    CMK_BUF_AUTO info = CMK_BUF_INIT;
    cmk_buf_add(&info, context.data, context.len);
    cmk_buf_add(&info, ephemeral, CMK_CURVE_KEY_SIZE);
    cmk_buf_add(&info, recipient, CMK_CURVE_KEY_SIZE);
    cmk_rc rc = cmk_buf_ok(&info);
    if (rc == CMK_OK)
        rc = cmk_secret_new(&shared, CMK_CURVE_KEY_SIZE);
    if (rc == CMK_OK)
        rc = cmk_secret_new(key, CMK_KEY_SIZE);
    if (rc == CMK_OK)
        rc = ossl_x25519(priv, peer, shared.data);
    if (rc == CMK_OK)
        rc = cmk_hkdf_sha256(cmk_secret_view(&shared), cmk_bytes_of(NULL, 0), cmk_buf_view(&info), key->data, key->len);
    return rc;
}

cmk_rc cmk_box_seal(const uint8_t recipient[CMK_CURVE_KEY_SIZE], cmk_bytes context, cmk_bytes plain, cmk_buf *out)
{
    CMK_SECRET_AUTO ephemeral = CMK_SECRET_INIT;
    CMK_SECRET_AUTO key = CMK_SECRET_INIT;
    uint8_t pub[CMK_CURVE_KEY_SIZE] = {0};
    size_t start = out->len;
    cmk_rc rc = cmk_secret_new(&ephemeral, CMK_CURVE_KEY_SIZE);
    if (rc == CMK_OK)
        rc = cmk_x25519_generate(ephemeral.data, pub);
    if (rc == CMK_OK)
        rc = box_key(ephemeral.data, recipient, context, pub, recipient, &key);
    if (rc == CMK_OK) {
        cmk_buf_add(out, pub, sizeof(pub));
        rc = cmk_buf_ok(out);
    }
    if (rc == CMK_OK)
        rc = cmk_aead_seal(key.data, context, plain, out);
    if (rc != CMK_OK)
        ossl_buf_cut(out, start);
    return rc;
}

cmk_rc cmk_box_open(const uint8_t priv[CMK_CURVE_KEY_SIZE], const uint8_t pub[CMK_CURVE_KEY_SIZE], cmk_bytes context,
                    cmk_bytes sealed, cmk_secret *plain)
{
    CMK_SECRET_AUTO key = CMK_SECRET_INIT;
    cmk_secret_clear(plain);
    if (sealed.len < CMK_CURVE_KEY_SIZE + CMK_AEAD_OVERHEAD)
        return cmk_fail(CMK_E_TAMPERED, "a sealed box of %zu bytes is too short", sealed.len);
    cmk_rc rc = box_key(priv, sealed.data, context, sealed.data, pub, &key);
    if (rc == CMK_OK)
        rc = cmk_aead_open(key.data, context,
                           cmk_bytes_of(sealed.data + CMK_CURVE_KEY_SIZE, sealed.len - CMK_CURVE_KEY_SIZE), plain);
    return rc;
}
