#include "token/prepared.h"

#include <stdlib.h>
#include <string.h>

#define PREPARED_MAX 256
#define OPENED_MAX 1024
#define OPENED_BYTES_MAX 8192 /* larger contents are opened again each time: locked memory is scarce */

struct cmk_prepared_cache {
    cmk_cache *keys;    /* version id → cmk_prepared */
    cmk_cache *objects; /* object id → cmk_opened, tagged with its revision */
};

cmk_prepared_cache *cmk_prepared_cache_new(void)
{
    cmk_prepared_cache *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->keys = cmk_cache_new("prepared keys", PREPARED_MAX);
    c->objects = cmk_cache_new("opened objects", OPENED_MAX);
    if (!c->keys || !c->objects) {
        cmk_prepared_cache_free(c);
        return NULL;
    }
    return c;
}

void cmk_prepared_cache_clear(cmk_prepared_cache *c)
{
    if (!c)
        return;
    cmk_cache_clear(c->keys);
    cmk_cache_clear(c->objects);
}

void cmk_prepared_cache_free(cmk_prepared_cache *c)
{
    if (!c)
        return;
    cmk_cache_free(c->keys);
    cmk_cache_free(c->objects);
    free(c);
}

/* ---- the login's secrets ---- */

void cmk_writer_close(cmk_writer **w)
{
    cmk_secret_free(*w);
    *w = NULL;
}

cmk_rc cmk_writer_open(cmk_login *login, cmk_writer **out)
{
    cmk_writer *w = cmk_secret_alloc(sizeof *w);
    *out = NULL;
    if (!w)
        return cmk_fail(CMK_E_NO_MEMORY, "no secret memory for signing keys");
    cmk_signers lent = {NULL, NULL, NULL, {{0}}};
    cmk_rwlock_read(&login->lock);
    bool open = login->unlocked != NULL;
    if (open) {
        cmk_login_signers(login, &lent);
        w->has_object = cmk_login_key(login, CMK_SEAL_OBJECT_KEY, NULL, 0, &w->object_generation) != NULL;
        memcpy(w->log, login->unlocked->log, sizeof w->log);
        memcpy(w->object_enc, login->unlocked->object_enc, sizeof w->object_enc);
        memcpy(w->object_index, login->unlocked->object_index, sizeof w->object_index);
    }
    if (lent.admin)
        w->signers.admin = memcpy(w->admin, lent.admin, sizeof w->admin);
    if (lent.officer)
        w->signers.officer = memcpy(w->officer, lent.officer, sizeof w->officer);
    if (lent.object_mac)
        w->signers.object_mac = memcpy(w->object_mac, lent.object_mac, sizeof w->object_mac);
    cmk_rwlock_unlock(&login->lock);
    w->signers.principal = login->principal;
    if (!open) {
        cmk_writer_close(&w);
        return cmk_fail(CMK_E_NOT_LOGGED_IN, "the login has ended; log in again");
    }
    *out = w;
    return CMK_OK;
}

/* ---- sealed records ---- */

void cmk_blob_aad(cmk_buf *aad, const char *label, const cmk_record_key *rk, cmk_bytes named)
{
    cmk_buf_label(aad, label);
    cmk_buf_add(aad, rk->vault.b, CMK_ID_SIZE);
    cmk_buf_u8(aad, rk->kind);
    cmk_buf_str(aad, cmk_bytes_of(rk->id, rk->id_len));
    cmk_buf_add(aad, named.data, named.len);
}

/* KEYKEY and MATERIAL: format (1) ‖ generation (4) ‖ blob. */
#define SEALED_HEAD 5

static cmk_rc sealed_make(const cmk_record_key *rk, const char *label, cmk_bytes named, uint8_t format,
                          uint32_t generation, const uint8_t key[CMK_KEY_SIZE], cmk_bytes plain, cmk_buf *body)
{
    CMK_BUF_AUTO aad = CMK_BUF_INIT;
    cmk_buf_reset(body);
    cmk_buf_u8(body, format);
    cmk_buf_u32(body, generation);
    cmk_blob_aad(&aad, label, rk, named);
    cmk_buf_add(&aad, body->data, body->len);
    cmk_rc rc = cmk_buf_ok(&aad);
    if (rc == CMK_OK)
        rc = cmk_buf_ok(body);
    if (rc == CMK_OK)
        rc = cmk_aead_seal(key, cmk_buf_view(&aad), plain, body);
    return rc == CMK_OK ? cmk_buf_ok(body) : rc;
}

static cmk_rc sealed_head(cmk_bytes body, uint8_t format, uint32_t *generation)
{
    cmk_reader r = cmk_reader_of(body);
    uint8_t f = cmk_read_u8(&r);
    *generation = cmk_read_u32(&r);
    return !r.failed && f == format
               ? CMK_OK
               : cmk_fail(CMK_E_FORMAT, "a sealed record has an unknown format; a newer release may read it");
}

static cmk_rc sealed_open(const cmk_record *row, const char *label, cmk_bytes named, const uint8_t key[CMK_KEY_SIZE],
                          cmk_secret *plain)
{
    CMK_BUF_AUTO aad = CMK_BUF_INIT;
    cmk_blob_aad(&aad, label, &row->key, named);
    cmk_buf_add(&aad, row->body.data, SEALED_HEAD);
    cmk_rc rc = cmk_buf_ok(&aad);
    if (rc != CMK_OK)
        return rc;
    return cmk_aead_open(key, cmk_buf_view(&aad),
                         cmk_bytes_of(row->body.data + SEALED_HEAD, row->body.len - SEALED_HEAD), plain);
}

cmk_rc cmk_material_seal(const cmk_record_key *rk, const cmk_id *version, uint32_t keykey_generation,
                         const uint8_t keykey[CMK_KEY_SIZE], cmk_bytes pkcs8, cmk_buf *body)
{
    return sealed_make(rk, "cmk11 material v1", cmk_bytes_of(version->b, CMK_ID_SIZE), CMK_FORMAT_MATERIAL,
                       keykey_generation, keykey, pkcs8, body);
}

/* A copy of one of the login's keys: nothing else is done under its lock. */
static cmk_rc login_key_copy(cmk_login *login, uint8_t what, const cmk_id *id, uint32_t generation,
                             uint8_t out[CMK_KEY_SIZE])
{
    cmk_rc rc = CMK_E_FORBIDDEN;
    cmk_rwlock_read(&login->lock);
    const uint8_t *key = login->unlocked ? cmk_login_key(login, what, id, generation, NULL) : NULL;
    if (!login->unlocked)
        rc = CMK_E_NOT_LOGGED_IN;
    else if (key)
        rc = CMK_OK;
    if (key)
        memcpy(out, key, CMK_KEY_SIZE);
    cmk_rwlock_unlock(&login->lock);
    return rc;
}

cmk_rc cmk_keykey_seal(cmk_login *login, const cmk_record_key *rk, uint32_t vault_key_generation,
                       const uint8_t keykey[CMK_KEY_SIZE], cmk_buf *body)
{
    CMK_SECRET_AUTO vault_key = CMK_SECRET_INIT;
    cmk_rc rc = cmk_secret_new(&vault_key, CMK_KEY_SIZE);
    if (rc == CMK_OK)
        rc = login_key_copy(login, CMK_SEAL_VAULT_KEY, NULL, vault_key_generation, vault_key.data);
    if (rc != CMK_OK)
        return cmk_fail(rc, "%s does not hold the vault key that new keys are protected with", cmk_login_name(login));
    return sealed_make(rk, "cmk11 key key v1", (cmk_bytes){NULL, 0}, CMK_FORMAT_KEYKEY, vault_key_generation,
                       vault_key.data, cmk_bytes_of(keykey, CMK_KEY_SIZE), body);
}

cmk_rc cmk_keykey_open(cmk_login *login, const cmk_id *key, uint32_t generation, const cmk_record *row,
                       uint8_t out[CMK_KEY_SIZE])
{
    CMK_SECRET_AUTO vault_key = CMK_SECRET_INIT;
    CMK_SECRET_AUTO plain = CMK_SECRET_INIT;
    uint32_t vault_generation = 0;
    cmk_rc rc = login_key_copy(login, CMK_SEAL_KEY_KEY, key, generation, out);
    if (rc != CMK_E_FORBIDDEN)
        return rc;
    rc = sealed_head(cmk_buf_view(&row->body), CMK_FORMAT_KEYKEY, &vault_generation);
    if (rc == CMK_OK)
        rc = cmk_secret_new(&vault_key, CMK_KEY_SIZE);
    if (rc != CMK_OK)
        return rc;
    rc = login_key_copy(login, CMK_SEAL_VAULT_KEY, NULL, vault_generation, vault_key.data);
    if (rc != CMK_OK)
        return cmk_fail(rc, "%s holds no key that opens this KEK; ask the SO for a grant", cmk_login_name(login));
    rc = sealed_open(row, "cmk11 key key v1", (cmk_bytes){NULL, 0}, vault_key.data, &plain);
    if (rc == CMK_OK && plain.len != CMK_KEY_SIZE)
        rc = cmk_fail(CMK_E_TAMPERED, "a key key record has a wrong length");
    if (rc == CMK_OK)
        memcpy(out, plain.data, CMK_KEY_SIZE);
    return rc;
}

/* ---- private keys ---- */

static void prepared_destroy(cmk_ref *ref)
{
    cmk_prepared *p = (cmk_prepared *)ref;
    cmk_rsa_private_free(p->key);
    free(p);
}

/* Reads KEYKEY and MATERIAL, verified. */
static cmk_rc material_read(cmk_version *v, cmk_record *keykey, cmk_record *material)
{
    CMK_VIEW_AUTO *view = NULL;
    uint8_t hash[CMK_SHA256_SIZE];
    cmk_record_key kk = cmk_rkey_numbered(&v->vault->id, CMK_KIND_KEYKEY, &v->key, v->keykey_generation);
    cmk_record_key mk = cmk_rkey_numbered(&v->vault->id, CMK_KIND_MATERIAL, &v->key, v->number);
    cmk_rc rc = cmk_view_open(v->vault, CMK_TXN_READ, NULL, &view);
    if (rc == CMK_OK)
        rc = cmk_view_get(view, &kk, keykey);
    if (rc == CMK_OK)
        rc = cmk_view_get(view, &mk, material);
    if (rc == CMK_OK)
        rc = cmk_body_hash(&mk, cmk_buf_view(&material->body), hash);
    if (rc == CMK_OK && memcmp(hash, v->material_hash, sizeof hash) != 0)
        rc = cmk_fail(CMK_E_TAMPERED, "the key material of %.*s/%u is not what its version record names",
                      (int)v->name.len, (const char *)v->name.data, v->number);
    return rc;
}

/* CMK_E_NOT_FOUND may mean that the version was purged meanwhile, or that a row was removed from under it: the
 * version's record tells. */
static cmk_rc explain_missing(cmk_version *v)
{
    cmk_version_state s;
    cmk_rc rc = cmk_vault_refresh(v->vault);
    if (rc == CMK_OK)
        rc = cmk_version_state_get(v, &s);
    if (rc != CMK_OK)
        return rc;
    if (s.gone)
        return cmk_fail(CMK_E_NOT_FOUND, "this version does not exist any more");
    return cmk_fail(CMK_E_TAMPERED, "the key material of %.*s/%u is missing", (int)v->name.len,
                    (const char *)v->name.data, v->number);
}

static cmk_rc private_load(cmk_login *login, cmk_version *v, cmk_rsa_private **out)
{
    CMK_RECORD_AUTO keykey = {.revision = 0};
    CMK_RECORD_AUTO material = {.revision = 0};
    CMK_SECRET_AUTO secret = CMK_SECRET_INIT;
    CMK_SECRET_AUTO der = CMK_SECRET_INIT;
    CMK_BUF_AUTO n = CMK_BUF_INIT;
    CMK_BUF_AUTO e = CMK_BUF_INIT;
    uint32_t generation = 0;
    cmk_rc rc = material_read(v, &keykey, &material);
    if (rc == CMK_E_NOT_FOUND)
        rc = explain_missing(v);
    if (rc == CMK_OK)
        rc = sealed_head(cmk_buf_view(&material.body), CMK_FORMAT_MATERIAL, &generation);
    if (rc == CMK_OK && generation != v->keykey_generation)
        rc = cmk_fail(CMK_E_TAMPERED, "key material under another key key than its version record names");
    if (rc == CMK_OK)
        rc = cmk_secret_new(&secret, CMK_KEY_SIZE);
    if (rc == CMK_OK)
        rc = cmk_keykey_open(login, &v->key, generation, &keykey, secret.data);
    if (rc == CMK_OK)
        rc = sealed_open(&material, "cmk11 material v1", cmk_bytes_of(v->id.b, CMK_ID_SIZE), secret.data, &der);
    if (rc == CMK_OK)
        rc = cmk_rsa_private_load(cmk_secret_view(&der), out);
    if (rc != CMK_OK)
        return rc;
    rc = cmk_rsa_private_public(*out, &n, &e);
    if (rc == CMK_OK &&
        (!cmk_bytes_equal(cmk_buf_view(&n), v->modulus) || !cmk_bytes_equal(cmk_buf_view(&e), v->exponent)))
        rc = cmk_fail(CMK_E_TAMPERED, "key material does not belong to the public key of its version record");
    if (rc != CMK_OK) {
        cmk_rsa_private_free(*out);
        *out = NULL;
    }
    return rc;
}

cmk_rc cmk_prepared_get(cmk_login *login, cmk_version *v, cmk_prepared **out, bool *loaded)
{
    cmk_bytes id = cmk_bytes_of(v->id.b, CMK_ID_SIZE);
    *loaded = false;
    *out = (cmk_prepared *)cmk_cache_get(login->prepared->keys, id, NULL);
    if (*out)
        return CMK_OK;
    cmk_prepared *p = calloc(1, sizeof *p);
    if (!p)
        return cmk_fail(CMK_E_NO_MEMORY, "no memory for a prepared key");
    cmk_ref_init(&p->ref, prepared_destroy);
    cmk_rc rc = private_load(login, v, &p->key);
    if (rc == CMK_OK) {
        *out = (cmk_prepared *)cmk_cache_keep(login->prepared->keys, id, 0, &p->ref);
        *loaded = true;
        /* The login may have ended after its cache was cleared: nothing stays behind then. */
        if (atomic_load(&login->ended))
            cmk_cache_drop(login->prepared->keys, id);
    }
    cmk_ref_put(&p->ref);
    return rc;
}

void cmk_prepared_drop(cmk_login *login, const cmk_version *v)
{
    cmk_cache_drop(login->prepared->keys, cmk_bytes_of(v->id.b, CMK_ID_SIZE));
}

/* ---- contents of objects ---- */

static void opened_destroy(cmk_ref *ref)
{
    cmk_opened *o = (cmk_opened *)ref;
    cmk_secret_clear(&o->attributes);
    cmk_secret_clear(&o->value);
    free(o);
}

cmk_opened *cmk_opened_new(void)
{
    cmk_opened *o = calloc(1, sizeof *o);
    if (o)
        cmk_ref_init(&o->ref, opened_destroy);
    return o;
}

cmk_opened *cmk_opened_get(cmk_login *login, const cmk_id *object, uint64_t revision)
{
    uint64_t tag = 0;
    cmk_ref *ref = cmk_cache_get(login->prepared->objects, cmk_bytes_of(object->b, CMK_ID_SIZE), &tag);
    if (ref && tag == revision)
        return (cmk_opened *)ref;
    cmk_ref_put(ref);
    return NULL;
}

void cmk_opened_keep(cmk_login *login, const cmk_id *object, uint64_t revision, cmk_opened *opened)
{
    if (opened->attributes.len + opened->value.len > OPENED_BYTES_MAX)
        return;
    cmk_cache_put(login->prepared->objects, cmk_bytes_of(object->b, CMK_ID_SIZE), revision, &opened->ref);
    if (atomic_load(&login->ended))
        cmk_opened_drop(login, object);
}

void cmk_opened_drop(cmk_login *login, const cmk_id *object)
{
    cmk_cache_drop(login->prepared->objects, cmk_bytes_of(object->b, CMK_ID_SIZE));
}
