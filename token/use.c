/* Using a KEK. The way of each use: freshness (one look at the store's generation) → login in force → role → state of
 * key and version at exactly that freshness → the RSA operation, with no lock held. */
#include <string.h>

#include "token/prepared.h"
#include "util/clock.h"

_Static_assert((int)CMK_USE_SHA1 == (int)CMK_SHA1 && (int)CMK_USE_SHA224 == (int)CMK_SHA224 &&
                   (int)CMK_USE_SHA256 == (int)CMK_SHA256 && (int)CMK_USE_SHA384 == (int)CMK_SHA384 &&
                   (int)CMK_USE_SHA512 == (int)CMK_SHA512,
               "hash numbers of token.h and crypto.h differ");

#define KWP_BLOCK 8
#define KWP_MIN 16
#define KWP_PLAIN_MAX 65536

/* ---- parameters ---- */

static bool hash_known(cmk_hash_id h)
{
    return h >= CMK_USE_SHA1 && h <= CMK_USE_SHA512;
}

static cmk_rc mech_check(const cmk_wrap_mech *m)
{
    if (!m || !hash_known(m->hash) || !hash_known(m->mgf))
        return cmk_fail(CMK_E_MECHANISM_PARAM, "OAEP needs a hash and an MGF1 hash of the SHA-1 and SHA-2 families");
    if (m->label.len > 0 && !m->label.data)
        return cmk_fail(CMK_E_MECHANISM_PARAM, "an OAEP label with a length but no data");
    if (m->kind == CMK_WRAP_OAEP)
        return CMK_OK;
    if (m->kind != CMK_WRAP_RSA_AES)
        return cmk_fail(CMK_E_MECHANISM, "unknown way of wrapping");
    if (m->aes_bits != 128 && m->aes_bits != 192 && m->aes_bits != 256)
        return cmk_fail(CMK_E_MECHANISM_PARAM, "the temporary AES key has 128, 192 or 256 bits");
    return CMK_OK;
}

static cmk_oaep oaep_of(const cmk_wrap_mech *m)
{
    return (cmk_oaep){.hash = (cmk_hash)m->hash, .mgf = (cmk_hash)m->mgf, .label = m->label};
}

static uint32_t mech_bit(const cmk_wrap_mech *m)
{
    return m->kind == CMK_WRAP_OAEP ? CMK_VERSION_OAEP : CMK_VERSION_RSA_AES;
}

cmk_rc cmk_kek_wrapped_size(cmk_version *version, const cmk_wrap_mech *mech, size_t plain_len, size_t *out)
{
    if (!version || !out)
        return cmk_fail(CMK_E_ARGUMENT, "no version given");
    cmk_rc rc = mech_check(mech);
    if (rc != CMK_OK)
        return rc;
    size_t max = cmk_oaep_max(version->size, (cmk_hash)mech->hash);
    if (mech->kind == CMK_WRAP_OAEP) {
        if (plain_len > max)
            return cmk_fail(CMK_E_DATA_LENGTH, "OAEP with this key and hash holds at most %zu bytes", max);
        *out = version->size;
        return CMK_OK;
    }
    if (plain_len == 0 || plain_len > KWP_PLAIN_MAX || mech->aes_bits / 8 > max)
        return cmk_fail(CMK_E_DATA_LENGTH, "RSA-AES key wrap holds 1 to %d bytes", KWP_PLAIN_MAX);
    *out = version->size + (plain_len + KWP_BLOCK - 1) / KWP_BLOCK * KWP_BLOCK + KWP_BLOCK;
    return CMK_OK;
}

/* Can a wrapped key of len bytes have been made under a modulus of size bytes? */
static bool length_fits_size(size_t size, const cmk_wrap_mech *m, size_t len)
{
    if (m->kind == CMK_WRAP_OAEP)
        return len == size;
    return len >= size + KWP_MIN && (len - size) % KWP_BLOCK == 0 && len - size <= KWP_PLAIN_MAX + KWP_BLOCK;
}

static bool length_fits(const cmk_version *v, const cmk_wrap_mech *m, size_t len)
{
    return length_fits_size(v->size, m, len);
}

/* Not a byte of what no key of any size has made is looked at: the caller's length may be nonsense. */
static bool length_possible(const cmk_wrap_mech *m, size_t len)
{
    static const size_t sizes[] = {2048 / 8, 3072 / 8, 4096 / 8};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (length_fits_size(sizes[i], m, len))
            return true;
    return false;
}

/* ---- may it? ---- */

static uint32_t op_of(cmk_action action)
{
    switch (action) {
    case CMK_ACT_WRAP:
        return CMK_OP_WRAP;
    case CMK_ACT_UNWRAP:
        return CMK_OP_UNWRAP;
    case CMK_ACT_DECRYPT:
        return CMK_OP_DECRYPT;
    default:
        return 0;
    }
}

/* A principal that is limited to named keys holds no vault key, but their key keys. */
static bool granted(cmk_login *login, const cmk_version *v)
{
    cmk_rwlock_read(&login->lock);
    bool yes = login->unlocked && (cmk_login_key(login, CMK_SEAL_VAULT_KEY, NULL, 0, NULL) ||
                                   cmk_login_key(login, CMK_SEAL_KEY_KEY, &v->key, 0, NULL));
    cmk_rwlock_unlock(&login->lock);
    return yes;
}

static cmk_rc check_role(cmk_login *login, const cmk_version *v, const cmk_version_state *s, cmk_action action)
{
    if (action == CMK_ACT_WRAP && s->wrap_without_login)
        return CMK_OK;
    if (!login)
        return cmk_fail(CMK_E_NOT_LOGGED_IN, "using a KEK of this vault needs a login");
    if (!cmk_policy_allows(login->role, action))
        return cmk_fail(CMK_E_KEY_NOT_PERMITTED, "the role %s of %s does not allow this use of a KEK",
                        cmk_role_name(login->role), login->name);
    if (login->role == CMK_ROLE_ENCRYPTION_USER && action == CMK_ACT_WRAP && !granted(login, v))
        return cmk_fail(CMK_E_KEY_NOT_PERMITTED, "%s has no grant for this key", login->name);
    return CMK_OK;
}

static cmk_rc refuse(const cmk_version *v, const char *why)
{
    return cmk_fail(CMK_E_KEY_NOT_PERMITTED, "%.*s/%u %s", (int)v->name.len, (const char *)v->name.data, v->number,
                    why);
}

static cmk_rc check_state(const cmk_version *v, const cmk_version_state *s, cmk_action action, uint32_t mechanism)
{
    if (s->gone)
        return cmk_fail(CMK_E_NOT_FOUND, "this version does not exist any more");
    if (s->deleted_at != 0)
        return refuse(v, "belongs to a deleted key; recover it first");
    if (!s->key_enabled || !s->enabled)
        return refuse(v, "is disabled");
    if ((s->usable_ops & op_of(action)) == 0)
        return refuse(v, "is not permitted this operation");
    if ((s->mechanisms & mechanism) == 0)
        return refuse(v, "is not permitted this mechanism");
    if (action != CMK_ACT_WRAP)
        return CMK_OK;
    int64_t now = cmk_now();
    if (now < s->not_before)
        return refuse(v, "is not yet valid for wrapping");
    if (s->expires != 0 && now >= s->expires)
        return refuse(v, "has expired for wrapping; rotate the key");
    return CMK_OK;
}

static cmk_rc authorise(cmk_login *login, cmk_version *v, cmk_action action, uint32_t mechanism)
{
    cmk_version_state s = {.gone = true};
    /* A login's check refreshes the vault; without one it is done here. */
    cmk_rc rc = login ? cmk_login_check(login) : cmk_vault_refresh(v->vault);
    if (rc == CMK_OK)
        rc = cmk_version_state_get(v, &s);
    if (rc == CMK_OK)
        rc = check_role(login, v, &s, action);
    return rc == CMK_OK ? check_state(v, &s, action, mechanism) : rc;
}

static cmk_rc check_call(const cmk_login *login, const cmk_version *v, cmk_action action)
{
    if (!v || op_of(action) == 0)
        return cmk_fail(CMK_E_ARGUMENT, "using a KEK needs a version and an action on keys");
    if (login && login->vault != v->vault)
        return cmk_fail(CMK_E_ARGUMENT, "the login is for another vault than the key");
    return CMK_OK;
}

cmk_rc cmk_kek_check(cmk_login *login, cmk_version *version, cmk_action action)
{
    cmk_rc rc = check_call(login, version, action);
    return rc == CMK_OK ? authorise(login, version, action, UINT32_MAX) : rc;
}

/* ---- wrap ---- */

/* From now on the version can't be undone: said before a wrapped key can be in anybody's hands. */
static cmk_rc mark_used(cmk_version *v)
{
    if (!atomic_load_explicit(&v->used, memory_order_relaxed))
        atomic_store(&v->used, true);
    return atomic_load(&v->undoing) ? cmk_fail(CMK_E_NOT_FOUND, "this version is being undone") : CMK_OK;
}

cmk_rc cmk_kek_wrap(cmk_login *login, cmk_version *version, const cmk_wrap_mech *mech, cmk_bytes plain, cmk_buf *out)
{
    size_t size = 0;
    cmk_rc rc = check_call(login, version, CMK_ACT_WRAP);
    if (rc == CMK_OK)
        rc = cmk_kek_wrapped_size(version, mech, plain.len, &size);
    if (rc == CMK_OK)
        rc = authorise(login, version, CMK_ACT_WRAP, mech_bit(mech));
    if (rc == CMK_OK)
        rc = mark_used(version);
    if (rc != CMK_OK)
        return rc;
    const cmk_version_public *pub = cmk_version_public_key(version);
    if (!pub)
        return CMK_E_CRYPTO;
    cmk_oaep oaep = oaep_of(mech);
    if (mech->kind == CMK_WRAP_RSA_AES)
        return cmk_rsa_aes_wrap(pub->key, &oaep, mech->aes_bits, plain, out);
    size_t before = out->len;
    uint8_t *at = cmk_buf_extend(out, size);
    rc = at ? cmk_rsa_oaep_encrypt(pub->key, &oaep, plain, at) : CMK_E_NO_MEMORY;
    if (at && rc != CMK_OK) {
        cmk_wipe(at, size);
        out->len = before;
    }
    return rc;
}

/* ---- unwrap ---- */

typedef struct unwrapping {
    cmk_login *login;
    cmk_action action;
    const cmk_wrap_mech *mech;
    cmk_bytes wrapped;
    cmk_secret *plain;
} unwrapping;

/* One private operation with v, if it may be used. */
static cmk_rc try_version(const unwrapping *u, cmk_version *v)
{
    cmk_prepared *p = NULL;
    bool loaded = false;
    cmk_rc rc = authorise(u->login, v, u->action, mech_bit(u->mech));
    if (rc != CMK_OK) {
        if (rc == CMK_E_NOT_FOUND && u->login)
            cmk_prepared_drop(u->login, v);
        return rc;
    }
    rc = cmk_prepared_get(u->login, v, &p, &loaded);
    if (rc == CMK_E_FORBIDDEN)
        rc = CMK_E_KEY_NOT_PERMITTED; /* no grant for this key; the detail is there */
    if (rc == CMK_OK && loaded)
        rc = authorise(u->login, v, u->action, mech_bit(u->mech)); /* loading took a while */
    if (rc == CMK_OK) {
        cmk_oaep oaep = oaep_of(u->mech);
        atomic_store_explicit(&v->used, true, memory_order_relaxed);
        rc = u->mech->kind == CMK_WRAP_OAEP
                 ? cmk_rsa_oaep_decrypt(p->key, &oaep, u->wrapped, u->plain)
                 : cmk_rsa_aes_unwrap(p->key, &oaep, u->mech->aes_bits, u->wrapped, u->plain);
        /* One answer for whatever went wrong behind the private operation. */
        if (rc == CMK_E_WRAPPED_KEY || rc == CMK_E_WRAPPED_KEY_LENGTH)
            rc = cmk_fail(CMK_E_WRAPPED_KEY, "the wrapped key does not open with this key");
    }
    if (p)
        cmk_ref_put(&p->ref);
    return rc;
}

static cmk_rc digest_of(const unwrapping *u, const cmk_version *v, uint8_t out[CMK_SHA256_SIZE])
{
    uint8_t head[CMK_ID_SIZE + 8 + 4] = {0};
    const char label[] = "cmk11 unwrap hint v1";
    memcpy(head, v->key.b, CMK_ID_SIZE);
    head[CMK_ID_SIZE] = (uint8_t)u->mech->kind;
    head[CMK_ID_SIZE + 1] = (uint8_t)u->mech->hash;
    head[CMK_ID_SIZE + 2] = (uint8_t)u->mech->mgf;
    head[CMK_ID_SIZE + 3] = (uint8_t)(u->mech->aes_bits / 8);
    for (unsigned i = 0; i < 8; i++)
        head[CMK_ID_SIZE + 4 + i] = (uint8_t)((uint64_t)u->mech->label.len >> (56 - 8 * i));
    const cmk_bytes parts[] = {cmk_bytes_of(label, sizeof label), cmk_bytes_of(head, sizeof head), u->mech->label,
                               u->wrapped};
    return cmk_sha256(parts, sizeof parts / sizeof parts[0], out);
}

/* True when trying further versions makes sense after this answer for one of them. */
static bool go_on(cmk_rc rc)
{
    return rc == CMK_E_WRAPPED_KEY || rc == CMK_E_KEY_NOT_PERMITTED || rc == CMK_E_NOT_FOUND;
}

/* The version that opened this ciphertext before; *tried tells which not to try again. */
static cmk_rc try_hint(const unwrapping *u, cmk_version *handle, const uint8_t digest[CMK_SHA256_SIZE], cmk_id *tried)
{
    cmk_version *v = NULL;
    cmk_id id;
    if (!cmk_version_hint_get(handle->vault->versions, digest, &id))
        return CMK_E_WRAPPED_KEY;
    if (cmk_version_find(handle->vault, CMK_BY_VERSION_ID, cmk_bytes_of(id.b, CMK_ID_SIZE), &v) != CMK_OK)
        return CMK_E_WRAPPED_KEY;
    cmk_rc rc = CMK_E_WRAPPED_KEY;
    if (cmk_id_equal(&v->key, &handle->key) && length_fits(v, u->mech, u->wrapped.len)) {
        rc = try_version(u, v);
        *tried = id;
    }
    cmk_version_put(v);
    return rc;
}

/* The other versions, newest first. CMK_E_WRAPPED_KEY_LENGTH when there is none that could have made it. */
static cmk_rc try_others(const unwrapping *u, cmk_version *handle, const cmk_id *tried, const uint8_t *digest)
{
    cmk_siblings *all = NULL;
    cmk_rc rc = cmk_version_siblings(handle, &all);
    if (rc != CMK_OK)
        return rc;
    cmk_rc answer = CMK_E_WRAPPED_KEY_LENGTH;
    for (size_t i = 0; i < all->count; i++) {
        cmk_version *v = all->versions[i];
        if (cmk_id_equal(&v->id, &handle->id) || cmk_id_equal(&v->id, tried) ||
            !length_fits(v, u->mech, u->wrapped.len))
            continue;
        rc = try_version(u, v);
        answer = CMK_E_WRAPPED_KEY;
        if (rc == CMK_OK && digest) {
            cmk_version_hint_put(handle->vault->versions, digest, &v->id);
            atomic_store_explicit(&handle->fell_back, true, memory_order_relaxed);
        }
        if (!go_on(rc)) {
            answer = rc;
            break;
        }
    }
    cmk_ref_put(&all->ref);
    return answer;
}

static cmk_rc fall_back(const unwrapping *u, cmk_version *handle, const cmk_id *tried, const uint8_t *digest,
                        bool handle_fits)
{
    cmk_rc rc = try_others(u, handle, tried, digest);
    if (rc == CMK_E_WRAPPED_KEY_LENGTH && !handle_fits)
        return cmk_fail(rc, "no version of this key makes wrapped keys of %zu bytes", u->wrapped.len);
    if (rc == CMK_E_WRAPPED_KEY || rc == CMK_E_WRAPPED_KEY_LENGTH)
        return cmk_fail(CMK_E_WRAPPED_KEY, "the wrapped key does not open with any version of this key");
    return rc;
}

cmk_rc cmk_kek_unwrap(cmk_login *login, cmk_version *version, cmk_action action, const cmk_wrap_mech *mech,
                      cmk_bytes wrapped, cmk_secret *plain)
{
    uint8_t digest[CMK_SHA256_SIZE];
    cmk_id tried = {{0}};
    bool have_digest = false;
    cmk_rc rc = check_call(login, version, action);
    if (rc == CMK_OK && (action == CMK_ACT_WRAP || !plain))
        rc = cmk_fail(CMK_E_ARGUMENT, "unwrapping needs an action that opens wrapped keys");
    if (rc == CMK_OK)
        rc = mech_check(mech);
    /* The handle's version decides whether the call is allowed at all, whichever version opens it in the end. */
    bool fits = rc == CMK_OK && length_fits(version, mech, wrapped.len);
    bool hinted = rc == CMK_OK && (atomic_load_explicit(&version->fell_back, memory_order_relaxed) || !fits);
    if (rc == CMK_OK && (hinted || !login))
        rc = authorise(login, version, action, mech_bit(mech));
    if (rc == CMK_OK && !length_possible(mech, wrapped.len))
        rc = cmk_fail(CMK_E_WRAPPED_KEY_LENGTH, "no key makes wrapped keys of %zu bytes", wrapped.len);
    if (rc != CMK_OK)
        return rc;
    const unwrapping u = {login, action, mech, wrapped, plain};
    if (hinted) {
        have_digest = digest_of(&u, version, digest) == CMK_OK;
        rc = have_digest ? try_hint(&u, version, digest, &tried) : CMK_E_WRAPPED_KEY;
        if (!go_on(rc))
            return rc;
    }
    if (fits) {
        rc = try_version(&u, version);
        if (rc != CMK_E_WRAPPED_KEY)
            return rc;
    }
    if (!have_digest)
        have_digest = digest_of(&u, version, digest) == CMK_OK;
    return fall_back(&u, version, &tried, have_digest ? digest : NULL, fits);
}
