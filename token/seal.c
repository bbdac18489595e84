/* Sealing keys to a principal's X25519 half, and the keys that come of an object key. */
#include <stdlib.h>
#include <string.h>

#include "token/internal.h"

enum { SEAL_FORMAT = 1, ENTRY_SIZE = 1 + CMK_ID_SIZE + 4 + CMK_KEY_SIZE };

/* cmk_box_seal() adds the ephemeral key, the rest of the body before the blob, and the recipient's. */
static void seal_context(const cmk_id *vault, const cmk_id *principal, uint64_t revision, cmk_buf *out)
{
    cmk_buf_label(out, "cmk11 seal v1");
    cmk_buf_add(out, vault->b, CMK_ID_SIZE);
    cmk_buf_u8(out, CMK_KIND_SEALED);
    cmk_buf_str(out, cmk_bytes_of(principal->b, CMK_ID_SIZE));
    cmk_buf_u64(out, revision);
    cmk_buf_u8(out, SEAL_FORMAT);
}

cmk_rc cmk_object_keys(const uint8_t object_key[CMK_KEY_SIZE], uint8_t mac[CMK_KEY_SIZE], uint8_t enc[CMK_KEY_SIZE],
                       uint8_t index[CMK_KEY_SIZE])
{
    /* The terminating zero of the label is part of the info: sizeof and not strlen. */
    static const char mac_label[] = "cmk11 object mac v1";
    static const char enc_label[] = "cmk11 object enc v1";
    static const char index_label[] = "cmk11 object index v1";
    cmk_bytes secret = cmk_bytes_of(object_key, CMK_KEY_SIZE);
    cmk_bytes none = {NULL, 0};
    cmk_rc rc = cmk_hkdf_sha256(secret, none, cmk_bytes_of(mac_label, sizeof(mac_label)), mac, CMK_KEY_SIZE);
    if (rc == CMK_OK)
        rc = cmk_hkdf_sha256(secret, none, cmk_bytes_of(enc_label, sizeof(enc_label)), enc, CMK_KEY_SIZE);
    if (rc == CMK_OK)
        rc = cmk_hkdf_sha256(secret, none, cmk_bytes_of(index_label, sizeof(index_label)), index, CMK_KEY_SIZE);
    return rc;
}

cmk_rc cmk_seal_keys(const cmk_id *vault, const cmk_id *principal, const uint8_t x25519_public[CMK_CURVE_KEY_SIZE],
                     uint64_t revision, const cmk_gen_key *keys, size_t n, cmk_buf *body)
{
    CMK_BUF_AUTO context = CMK_BUF_INIT;
    CMK_BUF_AUTO plain = CMK_BUF_INIT;
    seal_context(vault, principal, revision, &context);
    for (size_t i = 0; i < n; i++) {
        cmk_buf_u8(&plain, keys[i].what);
        cmk_buf_add(&plain, keys[i].id.b, CMK_ID_SIZE);
        cmk_buf_u32(&plain, keys[i].generation);
        cmk_buf_add(&plain, keys[i].key, CMK_KEY_SIZE);
    }
    cmk_buf_u8(body, SEAL_FORMAT);
    cmk_rc rc = cmk_buf_ok(&context);
    if (rc == CMK_OK)
        rc = cmk_buf_ok(&plain);
    if (rc == CMK_OK)
        rc = cmk_box_seal(x25519_public, cmk_buf_view(&context), cmk_buf_view(&plain), body);
    return rc == CMK_OK ? cmk_buf_ok(body) : rc;
}

static cmk_rc read_entries(cmk_bytes plain, cmk_unlocked *u)
{
    cmk_reader r = cmk_reader_of(plain);
    const cmk_gen_key *object_key = NULL;
    for (size_t i = 0; i < u->count; i++) {
        cmk_gen_key *k = &u->keys[i];
        k->what = cmk_read_u8(&r);
        cmk_read_raw(&r, k->id.b, CMK_ID_SIZE);
        k->generation = cmk_read_u32(&r);
        cmk_read_raw(&r, k->key, CMK_KEY_SIZE);
        if (k->what < CMK_SEAL_VAULT_KEY || k->what > CMK_SEAL_KEY_KEY || k->generation == 0)
            return cmk_fail(CMK_E_FORMAT, "sealed keys: an entry of an unknown sort");
        if (k->what == CMK_SEAL_OBJECT_KEY && (!object_key || k->generation > object_key->generation))
            object_key = k;
    }
    if (cmk_reader_end(&r) != CMK_OK)
        return cmk_fail(CMK_E_FORMAT, "sealed keys: not a whole number of entries");
    return object_key ? cmk_object_keys(object_key->key, u->object_mac, u->object_enc, u->object_index) : CMK_OK;
}

cmk_rc cmk_unseal_keys(const cmk_id *vault, const cmk_id *principal, const uint8_t x25519[CMK_CURVE_KEY_SIZE],
                       const uint8_t x25519_public[CMK_CURVE_KEY_SIZE], uint64_t revision, cmk_bytes body,
                       cmk_unlocked **out)
{
    cmk_rc rc = CMK_E_INTERNAL;
    CMK_BUF_AUTO context = CMK_BUF_INIT;
    CMK_SECRET_AUTO plain = CMK_SECRET_INIT;
    cmk_unlocked *u = NULL;
    *out = NULL;
    if (body.len < 1 || body.data[0] != SEAL_FORMAT)
        return cmk_fail(CMK_E_FORMAT, "sealed keys: unknown format");
    seal_context(vault, principal, revision, &context);
    rc = cmk_buf_ok(&context);
    if (rc != CMK_OK)
        return rc;
    rc = cmk_box_open(x25519, x25519_public, cmk_buf_view(&context), cmk_bytes_of(body.data + 1, body.len - 1), &plain);
    if (rc != CMK_OK)
        return rc;
    size_t count = plain.len / ENTRY_SIZE;
    u = cmk_secret_alloc(sizeof(*u) + count * sizeof(u->keys[0]));
    if (!u)
        return cmk_fail(CMK_E_LOCKED_MEMORY, "no memory for the keys of a login: look at RLIMIT_MEMLOCK");
    u->count = count;
    memcpy(u->x25519, x25519, sizeof(u->x25519));
    rc = read_entries(cmk_secret_view(&plain), u);
    if (rc != CMK_OK) {
        cmk_secret_free(u);
        return rc;
    }
    *out = u;
    return CMK_OK;
}
