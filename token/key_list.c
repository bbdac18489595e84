/* Reading keys and versions: by name, and whole listings, which are checked against what the signed root counts.
 * Visitors are called after the transaction, so they may use the vault themselves. */
#include <stdlib.h>
#include <string.h>

#include "token/key.h"
#include "token/prepared.h"

#define PIECE 512

/* ---- rows ---- */

void cmk_rows_free(cmk_rows *r)
{
    for (size_t i = 0; i < r->count; i++)
        cmk_buf_free(&r->rows[i].body);
    free(r->rows);
    *r = (cmk_rows){NULL, 0, 0};
}

typedef struct collecting {
    cmk_view *view;
    cmk_rows *rows;
} collecting;

static cmk_rc collect(void *ctx, const cmk_record *record)
{
    collecting *c = ctx;
    cmk_rows *r = c->rows;
    cmk_rc rc = cmk_view_verify(c->view, record);
    if (rc != CMK_OK)
        return rc;
    if (r->count == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 16;
        cmk_row *rows = realloc(r->rows, cap * sizeof *rows);
        if (!rows)
            return cmk_fail(CMK_E_NO_MEMORY, "no memory for a listing of %zu records", cap);
        r->rows = rows;
        r->cap = cap;
    }
    cmk_row *row = &r->rows[r->count++];
    *row = (cmk_row){.key = record->key, .revision = record->revision};
    cmk_buf_add(&row->body, record->body.data, record->body.len);
    return cmk_buf_ok(&row->body);
}

cmk_rc cmk_rows_read(cmk_view *view, cmk_kind kind, cmk_rows *out)
{
    collecting c = {view, out};
    cmk_rc rc = CMK_E_INTERNAL;
    size_t before;
    do {
        before = out->count;
        cmk_record_key last = {.id_len = 0};
        if (before > 0)
            last = out->rows[before - 1].key;
        rc = cmk_txn_list_after(cmk_view_txn(view), &cmk_view_vault(view)->id, (uint8_t)kind,
                                cmk_bytes_of(last.id, last.id_len), PIECE, collect, &c);
    } while (rc == CMK_OK && out->count - before == PIECE);
    if (rc == CMK_OK && out->count != cmk_view_count(view, kind))
        rc = cmk_fail(CMK_E_TAMPERED, "%u %s records are signed for, %zu are there", cmk_view_count(view, kind),
                      cmk_kind_name(kind), out->count);
    return rc;
}

cmk_rc cmk_rows_read_key(cmk_view *view, cmk_kind kind, const cmk_id *key, cmk_rows *out)
{
    collecting c = {view, out};
    return cmk_txn_list(cmk_view_txn(view), &cmk_view_vault(view)->id, (uint8_t)kind, cmk_bytes_of(key->b, CMK_ID_SIZE),
                        collect, &c);
}

/* ---- keys ---- */

static cmk_rc fill_tags(cmk_bytes tags, cmk_key_info *out)
{
    cmk_reader r = cmk_reader_of(tags);
    while (r.left > 0 && !r.failed && out->tag_count < CMK_TAGS_MAX) {
        cmk_tag *t = &out->tags[out->tag_count++];
        cmk_bytes name = cmk_read_str(&r, CMK_TAG_NAME_MAX);
        cmk_bytes value = cmk_read_str(&r, CMK_TAG_VALUE_MAX);
        if (name.len)
            memcpy(t->name, name.data, name.len);
        if (value.len)
            memcpy(t->value, value.data, value.len);
    }
    return cmk_reader_end(&r);
}

cmk_rc cmk_key_fill_info(const cmk_key_rec *rec, cmk_key_info *out)
{
    memset(out, 0, sizeof *out);
    out->id = rec->id;
    memcpy(out->name, rec->name.data, rec->name.len < CMK_KEY_NAME_MAX ? rec->name.len : CMK_KEY_NAME_MAX);
    out->enabled = rec->enabled != 0;
    out->created = (int64_t)rec->created;
    out->changed = (int64_t)rec->changed;
    out->deleted_at = (int64_t)rec->deleted_at;
    out->purge_at = (int64_t)rec->purge_at;
    out->current = rec->current;
    out->versions = rec->versions;
    out->ops = rec->ops;
    out->rotate_every = rec->rotate_every;
    out->rotate_before_expiry = rec->rotate_before_expiry;
    out->expires_in = rec->expires_in;
    return fill_tags(rec->tags, out);
}

/* A read view of the vault as it is now. */
static cmk_rc open_fresh(cmk_vault *vault, cmk_view **view)
{
    if (!vault)
        return cmk_fail(CMK_E_ARGUMENT, "no vault given");
    cmk_rc rc = cmk_vault_refresh(vault);
    return rc == CMK_OK ? cmk_view_open(vault, CMK_TXN_READ, NULL, view) : rc;
}

cmk_rc cmk_key_find(cmk_vault *vault, cmk_bytes name, bool deleted_too, cmk_key_info *out)
{
    CMK_VIEW_AUTO *view = NULL;
    CMK_RECORD_AUTO row = {.revision = 0};
    cmk_key_rec rec;
    cmk_id key;
    uint8_t id[CMK_RECORD_ID_MAX];
    size_t len = 0;
    if (name.len == 0 || !out)
        return cmk_fail(CMK_E_ARGUMENT, "looking up a key needs a name");
    cmk_rc rc = open_fresh(vault, &view);
    if (rc == CMK_OK)
        rc = cmk_view_lookup(view, CMK_INDEX_KEY_NAME, name, id, &len);
    if (rc == CMK_OK && len != CMK_ID_SIZE)
        rc = cmk_fail(CMK_E_TAMPERED, "a key's name leads to no key");
    if (rc == CMK_OK) {
        memcpy(key.b, id, CMK_ID_SIZE);
        rc = cmk_key_read(view, &key, &row, &rec);
    }
    if (rc == CMK_E_NOT_FOUND || (rc == CMK_OK && rec.deleted_at != 0 && !deleted_too)) {
        char text[CMK_KEY_NAME_MAX + 1];
        return cmk_fail(CMK_E_NOT_FOUND, "there is no key %s", cmk_printable(name, text, sizeof text));
    }
    return rc == CMK_OK ? cmk_key_fill_info(&rec, out) : rc;
}

typedef struct named_row {
    cmk_bytes name;
    const cmk_row *row;
} named_row;

static int by_name(const void *a, const void *b)
{
    const named_row *x = a;
    const named_row *y = b;
    size_t n = x->name.len < y->name.len ? x->name.len : y->name.len;
    int d = memcmp(x->name.data, y->name.data, n);
    return d != 0 ? d : (x->name.len > y->name.len) - (x->name.len < y->name.len);
}

/* The rows that are (or are not) of deleted keys, by name. */
static cmk_rc sort_rows(const cmk_rows *rows, bool deleted, named_row **out, size_t *count)
{
    named_row *list = calloc(rows->count + 1, sizeof *list);
    cmk_rc rc = list ? CMK_OK : cmk_fail(CMK_E_NO_MEMORY, "no memory for a listing of %zu keys", rows->count);
    *count = 0;
    for (size_t i = 0; rc == CMK_OK && i < rows->count; i++) {
        cmk_key_rec rec;
        rc = cmk_key_rec_decode(cmk_buf_view(&rows->rows[i].body), &rec);
        if (rc == CMK_OK && (rec.deleted_at != 0) == deleted)
            list[(*count)++] = (named_row){rec.name, &rows->rows[i]};
    }
    if (rc == CMK_OK)
        qsort(list, *count, sizeof *list, by_name);
    *out = list;
    return rc;
}

cmk_rc cmk_key_list(cmk_vault *vault, bool deleted, cmk_rc (*visit)(void *ctx, const cmk_key_info *key), void *ctx)
{
    CMK_VIEW_AUTO *view = NULL;
    CMK_ROWS_AUTO rows = {NULL, 0, 0};
    named_row *list = NULL;
    size_t count = 0;
    cmk_rc rc = open_fresh(vault, &view);
    if (rc == CMK_OK)
        rc = cmk_rows_read(view, CMK_KIND_KEY, &rows);
    cmk_view_close(&view);
    if (rc == CMK_OK)
        rc = sort_rows(&rows, deleted, &list, &count);
    cmk_key_info *info = rc == CMK_OK ? malloc(sizeof *info) : NULL;
    if (rc == CMK_OK && !info)
        rc = cmk_fail(CMK_E_NO_MEMORY, "no memory for a key's description");
    for (size_t i = 0; rc == CMK_OK && i < count; i++) {
        cmk_key_rec rec;
        rc = cmk_key_rec_decode(cmk_buf_view(&list[i].row->body), &rec);
        if (rc == CMK_OK)
            rc = cmk_key_fill_info(&rec, info);
        if (rc == CMK_OK)
            rc = visit(ctx, info);
    }
    free(info);
    free(list);
    return rc;
}

/* ---- versions ---- */

typedef struct version_list {
    cmk_version **v;
    size_t count;
} version_list;

static void version_list_free(version_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        cmk_version_put(l->v[i]);
    free(l->v);
    *l = (version_list){NULL, 0};
}

/* Makes objects of all version rows; both listings ascend by key id, so they are walked side by side. */
static cmk_rc join_all(cmk_vault *vault, cmk_view *view, const cmk_rows *keys, const cmk_rows *versions,
                       version_list *out)
{
    cmk_rc rc = CMK_OK;
    size_t next = 0; /* the first row of keys that was not looked at */
    cmk_key_rec key = {.enabled = 0};
    for (size_t i = 0; rc == CMK_OK && i < versions->count; i++) {
        cmk_version_rec rec;
        rc = cmk_version_rec_decode(cmk_buf_view(&versions->rows[i].body), &rec);
        while (rc == CMK_OK && !cmk_id_equal(&rec.key, &key.id))
            rc = next < keys->count ? cmk_key_rec_decode(cmk_buf_view(&keys->rows[next++].body), &key)
                                    : cmk_fail(CMK_E_TAMPERED, "a version belongs to no key");
        if (rc != CMK_OK || key.deleted_at != 0)
            continue;
        rc = cmk_version_of_records(vault, view, &key, &rec, false, &out->v[out->count]);
        if (rc == CMK_OK)
            out->count++;
    }
    return rc;
}

static cmk_rc join_current(cmk_vault *vault, cmk_view *view, const cmk_rows *keys, version_list *out)
{
    cmk_rc rc = CMK_OK;
    for (size_t i = 0; rc == CMK_OK && i < keys->count; i++) {
        CMK_RECORD_AUTO row = {.revision = 0};
        cmk_key_rec key;
        cmk_version_rec rec;
        rc = cmk_key_rec_decode(cmk_buf_view(&keys->rows[i].body), &key);
        if (rc != CMK_OK || key.deleted_at != 0)
            continue;
        rc = cmk_version_read(view, &key.id, key.current, &row, &rec);
        if (rc == CMK_E_NOT_FOUND)
            rc = cmk_fail(CMK_E_TAMPERED, "the current version of key %.*s is missing", (int)key.name.len,
                          (const char *)key.name.data);
        if (rc == CMK_OK)
            rc = cmk_version_of_records(vault, view, &key, &rec, false, &out->v[out->count]);
        if (rc == CMK_OK)
            out->count++;
    }
    return rc;
}

static cmk_rc read_versions(cmk_vault *vault, bool all, version_list *out)
{
    CMK_VIEW_AUTO *view = NULL;
    CMK_ROWS_AUTO keys = {NULL, 0, 0};
    CMK_ROWS_AUTO versions = {NULL, 0, 0};
    cmk_rc rc = open_fresh(vault, &view);
    if (rc == CMK_OK)
        rc = cmk_rows_read(view, CMK_KIND_KEY, &keys);
    if (rc == CMK_OK && all)
        rc = cmk_rows_read(view, CMK_KIND_VERSION, &versions);
    if (rc != CMK_OK)
        return rc;
    out->v = calloc((all ? versions.count : keys.count) + 1, sizeof(cmk_version *));
    if (!out->v)
        return cmk_fail(CMK_E_NO_MEMORY, "no memory for a listing of versions");
    return all ? join_all(vault, view, &keys, &versions, out) : join_current(vault, view, &keys, out);
}

cmk_rc cmk_version_each(cmk_vault *vault, bool all, cmk_rc (*visit)(void *ctx, cmk_version *version), void *ctx)
{
    version_list list = {NULL, 0};
    cmk_rc rc = read_versions(vault, all, &list);
    for (size_t i = 0; rc == CMK_OK && i < list.count; i++)
        rc = visit(ctx, list.v[i]);
    version_list_free(&list);
    return rc;
}

static cmk_rc read_versions_of_key(cmk_vault *vault, const cmk_id *key_id, version_list *out)
{
    CMK_VIEW_AUTO *view = NULL;
    CMK_RECORD_AUTO row = {.revision = 0};
    CMK_ROWS_AUTO rows = {NULL, 0, 0};
    cmk_key_rec key = {.enabled = 0};
    cmk_rc rc = open_fresh(vault, &view);
    if (rc == CMK_OK)
        rc = cmk_key_read(view, key_id, &row, &key);
    if (rc == CMK_OK)
        rc = cmk_rows_read_key(view, CMK_KIND_VERSION, key_id, &rows);
    if (rc == CMK_OK && rows.count != key.versions)
        rc = cmk_fail(CMK_E_TAMPERED, "key %.*s has %u versions, of which %zu are there", (int)key.name.len,
                      (const char *)key.name.data, key.versions, rows.count);
    if (rc != CMK_OK)
        return rc;
    out->v = calloc(rows.count + 1, sizeof(cmk_version *));
    if (!out->v)
        return cmk_fail(CMK_E_NO_MEMORY, "no memory for a listing of versions");
    for (size_t i = rows.count; rc == CMK_OK && i-- > 0;) {
        cmk_version_rec rec;
        rc = cmk_version_rec_decode(cmk_buf_view(&rows.rows[i].body), &rec);
        if (rc == CMK_OK)
            rc = cmk_version_of_records(vault, view, &key, &rec, false, &out->v[out->count]);
        if (rc == CMK_OK)
            out->count++;
    }
    return rc;
}

cmk_rc cmk_key_versions(cmk_vault *vault, const cmk_id *key,
                        cmk_rc (*visit)(void *ctx, const cmk_version_info *version), void *ctx)
{
    version_list list = {NULL, 0};
    cmk_version_info info;
    cmk_version_state s = {.gone = true};
    cmk_rc rc = key && visit ? read_versions_of_key(vault, key, &list)
                             : cmk_fail(CMK_E_ARGUMENT, "listing versions needs a key and a visitor");
    for (size_t i = 0; rc == CMK_OK && i < list.count; i++) {
        rc = cmk_version_state_get(list.v[i], &s);
        if (rc != CMK_OK || s.gone)
            continue;
        cmk_version_fill_info(list.v[i], &s, &info);
        rc = visit(ctx, &info);
    }
    version_list_free(&list);
    return rc;
}

/* ---- certificates ---- */

/* One view: a version that goes away meanwhile must not look like a row that was taken away. */
static cmk_rc certificate_read(cmk_version *v, cmk_record *out)
{
    CMK_VIEW_AUTO *view = NULL;
    CMK_RECORD_AUTO key_row = {.revision = 0};
    CMK_RECORD_AUTO row = {.revision = 0};
    cmk_key_rec key = {.enabled = 0};
    cmk_version_rec rec;
    const cmk_record_key rk = cmk_rkey_numbered(&v->vault->id, CMK_KIND_CERTIFICATE, &v->key, v->number);
    cmk_rc rc = open_fresh(v->vault, &view);
    if (rc == CMK_OK)
        rc = cmk_key_read(view, &v->key, &key_row, &key);
    if (rc == CMK_OK)
        rc = cmk_version_read(view, &v->key, v->number, &row, &rec);
    if (rc == CMK_E_NOT_FOUND || (rc == CMK_OK && key.deleted_at != 0))
        return cmk_fail(CMK_E_NOT_FOUND, "this version is not there any more");
    if (rc == CMK_OK)
        rc = cmk_view_get(view, &rk, out);
    return rc == CMK_E_NOT_FOUND ? cmk_fail(CMK_E_TAMPERED, "the certificate of a version is missing") : rc;
}

cmk_rc cmk_version_certificate(cmk_version *version, cmk_buf *der)
{
    CMK_RECORD_AUTO row = {.revision = 0};
    uint8_t hash[CMK_SHA256_SIZE];
    if (!version || !der)
        return cmk_fail(CMK_E_ARGUMENT, "no version given");
    cmk_rc rc = certificate_read(version, &row);
    if (rc == CMK_OK)
        rc = cmk_body_hash(&row.key, cmk_buf_view(&row.body), hash);
    if (rc == CMK_OK && memcmp(hash, version->certificate_hash, sizeof hash) != 0)
        rc = cmk_fail(CMK_E_TAMPERED, "a certificate is not the one that its version record names");
    if (rc == CMK_OK && (row.body.len < 2 || row.body.data[0] != CMK_FORMAT_CERTIFICATE))
        rc = cmk_fail(CMK_E_FORMAT, "a certificate record has an unknown format");
    if (rc != CMK_OK)
        return rc;
    cmk_buf_add(der, row.body.data + 1, row.body.len - 1);
    return cmk_buf_ok(der);
}
