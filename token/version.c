/* Versions in memory: one object a version, found by name, id, CKA_ID or modulus through a cache whose entries are
 * tagged with the officer tree's change number at which they were verified. */
#include "token/version.h"

#include <stdlib.h>
#include <string.h>

#define LOOKUPS_MAX 262144 /* entries; a version that is used has two */
#define HINT_SETS 1024
#define HINT_WAYS 4
enum { BY_KEY = 0xff }; /* a key's siblings, beside the values of cmk_version_by */

typedef struct hint {
    uint8_t digest[CMK_SHA256_SIZE];
    cmk_id version;
} hint;

struct cmk_version_cache {
    cmk_cache *lookups; /* by (1) ‖ value → cmk_version, or cmk_siblings for BY_KEY */
    cmk_mutex hint_lock;
    hint *hints; /* HINT_SETS × HINT_WAYS, newest first in each set; made at first use */
};

cmk_version_cache *cmk_version_cache_new(void)
{
    cmk_version_cache *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->lookups = cmk_cache_new("versions", LOOKUPS_MAX);
    if (!c->lookups) {
        free(c);
        return NULL;
    }
    cmk_mutex_init(&c->hint_lock, CMK_RANK_LEAF, "unwrap hints");
    return c;
}

void cmk_version_cache_free(cmk_version_cache *c)
{
    if (!c)
        return;
    cmk_cache_free(c->lookups);
    cmk_mutex_destroy(&c->hint_lock);
    free(c->hints);
    free(c);
}

static hint *hint_set(cmk_version_cache *c, const uint8_t digest[CMK_SHA256_SIZE])
{
    return c->hints + (size_t)(((unsigned)digest[0] << 8 | digest[1]) % HINT_SETS) * HINT_WAYS;
}

bool cmk_version_hint_get(cmk_version_cache *c, const uint8_t digest[CMK_SHA256_SIZE], cmk_id *version)
{
    CMK_WITH_MUTEX(&c->hint_lock);
    if (!c->hints)
        return false;
    const hint *h = hint_set(c, digest);
    for (size_t i = 0; i < HINT_WAYS; i++)
        if (memcmp(h[i].digest, digest, CMK_SHA256_SIZE) == 0 && !cmk_id_is_zero(&h[i].version)) {
            *version = h[i].version;
            return true;
        }
    return false;
}

void cmk_version_hint_put(cmk_version_cache *c, const uint8_t digest[CMK_SHA256_SIZE], const cmk_id *version)
{
    CMK_WITH_MUTEX(&c->hint_lock);
    if (!c->hints)
        c->hints = calloc((size_t)HINT_SETS * HINT_WAYS, sizeof *c->hints);
    if (!c->hints)
        return; /* only a cache */
    hint *h = hint_set(c, digest);
    size_t i = 0;
    while (i < HINT_WAYS - 1 && memcmp(h[i].digest, digest, CMK_SHA256_SIZE) != 0)
        i++;
    memmove(h + 1, h, i * sizeof *h);
    memcpy(h->digest, digest, CMK_SHA256_SIZE);
    h->version = *version;
}

/* ---- the object ---- */

static void public_free(cmk_version_public *p)
{
    if (!p)
        return;
    cmk_rsa_public_free(p->key);
    cmk_buf_free(&p->info);
    free(p);
}

static void version_destroy(cmk_ref *ref)
{
    cmk_version *v = (cmk_version *)ref;
    public_free(atomic_load(&v->public_key));
    cmk_mutex_destroy(&v->lock);
    free(v);
}

/* Copies src behind what data holds already. */
static cmk_bytes append(cmk_version *v, size_t *used, cmk_bytes src)
{
    uint8_t *at = v->data + *used;
    if (src.len)
        memcpy(at, src.data, src.len);
    *used += src.len;
    return (cmk_bytes){at, src.len};
}

static cmk_version *version_new(cmk_vault *vault, const cmk_key_rec *key, const cmk_version_rec *rec)
{
    cmk_version *v = calloc(1, sizeof *v + key->name.len + rec->cka_id.len + rec->modulus.len + rec->exponent.len);
    if (!v)
        return NULL;
    cmk_ref_init(&v->ref, version_destroy);
    cmk_mutex_init(&v->lock, CMK_RANK_LEAF, "version");
    v->vault = vault;
    v->key = rec->key;
    v->id = rec->id;
    v->created_by = rec->created_by;
    v->number = rec->number;
    v->bits = rec->bits;
    v->size = rec->modulus.len;
    v->origin = (cmk_origin)rec->origin;
    v->created = (int64_t)rec->created;
    v->keykey_generation = rec->keykey_generation;
    memcpy(v->material_hash, rec->material_hash, sizeof v->material_hash);
    memcpy(v->certificate_hash, rec->certificate_hash, sizeof v->certificate_hash);
    size_t used = 0;
    v->name = append(v, &used, key->name);
    v->cka_id = append(v, &used, rec->cka_id);
    v->modulus = append(v, &used, rec->modulus);
    v->exponent = append(v, &used, rec->exponent);
    return v;
}

cmk_version *cmk_version_take(cmk_version *version)
{
    if (version)
        cmk_ref_take(&version->ref);
    return version;
}

void cmk_version_put(cmk_version *version)
{
    if (version)
        cmk_ref_put(&version->ref);
}

const cmk_id *cmk_version_id(const cmk_version *version)
{
    return &version->id;
}

cmk_bytes cmk_version_modulus(const cmk_version *version)
{
    return version->modulus;
}

cmk_bytes cmk_version_exponent(const cmk_version *version)
{
    return version->exponent;
}

const cmk_version_public *cmk_version_public_key(cmk_version *v)
{
    cmk_version_public *p = atomic_load(&v->public_key);
    if (p)
        return p;
    p = calloc(1, sizeof *p);
    if (!p) {
        (void)cmk_fail(CMK_E_NO_MEMORY, "no memory for a public key");
        return NULL;
    }
    cmk_rc rc = cmk_rsa_public_new(v->modulus, v->exponent, &p->key);
    if (rc == CMK_OK)
        rc = cmk_rsa_public_info(p->key, &p->info);
    if (rc == CMK_OK)
        rc = cmk_buf_ok(&p->info);
    cmk_version_public *first = NULL;
    if (rc == CMK_OK && atomic_compare_exchange_strong(&v->public_key, &first, p))
        return p;
    public_free(p);
    return first; /* another thread's, or NULL */
}

cmk_bytes cmk_version_public_info(const cmk_version *version)
{
    /* What never changes is made at first use, so the object is const to the caller only. */
    const cmk_version_public *p = cmk_version_public_key((cmk_version *)(uintptr_t)version);
    return p ? cmk_buf_view(&p->info) : (cmk_bytes){NULL, 0};
}

/* ---- records ---- */

cmk_rc cmk_key_read(cmk_view *view, const cmk_id *key, cmk_record *row, cmk_key_rec *rec)
{
    cmk_record_key rk = cmk_rkey_id(&cmk_view_vault(view)->id, CMK_KIND_KEY, key);
    cmk_rc rc = cmk_view_get(view, &rk, row);
    if (rc == CMK_OK)
        rc = cmk_key_rec_decode(cmk_buf_view(&row->body), rec);
    if (rc == CMK_OK && !cmk_id_equal(&rec->id, key))
        rc = cmk_fail(CMK_E_TAMPERED, "a key record names another key than it is stored for");
    return rc;
}

cmk_rc cmk_version_read(cmk_view *view, const cmk_id *key, uint32_t number, cmk_record *row, cmk_version_rec *rec)
{
    cmk_record_key rk = cmk_rkey_numbered(&cmk_view_vault(view)->id, CMK_KIND_VERSION, key, number);
    cmk_rc rc = cmk_view_get(view, &rk, row);
    if (rc == CMK_OK)
        rc = cmk_version_rec_decode(cmk_buf_view(&row->body), rec);
    if (rc == CMK_OK && (!cmk_id_equal(&rec->key, key) || rec->number != number))
        rc = cmk_fail(CMK_E_TAMPERED, "a version record names another version than it is stored for");
    return rc;
}

cmk_rc cmk_body_hash(const cmk_record_key *key, cmk_bytes body, uint8_t out[CMK_SHA256_SIZE])
{
    CMK_BUF_AUTO head = CMK_BUF_INIT;
    cmk_buf_label(&head, "cmk11 body v1");
    cmk_buf_add(&head, key->vault.b, CMK_ID_SIZE);
    cmk_buf_u8(&head, key->kind);
    cmk_buf_str(&head, cmk_bytes_of(key->id, key->id_len));
    cmk_buf_u32(&head, (uint32_t)body.len);
    cmk_rc rc = cmk_buf_ok(&head);
    const cmk_bytes parts[] = {cmk_buf_view(&head), body};
    return rc == CMK_OK ? cmk_sha256(parts, 2, out) : rc;
}

cmk_rc cmk_version_index(cmk_view *view, const cmk_version_rec *rec, bool present)
{
    uint8_t hash[CMK_SHA256_SIZE];
    cmk_rc rc = cmk_sha256(&rec->modulus, 1, hash);
    if (rc != CMK_OK)
        return rc;
    cmk_record_key rk = cmk_rkey_numbered(&cmk_view_vault(view)->id, CMK_KIND_VERSION, &rec->key, rec->number);
    const struct {
        cmk_index index;
        cmk_bytes value;
    } leaves[] = {{CMK_INDEX_VERSION_ID, cmk_bytes_of(rec->id.b, CMK_ID_SIZE)},
                  {CMK_INDEX_CKA_ID, rec->cka_id},
                  {CMK_INDEX_MODULUS, cmk_bytes_of(hash, sizeof hash)}};
    for (size_t i = 0; rc == CMK_OK && i < sizeof leaves / sizeof leaves[0]; i++)
        rc = cmk_view_index(view, leaves[i].index, leaves[i].value, rk.id, present ? rk.id_len : 0);
    return rc;
}

/* ---- state ---- */

static void state_of(cmk_view *view, const cmk_key_rec *key, const cmk_version_rec *rec, cmk_version_state *s)
{
    const cmk_vault_rec *vault = cmk_view_vault(view);
    *s = (cmk_version_state){.officer_change = cmk_view_change(view, CMK_TREE_OFFICER),
                             .admin_change = cmk_view_change(view, CMK_TREE_ADMIN),
                             .purge_protected = vault->purge_protection != 0,
                             .wrap_without_login = vault->wrap_without_login != 0,
                             .gone = !key || !rec};
    if (!key || !rec)
        return;
    s->enabled = rec->enabled != 0;
    s->key_enabled = key->enabled != 0;
    s->current = key->current == rec->number;
    s->ops = key->ops;
    s->usable_ops = key->ops & vault->allow_ops;
    s->mechanisms = rec->mechanisms;
    s->not_before = (int64_t)rec->not_before;
    s->expires = (int64_t)rec->expires;
    s->deleted_at = (int64_t)key->deleted_at;
    s->purge_at = (int64_t)key->purge_at;
    s->rotate_every = key->rotate_every;
}

/* Remembers s unless a newer one is there. */
static void state_store(cmk_version *v, const cmk_version_state *s)
{
    CMK_WITH_MUTEX(&v->lock);
    if (s->officer_change >= v->state.officer_change && s->admin_change >= v->state.admin_change)
        v->state = *s;
}

static cmk_rc state_read(cmk_version *v, cmk_version_state *out)
{
    CMK_VIEW_AUTO *view = NULL;
    CMK_RECORD_AUTO key_row = {.revision = 0};
    CMK_RECORD_AUTO row = {.revision = 0};
    cmk_key_rec key = {.enabled = 0};
    cmk_version_rec rec;
    cmk_rc rc = cmk_view_open(v->vault, CMK_TXN_READ, NULL, &view);
    if (rc != CMK_OK)
        return rc;
    rc = cmk_key_read(view, &v->key, &key_row, &key);
    if (rc == CMK_OK)
        rc = cmk_version_read(view, &v->key, v->number, &row, &rec);
    if (rc == CMK_OK && (!cmk_id_equal(&rec.id, &v->id) || !cmk_bytes_equal(rec.modulus, v->modulus)))
        rc = cmk_fail(CMK_E_TAMPERED, "a version record has another id or modulus than before");
    if (rc == CMK_OK)
        state_of(view, &key, &rec, out);
    else if (rc == CMK_E_NOT_FOUND)
        state_of(view, NULL, NULL, out);
    else
        return rc;
    return CMK_OK;
}

cmk_rc cmk_version_state_get(cmk_version *v, cmk_version_state *out)
{
    uint64_t officer = atomic_load(&v->vault->change[CMK_TREE_OFFICER]);
    uint64_t admin = atomic_load(&v->vault->change[CMK_TREE_ADMIN]);
    cmk_mutex_lock(&v->lock);
    *out = v->state;
    cmk_mutex_unlock(&v->lock);
    if (officer != 0 && out->officer_change == officer && out->admin_change == admin)
        return CMK_OK;
    cmk_rc rc = state_read(v, out);
    if (rc == CMK_OK)
        state_store(v, out);
    return rc;
}

static void copy_name(char *out, cmk_bytes name)
{
    size_t n = name.len < CMK_KEY_NAME_MAX ? name.len : CMK_KEY_NAME_MAX;
    if (n)
        memcpy(out, name.data, n);
    out[n] = '\0';
}

void cmk_version_fill_info(const cmk_version *v, const cmk_version_state *s, cmk_version_info *out)
{
    memset(out, 0, sizeof *out);
    out->key_id = v->key;
    out->id = v->id;
    copy_name(out->key_name, v->name);
    out->number = v->number;
    out->bits = v->bits;
    out->origin = v->origin;
    out->created = v->created;
    out->not_before = s->not_before;
    out->expires = s->expires;
    out->enabled = s->enabled;
    out->key_enabled = s->key_enabled;
    out->current = s->current;
    out->purge_protected = s->purge_protected;
    out->deleted_at = s->deleted_at;
    out->purge_at = s->purge_at;
    out->rotate_every = s->rotate_every;
    out->ops = s->ops;
    out->cka_id_len = v->cka_id.len < CMK_CKA_ID_MAX ? v->cka_id.len : CMK_CKA_ID_MAX;
    if (out->cka_id_len)
        memcpy(out->cka_id, v->cka_id.data, out->cka_id_len);
}

cmk_rc cmk_version_get_info(cmk_version *version, cmk_version_info *out)
{
    cmk_version_state s = {.gone = true};
    if (!version || !out)
        return cmk_fail(CMK_E_ARGUMENT, "no version given");
    cmk_rc rc = cmk_vault_refresh(version->vault);
    if (rc == CMK_OK)
        rc = cmk_version_state_get(version, &s);
    if (rc != CMK_OK)
        return rc;
    if (s.gone || s.deleted_at != 0)
        return cmk_fail(CMK_E_NOT_FOUND, "version %u of key %.*s is not there any more", version->number,
                        (int)version->name.len, (const char *)version->name.data);
    cmk_version_fill_info(version, &s, out);
    return CMK_OK;
}

/* ---- look-ups ---- */

typedef struct lookup_key {
    uint8_t bytes[CMK_CACHE_KEY_MAX];
    size_t len;
} lookup_key;

static bool lookup_key_of(lookup_key *k, uint8_t by, cmk_bytes value)
{
    if (value.len >= sizeof k->bytes)
        return false;
    k->bytes[0] = by;
    if (value.len)
        memcpy(k->bytes + 1, value.data, value.len);
    k->len = value.len + 1;
    return true;
}

static cmk_bytes lookup_view(const lookup_key *k)
{
    return cmk_bytes_of(k->bytes, k->len);
}

cmk_rc cmk_version_of_records(cmk_vault *vault, cmk_view *view, const cmk_key_rec *key, const cmk_version_rec *rec,
                              bool keep, cmk_version **out)
{
    lookup_key k;
    cmk_version_state s = {.gone = true};
    cmk_cache *cache = vault->versions->lookups;
    *out = NULL;
    if (!lookup_key_of(&k, CMK_BY_VERSION_ID, cmk_bytes_of(rec->id.b, CMK_ID_SIZE)))
        return CMK_E_INTERNAL;
    cmk_version *v = (cmk_version *)cmk_cache_get(cache, lookup_view(&k), NULL);
    if (v && (!cmk_bytes_equal(v->modulus, rec->modulus) || !cmk_id_equal(&v->key, &rec->key))) {
        cmk_version_put(v);
        return cmk_fail(CMK_E_TAMPERED, "a version record has another key or modulus than before");
    }
    bool made = !v;
    if (made)
        v = version_new(vault, key, rec);
    if (!v)
        return cmk_fail(CMK_E_NO_MEMORY, "no memory for a version");
    state_of(view, key, rec, &s);
    state_store(v, &s);
    if (made && keep) {
        /* Tag 0 is never current: a look-up must not find versions of deleted keys. */
        uint64_t tag = s.deleted_at == 0 ? s.officer_change : 0;
        cmk_version *kept = (cmk_version *)cmk_cache_keep(cache, lookup_view(&k), tag, &v->ref);
        if (kept != v)
            state_store(kept, &s);
        cmk_version_put(v);
        v = kept;
    } else if (keep && s.deleted_at == 0) {
        cmk_cache_put(cache, lookup_view(&k), s.officer_change, &v->ref);
    }
    *out = v;
    return CMK_OK;
}

static const struct {
    cmk_index index;
    bool hashed;
} look_ups[] = {
    [CMK_BY_KEY_NAME] = {CMK_INDEX_KEY_NAME, false},
    [CMK_BY_VERSION_ID] = {CMK_INDEX_VERSION_ID, false},
    [CMK_BY_CKA_ID] = {CMK_INDEX_CKA_ID, false},
    [CMK_BY_MODULUS] = {CMK_INDEX_MODULUS, true},
};

/* Where the officer tree says that value is: the key, and the version's number (0: the current one). */
static cmk_rc locate(cmk_view *view, cmk_version_by by, cmk_bytes value, cmk_id *key, uint32_t *number)
{
    uint8_t hash[CMK_SHA256_SIZE];
    uint8_t id[CMK_RECORD_ID_MAX];
    size_t len = 0;
    if (look_ups[by].hashed) {
        cmk_rc hrc = cmk_sha256(&value, 1, hash);
        if (hrc != CMK_OK)
            return hrc;
        value = cmk_bytes_of(hash, sizeof hash);
    }
    cmk_rc rc = cmk_view_lookup(view, look_ups[by].index, value, id, &len);
    if (rc != CMK_OK)
        return rc;
    cmk_reader r = cmk_reader_of(cmk_bytes_of(id, len));
    cmk_read_raw(&r, key->b, CMK_ID_SIZE);
    *number = by == CMK_BY_KEY_NAME ? 0 : cmk_read_u32(&r);
    return cmk_reader_end(&r);
}

static cmk_rc find_in_view(cmk_vault *vault, cmk_view *view, cmk_version_by by, cmk_bytes value, cmk_version **out)
{
    CMK_RECORD_AUTO key_row = {.revision = 0};
    CMK_RECORD_AUTO row = {.revision = 0};
    cmk_key_rec key = {.enabled = 0};
    cmk_version_rec rec;
    cmk_id id;
    uint32_t number = 0;
    cmk_rc rc = locate(view, by, value, &id, &number);
    if (rc == CMK_OK)
        rc = cmk_key_read(view, &id, &key_row, &key);
    if (rc == CMK_OK && key.deleted_at != 0)
        rc = cmk_fail(CMK_E_NOT_FOUND, "key %.*s is deleted", (int)key.name.len, (const char *)key.name.data);
    if (rc == CMK_OK)
        rc = cmk_version_read(view, &id, number ? number : key.current, &row, &rec);
    return rc == CMK_OK ? cmk_version_of_records(vault, view, &key, &rec, true, out) : rc;
}

cmk_rc cmk_version_find(cmk_vault *vault, cmk_version_by by, cmk_bytes value, cmk_version **out)
{
    lookup_key k;
    CMK_VIEW_AUTO *view = NULL;
    if (!vault || !out || (unsigned)by >= sizeof look_ups / sizeof look_ups[0])
        return cmk_fail(CMK_E_ARGUMENT, "looking up a version needs a vault and a kind of value");
    *out = NULL;
    if (!lookup_key_of(&k, (uint8_t)by, value) || value.len == 0)
        return cmk_fail(CMK_E_NOT_FOUND, "no version has such a value");
    cmk_rc rc = cmk_vault_refresh(vault);
    if (rc != CMK_OK)
        return rc;
    uint64_t change = atomic_load(&vault->change[CMK_TREE_OFFICER]);
    uint64_t tag = 0;
    cmk_version *v = (cmk_version *)cmk_cache_get(vault->versions->lookups, lookup_view(&k), &tag);
    if (v && tag == change) {
        *out = v;
        return CMK_OK;
    }
    cmk_version_put(v);
    rc = cmk_view_open(vault, CMK_TXN_READ, NULL, &view);
    if (rc == CMK_OK)
        rc = find_in_view(vault, view, by, value, out);
    if (rc == CMK_OK)
        cmk_cache_put(vault->versions->lookups, lookup_view(&k), cmk_view_change(view, CMK_TREE_OFFICER), &(*out)->ref);
    else if (rc == CMK_E_NOT_FOUND)
        cmk_cache_drop(vault->versions->lookups, lookup_view(&k));
    return rc;
}

/* ---- siblings ---- */

static void siblings_destroy(cmk_ref *ref)
{
    cmk_siblings *s = (cmk_siblings *)ref;
    for (size_t i = 0; i < s->count; i++)
        cmk_version_put(s->versions[i]);
    free(s);
}

static cmk_rc siblings_read(cmk_version *v, cmk_view *view, cmk_siblings **out)
{
    CMK_RECORD_AUTO key_row = {.revision = 0};
    CMK_ROWS_AUTO rows = {NULL, 0, 0};
    cmk_key_rec key = {.enabled = 0};
    cmk_version_rec rec;
    cmk_rc rc = cmk_key_read(view, &v->key, &key_row, &key);
    if (rc == CMK_OK)
        rc = cmk_rows_read_key(view, CMK_KIND_VERSION, &v->key, &rows);
    if (rc == CMK_OK && rows.count != key.versions)
        rc = cmk_fail(CMK_E_TAMPERED, "key %.*s has %u versions, of which %zu are there", (int)key.name.len,
                      (const char *)key.name.data, key.versions, rows.count);
    cmk_siblings *s = rc == CMK_OK ? calloc(1, sizeof *s + rows.count * sizeof(cmk_version *)) : NULL;
    if (!s)
        return rc == CMK_OK ? cmk_fail(CMK_E_NO_MEMORY, "no memory for a list of versions") : rc;
    cmk_ref_init(&s->ref, siblings_destroy);
    for (size_t i = rows.count; rc == CMK_OK && i-- > 0;) {
        rc = cmk_version_rec_decode(cmk_buf_view(&rows.rows[i].body), &rec);
        if (rc == CMK_OK)
            rc = cmk_version_of_records(v->vault, view, &key, &rec, true, &s->versions[s->count]);
        if (rc == CMK_OK)
            s->count++;
    }
    if (rc == CMK_OK)
        *out = s;
    else
        cmk_ref_put(&s->ref);
    return rc;
}

cmk_rc cmk_version_siblings(cmk_version *v, cmk_siblings **out)
{
    lookup_key k;
    CMK_VIEW_AUTO *view = NULL;
    cmk_cache *cache = v->vault->versions->lookups;
    uint64_t tag = 0;
    *out = NULL;
    if (!lookup_key_of(&k, BY_KEY, cmk_bytes_of(v->key.b, CMK_ID_SIZE)))
        return CMK_E_INTERNAL;
    cmk_ref *ref = cmk_cache_get(cache, lookup_view(&k), &tag);
    if (ref && tag == atomic_load(&v->vault->change[CMK_TREE_OFFICER])) {
        *out = (cmk_siblings *)ref;
        return CMK_OK;
    }
    cmk_ref_put(ref);
    cmk_rc rc = cmk_view_open(v->vault, CMK_TXN_READ, NULL, &view);
    if (rc == CMK_OK)
        rc = siblings_read(v, view, out);
    if (rc == CMK_OK)
        cmk_cache_put(cache, lookup_view(&k), cmk_view_change(view, CMK_TREE_OFFICER), &(*out)->ref);
    return rc;
}
