/* Making keys and versions. What takes long (the pair, its certificate) is made before the write transaction;
 * everything that decides is looked at again inside it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "token/key.h"
#include "token/prepared.h"

#define KEYS_MAX 100000
#define TRIES 16 /* another writer was faster: look again */

typedef struct making {
    cmk_login *login;
    cmk_vault *vault;
    const cmk_key_spec *spec;
    cmk_bytes name;
    char name_hex[2 * CMK_ID_SIZE + 1];
    uint64_t now;
    cmk_id new_key; /* id of the key, should one be made */
    cmk_id version;
    /* what a look at the vault has found: */
    bool exists;
    cmk_id key;
    uint32_t keykey_generation, vault_key_generation, number;
    cmk_buf keykey_body; /* of a new key */
    cmk_secret keykey;
    /* made once: */
    cmk_rsa_private *pair;
    cmk_secret pkcs8;
    cmk_buf modulus, exponent, certificate, tags;
} making;

static void making_clear(making *m)
{
    cmk_buf_free(&m->keykey_body);
    cmk_secret_clear(&m->keykey);
    cmk_rsa_private_free(m->pair);
    cmk_secret_clear(&m->pkcs8);
    cmk_buf_free(&m->modulus);
    cmk_buf_free(&m->exponent);
    cmk_buf_free(&m->certificate);
    cmk_buf_free(&m->tags);
}

/* ---- checks ---- */

static cmk_rc check_spec(const cmk_key_spec *s, uint64_t now)
{
    if (s->bits != 2048 && s->bits != 3072 && s->bits != 4096)
        return cmk_fail(CMK_E_KEY_SIZE, "a KEK has 2048, 3072 or 4096 bits, not %u", s->bits);
    if (s->name.len > 0) {
        cmk_rc rc = cmk_name_check(CMK_NAME_KEY, s->name);
        if (rc != CMK_OK)
            return rc;
    }
    if (s->cka_id.len > CMK_CKA_ID_MAX)
        return cmk_fail(CMK_E_ARGUMENT, "a CKA_ID has at most %d bytes", CMK_CKA_ID_MAX);
    if (s->not_before < 0 || s->expires < 0)
        return cmk_fail(CMK_E_ARGUMENT, "times before 1970 are not possible");
    if (s->expires != 0 && s->expires <= s->not_before)
        return cmk_fail(CMK_E_ARGUMENT, "a key must expire after it becomes valid");
    if (s->expires != 0 && (uint64_t)s->expires <= now)
        return cmk_fail(CMK_E_ARGUMENT, "the time of expiry is in the past");
    return CMK_OK;
}

static cmk_rc encode_tags(const cmk_key_spec *s, cmk_buf *out)
{
    if (s->tag_count > CMK_TAGS_MAX)
        return cmk_fail(CMK_E_LIMIT, "a key has at most %d tags", CMK_TAGS_MAX);
    for (size_t i = 0; i < s->tag_count; i++) {
        const cmk_tag *t = &s->tags[i];
        cmk_bytes name = cmk_bytes_of(t->name, strnlen(t->name, sizeof t->name));
        cmk_bytes value = cmk_bytes_of(t->value, strnlen(t->value, sizeof t->value));
        if (name.len == 0 || name.len > CMK_TAG_NAME_MAX || value.len > CMK_TAG_VALUE_MAX || !cmk_utf8_valid(name) ||
            !cmk_utf8_valid(value))
            return cmk_fail(CMK_E_ARGUMENT, "a tag has a name of 1 to %d and a value of at most %d bytes of UTF-8",
                            CMK_TAG_NAME_MAX, CMK_TAG_VALUE_MAX);
        for (size_t j = 0; j < i; j++)
            if (strcmp(s->tags[j].name, t->name) == 0)
                return cmk_fail(CMK_E_ARGUMENT, "the tag %s is given twice", t->name);
        cmk_buf_str(out, name);
        cmk_buf_str(out, value);
    }
    return cmk_buf_ok(out);
}

static uint32_t asked_ops(const making *m)
{
    return m->spec->ops ? m->spec->ops : CMK_OP_WRAP | CMK_OP_UNWRAP;
}

/* May the key that has the name get a further version? */
static cmk_rc check_existing(const making *m, const cmk_key_rec *key)
{
    int n = (int)key->name.len;
    const char *name = (const char *)key->name.data;
    if (key->deleted_at != 0)
        return cmk_fail(CMK_E_ACTION_PROHIBITED, "key %.*s is deleted; recover or purge it first", n, name);
    if (!m->spec->or_new_version)
        return cmk_fail(CMK_E_EXISTS, "a key %.*s exists already; rotate it to get a new version", n, name);
    if (!cmk_policy_allows(m->login->role, CMK_ACT_KEY_ROTATE))
        return cmk_fail(CMK_E_FORBIDDEN, "the role %s does not rotate keys", cmk_role_name(m->login->role));
    if (key->versions >= CMK_VERSIONS_MAX || key->last_number == UINT32_MAX)
        return cmk_fail(CMK_E_ACTION_PROHIBITED, "key %.*s has %d versions already", n, name, CMK_VERSIONS_MAX);
    if ((m->spec->ops & ~key->ops) != 0)
        return cmk_fail(CMK_E_KEY_NOT_PERMITTED, "key %.*s does not permit that operation; a version can't add it", n,
                        name);
    if (m->spec->tag_count > 0)
        return cmk_fail(CMK_E_ARGUMENT, "tags belong to a key, not to a version; set those of key %.*s", n, name);
    return CMK_OK;
}

static cmk_rc check_new(const making *m, cmk_view *view)
{
    if (cmk_view_count(view, CMK_KIND_KEY) >= KEYS_MAX)
        return cmk_fail(CMK_E_LIMIT, "a vault holds at most %d keys", KEYS_MAX);
    if ((asked_ops(m) & ~cmk_view_vault(view)->allow_ops) != 0)
        return cmk_fail(CMK_E_KEY_NOT_PERMITTED, "this vault does not allow keys with these operations");
    return CMK_OK;
}

/* Unique among CKA_IDs and version ids alike: both are searched for in CKA_ID. */
static cmk_rc check_cka_id(cmk_view *view, cmk_bytes cka_id)
{
    uint8_t id[CMK_RECORD_ID_MAX];
    size_t len = 0;
    cmk_rc rc = cka_id.len == 0 ? CMK_E_NOT_FOUND : cmk_view_lookup(view, CMK_INDEX_CKA_ID, cka_id, id, &len);
    if (rc == CMK_E_NOT_FOUND && cka_id.len == CMK_ID_SIZE)
        rc = cmk_view_lookup(view, CMK_INDEX_VERSION_ID, cka_id, id, &len);
    if (rc == CMK_OK)
        return cmk_fail(CMK_E_EXISTS, "another key of this vault has that CKA_ID");
    return rc == CMK_E_NOT_FOUND ? CMK_OK : rc;
}

/* Looks where the version would go, and whether it may; row and key are the key's record when *exists. */
static cmk_rc look(const making *m, cmk_view *view, cmk_record *row, cmk_key_rec *key, bool *exists)
{
    uint8_t id[CMK_RECORD_ID_MAX];
    size_t len = 0;
    cmk_id key_id;
    cmk_rc rc = cmk_view_lookup(view, CMK_INDEX_KEY_NAME, m->name, id, &len);
    *exists = rc == CMK_OK;
    if (rc != CMK_OK && rc != CMK_E_NOT_FOUND)
        return rc;
    if (*exists) {
        if (len != CMK_ID_SIZE)
            return cmk_fail(CMK_E_TAMPERED, "a key's name leads to no key");
        memcpy(key_id.b, id, CMK_ID_SIZE);
        rc = cmk_key_read(view, &key_id, row, key);
        if (rc == CMK_OK)
            rc = check_existing(m, key);
    } else {
        rc = check_new(m, view);
    }
    return rc == CMK_OK ? check_cka_id(view, m->spec->cka_id) : rc;
}

/* ---- before the transaction ---- */

static cmk_rc keykey_for_new(making *m)
{
    cmk_record_key rk = cmk_rkey_numbered(&m->vault->id, CMK_KIND_KEYKEY, &m->new_key, 1);
    m->key = m->new_key;
    m->keykey_generation = 1;
    cmk_rc rc = cmk_random(m->keykey.data, CMK_KEY_SIZE);
    return rc == CMK_OK ? cmk_keykey_seal(m->login, &rk, m->vault_key_generation, m->keykey.data, &m->keykey_body) : rc;
}

/* Looks at the vault and readies the key key that the version will be under. */
static cmk_rc plan(making *m)
{
    CMK_VIEW_AUTO *view = NULL;
    CMK_RECORD_AUTO row = {.revision = 0};
    CMK_RECORD_AUTO keykey = {.revision = 0};
    cmk_key_rec key = {.enabled = 0};
    cmk_rc rc = cmk_view_open(m->vault, CMK_TXN_READ, NULL, &view);
    if (rc == CMK_OK)
        rc = look(m, view, &row, &key, &m->exists);
    if (rc == CMK_OK && m->exists) {
        m->key = key.id;
        m->keykey_generation = key.keykey_generation;
        cmk_record_key rk = cmk_rkey_numbered(&m->vault->id, CMK_KIND_KEYKEY, &key.id, key.keykey_generation);
        rc = cmk_view_get(view, &rk, &keykey);
        if (rc == CMK_E_NOT_FOUND)
            rc = cmk_fail(CMK_E_TAMPERED, "the key key of key %.*s is missing", (int)key.name.len,
                          (const char *)key.name.data);
    }
    if (rc == CMK_OK)
        m->vault_key_generation = cmk_view_vault(view)->vault_key_generation;
    cmk_view_close(&view);
    if (rc == CMK_OK)
        rc = cmk_secret_new(&m->keykey, CMK_KEY_SIZE);
    if (rc != CMK_OK)
        return rc;
    return m->exists ? cmk_keykey_open(m->login, &m->key, m->keykey_generation, &keykey, m->keykey.data)
                     : keykey_for_new(m);
}

static cmk_rc make_pair(making *m)
{
    static const uint8_t f4[] = {1, 0, 1};
    cmk_bytes e = m->spec->exponent.len ? m->spec->exponent : cmk_bytes_of(f4, sizeof f4);
    cmk_rc rc = cmk_rsa_generate(m->spec->bits, e, &m->pair);
    if (rc == CMK_OK)
        rc = cmk_rsa_private_export(m->pair, &m->pkcs8);
    if (rc == CMK_OK)
        rc = cmk_rsa_private_public(m->pair, &m->modulus, &m->exponent);
    cmk_buf_u8(&m->certificate, CMK_FORMAT_CERTIFICATE);
    if (rc == CMK_OK)
        rc = cmk_rsa_self_certificate(m->pair, m->name, (int64_t)m->now, &m->certificate);
    if (rc == CMK_OK)
        rc = cmk_buf_ok(&m->certificate);
    return rc;
}

/* ---- the records ---- */

static void key_rec_new(const making *m, cmk_key_rec *key)
{
    *key = (cmk_key_rec){.id = m->key,
                         .name = m->name,
                         .enabled = 1,
                         .created = m->now,
                         .created_by = m->login->principal,
                         .ops = asked_ops(m),
                         .keykey_generation = m->keykey_generation,
                         .tags = cmk_buf_view(&m->tags)};
}

static void version_rec_new(const making *m, const cmk_key_rec *key, cmk_version_rec *v)
{
    uint64_t not_before = (uint64_t)m->spec->not_before;
    uint64_t from = not_before > m->now ? not_before : m->now;
    uint64_t expires = (uint64_t)m->spec->expires;
    if (expires == 0 && key->expires_in != 0 && key->expires_in <= INT64_MAX - from)
        expires = from + key->expires_in;
    *v = (cmk_version_rec){.key = m->key,
                           .id = m->version,
                           .number = key->last_number,
                           .origin = CMK_ORIGIN_GENERATED,
                           .enabled = 1,
                           .created = m->now,
                           .changed = m->now,
                           .not_before = not_before,
                           .expires = expires,
                           .created_by = m->login->principal,
                           .changed_by = m->login->principal,
                           .bits = m->spec->bits,
                           .modulus = cmk_buf_view(&m->modulus),
                           .exponent = cmk_buf_view(&m->exponent),
                           .cka_id = m->spec->cka_id.len ? m->spec->cka_id : cmk_bytes_of(m->version.b, CMK_ID_SIZE),
                           .mechanisms = CMK_VERSION_OAEP | CMK_VERSION_RSA_AES,
                           .keykey_generation = m->keykey_generation};
}

static cmk_rc put_body(cmk_view *view, const cmk_record_key *rk, const cmk_buf *body, uint64_t expected)
{
    cmk_rc rc = cmk_buf_ok(body);
    return rc == CMK_OK ? cmk_view_put_body(view, rk, cmk_buf_view(body), expected) : rc;
}

/* MATERIAL, CERTIFICATE and VERSION with its index leaves. */
static cmk_rc put_version(const making *m, cmk_view *view, const cmk_key_rec *key)
{
    CMK_BUF_AUTO material = CMK_BUF_INIT;
    CMK_BUF_AUTO body = CMK_BUF_INIT;
    cmk_version_rec v;
    version_rec_new(m, key, &v);
    cmk_record_key mk = cmk_rkey_numbered(&m->vault->id, CMK_KIND_MATERIAL, &m->key, v.number);
    cmk_record_key ck = cmk_rkey_numbered(&m->vault->id, CMK_KIND_CERTIFICATE, &m->key, v.number);
    cmk_record_key vk = cmk_rkey_numbered(&m->vault->id, CMK_KIND_VERSION, &m->key, v.number);
    cmk_rc rc =
        cmk_material_seal(&mk, &v.id, v.keykey_generation, m->keykey.data, cmk_secret_view(&m->pkcs8), &material);
    if (rc == CMK_OK)
        rc = cmk_body_hash(&mk, cmk_buf_view(&material), v.material_hash);
    if (rc == CMK_OK)
        rc = cmk_body_hash(&ck, cmk_buf_view(&m->certificate), v.certificate_hash);
    if (rc == CMK_OK)
        rc = put_body(view, &mk, &material, 0);
    if (rc == CMK_OK)
        rc = put_body(view, &ck, &m->certificate, 0);
    cmk_version_rec_encode(&v, &body);
    if (rc == CMK_OK)
        rc = put_body(view, &vk, &body, 0);
    return rc == CMK_OK ? cmk_version_index(view, &v, true) : rc;
}

static cmk_rc put_key(const making *m, cmk_view *view, const cmk_key_rec *key, uint64_t expected)
{
    CMK_BUF_AUTO body = CMK_BUF_INIT;
    cmk_record_key kk = cmk_rkey_numbered(&m->vault->id, CMK_KIND_KEYKEY, &m->key, m->keykey_generation);
    cmk_record_key rk = cmk_rkey_id(&m->vault->id, CMK_KIND_KEY, &m->key);
    cmk_key_rec_encode(key, &body);
    cmk_rc rc = put_body(view, &rk, &body, expected);
    if (rc != CMK_OK || m->exists)
        return rc;
    rc = put_body(view, &kk, &m->keykey_body, 0);
    return rc == CMK_OK ? cmk_view_index(view, CMK_INDEX_KEY_NAME, m->name, m->key.b, CMK_ID_SIZE) : rc;
}

/* CMK_E_CONFLICT when the vault is not any more as planned for. */
static cmk_rc write_records(making *m)
{
    CMK_WRITER_AUTO *w = NULL;
    CMK_VIEW_AUTO *view = NULL;
    CMK_RECORD_AUTO row = {.revision = 0};
    cmk_key_rec key = {.enabled = 0};
    bool exists = false;
    cmk_rc rc = cmk_writer_open(m->login, &w);
    if (rc == CMK_OK)
        rc = cmk_view_open(m->vault, CMK_TXN_WRITE, &w->signers, &view);
    if (rc == CMK_OK)
        rc = cmk_login_check_in(m->login, view);
    if (rc == CMK_OK)
        rc = look(m, view, &row, &key, &exists);
    if (rc != CMK_OK)
        return rc;
    if (exists != m->exists ||
        (exists && (!cmk_id_equal(&key.id, &m->key) || key.keykey_generation != m->keykey_generation)) ||
        cmk_view_vault(view)->vault_key_generation != m->vault_key_generation)
        return cmk_fail(CMK_E_CONFLICT, "somebody else has changed this key at the same time");
    if (!exists)
        key_rec_new(m, &key);
    key.last_number++;
    key.current = key.last_number;
    key.versions++;
    key.changed = m->now;
    key.changed_by = m->login->principal;
    rc = put_version(m, view, &key);
    if (rc == CMK_OK)
        rc = put_key(m, view, &key, exists ? row.revision : 0);
    return rc == CMK_OK ? cmk_view_commit(&view) : rc;
}

static cmk_rc write_with_retries(making *m)
{
    cmk_rc rc = CMK_E_INTERNAL;
    for (unsigned i = 0; i < TRIES; i++) {
        rc = plan(m);
        if (rc == CMK_OK)
            rc = write_records(m);
        if (rc != CMK_E_CONFLICT && (rc != CMK_E_BUSY || i > 0)) /* a busy store has been waited for already */
            break;
    }
    return rc;
}

static cmk_rc prepare(making *m)
{
    cmk_rc rc = check_spec(m->spec, m->now);
    if (rc == CMK_OK)
        rc = encode_tags(m->spec, &m->tags);
    if (rc == CMK_OK)
        rc = cmk_id_new(&m->new_key);
    if (rc == CMK_OK)
        rc = cmk_id_new(&m->version);
    m->name = m->spec->name.len ? m->spec->name : cmk_bytes_str(cmk_id_hex(&m->new_key, m->name_hex));
    if (rc == CMK_OK)
        rc = plan(m); /* refuse what will be refused before seconds go into a pair */
    return rc == CMK_OK ? make_pair(m) : rc;
}

static cmk_rc check_officer(cmk_login *login, cmk_action action)
{
    if (!login)
        return cmk_fail(CMK_E_NOT_LOGGED_IN, "managing keys needs the login of an officer");
    cmk_rc rc = cmk_login_check(login);
    if (rc == CMK_OK && !cmk_policy_allows(login->role, action))
        rc = cmk_fail(CMK_E_FORBIDDEN, "the role %s of %s does not manage keys", cmk_role_name(login->role),
                      login->name);
    return rc;
}

cmk_rc cmk_key_create(cmk_login *login, const cmk_key_spec *spec, cmk_version **out)
{
    if (out)
        *out = NULL;
    if (!spec)
        return cmk_fail(CMK_E_ARGUMENT, "no key specification given");
    cmk_rc rc = check_officer(login, CMK_ACT_KEY_CREATE);
    if (rc != CMK_OK)
        return rc;
    making m = {.login = login, .vault = login->vault, .spec = spec, .now = cmk_record_time()};
    rc = prepare(&m);
    if (rc == CMK_OK)
        rc = cmk_login_check(login); /* making a pair takes long */
    if (rc == CMK_OK)
        rc = write_with_retries(&m);
    if (rc == CMK_OK && out) {
        rc = cmk_version_find(login->vault, CMK_BY_VERSION_ID, cmk_bytes_of(m.version.b, CMK_ID_SIZE), out);
        if (rc == CMK_OK)
            atomic_store(&(*out)->made, true);
    }
    making_clear(&m);
    return rc;
}

/* ---- undo ---- */

/* Removes one record, whatever its revision. One that no tree vouches for may be gone already. */
static cmk_rc remove_record(cmk_view *view, const cmk_record_key *rk)
{
    CMK_RECORD_AUTO row = {.revision = 0};
    cmk_rc rc = cmk_view_get(view, rk, &row);
    if (rc == CMK_E_NOT_FOUND && cmk_kind_tree((cmk_kind)rk->kind) == CMK_TREE_NONE)
        return CMK_OK;
    return rc == CMK_OK ? cmk_view_delete(view, rk, row.revision) : rc;
}

cmk_rc cmk_version_remove(cmk_view *view, const cmk_version_rec *rec)
{
    static const cmk_kind kinds[] = {CMK_KIND_VERSION, CMK_KIND_MATERIAL, CMK_KIND_CERTIFICATE};
    cmk_rc rc = cmk_version_index(view, rec, false);
    for (size_t i = 0; rc == CMK_OK && i < sizeof kinds / sizeof kinds[0]; i++) {
        cmk_record_key rk = cmk_rkey_numbered(&cmk_view_vault(view)->id, kinds[i], &rec->key, rec->number);
        rc = remove_record(view, &rk);
    }
    return rc;
}

cmk_rc cmk_key_remove_empty(cmk_view *view, const cmk_key_rec *key)
{
    CMK_ROWS_AUTO rows = {NULL, 0, 0};
    cmk_record_key rk = cmk_rkey_id(&cmk_view_vault(view)->id, CMK_KIND_KEY, &key->id);
    cmk_rc rc = cmk_rows_read_key(view, CMK_KIND_KEYKEY, &key->id, &rows);
    if (rc == CMK_OK && rows.count == 0)
        rc = cmk_fail(CMK_E_TAMPERED, "the key keys of key %.*s are missing", (int)key->name.len,
                      (const char *)key->name.data);
    for (size_t i = 0; rc == CMK_OK && i < rows.count; i++)
        rc = cmk_view_delete(view, &rows.rows[i].key, rows.rows[i].revision);
    if (rc == CMK_OK)
        rc = cmk_view_index(view, CMK_INDEX_KEY_NAME, key->name, NULL, 0);
    return rc == CMK_OK ? remove_record(view, &rk) : rc;
}

/* The key goes back to the newest of the versions that are left. */
static cmk_rc step_back(cmk_view *view, cmk_login *login, const cmk_record *row, cmk_key_rec *key)
{
    CMK_ROWS_AUTO rows = {NULL, 0, 0};
    CMK_BUF_AUTO body = CMK_BUF_INIT;
    cmk_version_rec newest;
    cmk_rc rc = cmk_rows_read_key(view, CMK_KIND_VERSION, &key->id, &rows);
    /* With one missing, another than the one before would become the current version. */
    if (rc == CMK_OK && (rows.count == 0 || rows.count != key->versions - 1))
        rc = cmk_fail(CMK_E_TAMPERED, "versions of key %.*s are missing", (int)key->name.len,
                      (const char *)key->name.data);
    if (rc == CMK_OK)
        rc = cmk_version_rec_decode(cmk_buf_view(&rows.rows[rows.count - 1].body), &newest);
    if (rc != CMK_OK)
        return rc;
    key->current = newest.number;
    key->versions--;
    key->changed = cmk_record_time();
    key->changed_by = login->principal;
    cmk_key_rec_encode(key, &body);
    return put_body(view, &row->key, &body, row->revision);
}

static cmk_rc undo(cmk_view *view, cmk_login *login, cmk_version *v)
{
    CMK_RECORD_AUTO row = {.revision = 0};
    CMK_RECORD_AUTO version_row = {.revision = 0};
    cmk_key_rec key = {.enabled = 0};
    cmk_version_rec rec;
    cmk_rc rc = cmk_key_read(view, &v->key, &row, &key);
    if (rc == CMK_OK)
        rc = cmk_version_read(view, &v->key, v->number, &version_row, &rec);
    if (rc == CMK_OK &&
        (key.current != rec.number || key.deleted_at != 0 || !cmk_id_equal(&rec.created_by, &login->principal)))
        rc = cmk_fail(CMK_E_ACTION_PROHIBITED, "only the newest version of a key can be undone, by who made it");
    if (rc == CMK_OK)
        rc = cmk_version_remove(view, &rec);
    if (rc != CMK_OK)
        return rc;
    return key.versions <= 1 ? cmk_key_remove_empty(view, &key) : step_back(view, login, &row, &key);
}

static cmk_rc undo_once(cmk_login *login, cmk_version *version)
{
    CMK_WRITER_AUTO *w = NULL;
    CMK_VIEW_AUTO *view = NULL;
    cmk_rc rc = cmk_writer_open(login, &w);
    if (rc == CMK_OK)
        rc = cmk_view_open(login->vault, CMK_TXN_WRITE, &w->signers, &view);
    if (rc == CMK_OK)
        rc = cmk_login_check_in(login, view);
    if (rc == CMK_OK)
        rc = undo(view, login, version);
    return rc == CMK_OK ? cmk_view_commit(&view) : rc;
}

cmk_rc cmk_key_undo_version(cmk_login *login, cmk_version *version)
{
    cmk_rc rc = check_officer(login, CMK_ACT_KEY_CREATE);
    if (rc == CMK_OK && (!version || version->vault != login->vault))
        rc = cmk_fail(CMK_E_ARGUMENT, "the login is for another vault than the version");
    if (rc != CMK_OK)
        return rc;
    /* A wrap says first that it uses the version and looks second whether it is being undone: one of the two gives way.
     */
    atomic_store(&version->undoing, true);
    if (!atomic_load(&version->made) || atomic_load(&version->used))
        rc = cmk_fail(CMK_E_ACTION_PROHIBITED,
                      "this version was not just made here, or was used since; delete the key instead");
    for (unsigned i = 0; rc == CMK_OK || (rc == CMK_E_CONFLICT && i < TRIES); i++) {
        rc = undo_once(login, version);
        if (rc == CMK_OK)
            break;
    }
    if (rc == CMK_OK)
        cmk_prepared_drop(login, version);
    else
        atomic_store(&version->undoing, false);
    return rc;
}
