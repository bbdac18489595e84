/* Token objects other than KEKs: records of the object tree. A handle keeps the sealed row that was last verified;
 * contents that were opened live with the login (prepared.c). */
#include <stdlib.h>
#include <string.h>

#include "token/object.h"
#include "util/log.h"

#define HANDLES_MAX 16384
#define PIECE 512

struct cmk_object_cache {
    cmk_cache *handles; /* id → cmk_object */
};

cmk_object_cache *cmk_object_cache_new(void)
{
    cmk_object_cache *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->handles = cmk_cache_new("objects", HANDLES_MAX);
    if (!c->handles) {
        free(c);
        return NULL;
    }
    return c;
}

void cmk_object_cache_free(cmk_object_cache *c)
{
    if (!c)
        return;
    cmk_cache_free(c->handles);
    free(c);
}

/* ---- handles and rows ---- */

static void sealed_destroy(cmk_ref *ref)
{
    cmk_sealed *s = (cmk_sealed *)ref;
    cmk_buf_free(&s->body);
    free(s);
}

void cmk_sealed_put(cmk_sealed **s)
{
    if (*s)
        cmk_ref_put(&(*s)->ref);
    *s = NULL;
}

cmk_rc cmk_sealed_new(const cmk_record_key *rk, uint64_t revision, cmk_bytes body, cmk_sealed **out)
{
    CMK_SEALED_AUTO *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return cmk_fail(CMK_E_NO_MEMORY, "no memory for an object");
    cmk_ref_init(&s->ref, sealed_destroy);
    s->revision = revision;
    cmk_buf_add(&s->body, body.data, body.len);
    cmk_rc rc = cmk_buf_ok(&s->body);
    if (rc == CMK_OK)
        rc = cmk_object_rec_decode(cmk_buf_view(&s->body), &s->rec);
    if (rc == CMK_OK && (rk->id_len != CMK_ID_SIZE || memcmp(rk->id, s->rec.id.b, CMK_ID_SIZE) != 0))
        rc = cmk_fail(CMK_E_TAMPERED, "an object record names another object than it is stored for");
    if (rc != CMK_OK)
        return rc;
    *out = s;
    s = NULL;
    return CMK_OK;
}

static void object_destroy(cmk_ref *ref)
{
    cmk_object *o = (cmk_object *)ref;
    cmk_sealed_put(&o->row);
    cmk_mutex_destroy(&o->lock);
    free(o);
}

cmk_object *cmk_object_take(cmk_object *object)
{
    if (object)
        cmk_ref_take(&object->ref);
    return object;
}

void cmk_object_put(cmk_object *object)
{
    if (object)
        cmk_ref_put(&object->ref);
}

const cmk_id *cmk_object_id(const cmk_object *object)
{
    return &object->id;
}

bool cmk_object_is_private(const cmk_object *object)
{
    return object->is_private;
}

/* Private and public ones apart: the row that a handle is made for may not have been verified yet. */
static void handle_key(const cmk_id *id, bool is_private, uint8_t key[CMK_ID_SIZE + 1])
{
    memcpy(key, id->b, CMK_ID_SIZE);
    key[CMK_ID_SIZE] = is_private;
}

cmk_rc cmk_object_handle(cmk_vault *vault, const cmk_id *id, bool is_private, cmk_object **out)
{
    uint8_t key[CMK_ID_SIZE + 1];
    cmk_cache *handles = vault->objects->handles;
    handle_key(id, is_private, key);
    cmk_object *o = (cmk_object *)cmk_cache_get(handles, cmk_bytes_of(key, sizeof key), NULL);
    if (!o) {
        cmk_object *made = calloc(1, sizeof *made);
        if (!made)
            return cmk_fail(CMK_E_NO_MEMORY, "no memory for an object");
        cmk_ref_init(&made->ref, object_destroy);
        cmk_mutex_init(&made->lock, CMK_RANK_LEAF, "object");
        made->vault = vault;
        made->id = *id;
        made->is_private = is_private;
        o = (cmk_object *)cmk_cache_keep(handles, cmk_bytes_of(key, sizeof key), 0, &made->ref);
        cmk_object_put(made);
    }
    *out = o;
    return CMK_OK;
}

void cmk_object_forget(cmk_vault *vault, const cmk_id *id)
{
    uint8_t key[CMK_ID_SIZE + 1];
    for (int is_private = 0; is_private < 2; is_private++) {
        handle_key(id, is_private, key);
        cmk_cache_drop(vault->objects->handles, cmk_bytes_of(key, sizeof key));
    }
}

cmk_sealed *cmk_object_row_take(cmk_object *o, uint64_t *generation)
{
    CMK_WITH_MUTEX(&o->lock);
    if (generation)
        *generation = o->generation;
    if (o->row)
        cmk_ref_take(&o->row->ref);
    return o->row;
}

void cmk_object_row_set(cmk_object *o, cmk_sealed *row, uint64_t generation)
{
    cmk_ref_take(&row->ref);
    cmk_mutex_lock(&o->lock);
    cmk_sealed *old = o->row;
    if (old && old->revision > row->revision && old->by_tree) {
        old = row; /* another thread has seen a newer one meanwhile */
    } else {
        o->row = row;
        o->generation = generation;
    }
    cmk_mutex_unlock(&o->lock);
    cmk_sealed_put(&old);
}

/* Makes a row that was read through view the object's, verified by its author's signature unless the tree has vouched
 * for it. One that is the same as before costs a comparison. */
static cmk_rc absorb(cmk_object *o, cmk_view *view, const cmk_record *record, bool by_tree, uint64_t generation,
                     cmk_sealed **out)
{
    uint64_t admin = cmk_view_change(view, CMK_TREE_ADMIN);
    cmk_sealed *old = cmk_object_row_take(o, NULL);
    bool same = old && old->revision == record->revision &&
                cmk_bytes_equal(cmk_buf_view(&old->body), cmk_buf_view(&record->body));
    if (same && (by_tree ? old->by_tree : (old->by_tree || old->admin_change == admin))) {
        cmk_object_row_set(o, old, generation);
        *out = old;
        return CMK_OK;
    }
    cmk_sealed_put(&old);
    CMK_SEALED_AUTO *s = NULL;
    cmk_rc rc = cmk_sealed_new(&record->key, record->revision, cmk_buf_view(&record->body), &s);
    if (rc == CMK_OK && (s->rec.is_private != 0) != o->is_private)
        rc = cmk_fail(CMK_E_TAMPERED, "an object has changed from private to public or back");
    if (rc == CMK_OK && !by_tree)
        rc = s->rec.is_private ? CMK_E_NOT_LOGGED_IN
                               : cmk_object_check_author(view, &record->key, record->revision, &s->rec);
    if (rc != CMK_OK)
        return rc;
    s->by_tree = by_tree;
    s->admin_change = by_tree ? 0 : admin;
    cmk_object_row_set(o, s, generation);
    *out = s;
    s = NULL;
    return CMK_OK;
}

/* ---- who asks ---- */

/* May login see private objects and use values? Brings the vault up to date in any case. */
cmk_rc cmk_object_entrance(cmk_vault *vault, cmk_login *login, bool *all)
{
    *all = false;
    if (!vault || (login && login->vault != vault))
        return cmk_fail(CMK_E_ARGUMENT, "the login is for another vault than the object");
    cmk_rc rc = login ? cmk_login_check(login) : cmk_vault_refresh(vault);
    if (rc != CMK_OK || !login)
        return rc;
    cmk_rwlock_read(&login->lock);
    bool key = login->unlocked && cmk_login_key(login, CMK_SEAL_OBJECT_KEY, NULL, 0, NULL);
    cmk_rwlock_unlock(&login->lock);
    *all = key && cmk_policy_allows(login->role, CMK_ACT_OBJECT_USE);
    return CMK_OK;
}

cmk_rc cmk_object_view(cmk_vault *vault, cmk_login *login, cmk_txn_mode mode, cmk_writer **w, cmk_view **view)
{
    cmk_rc rc = login ? cmk_writer_open(login, w) : CMK_OK;
    return rc == CMK_OK ? cmk_view_open(vault, mode, login ? &(*w)->signers : NULL, view) : rc;
}

/* The row as it is now; login (which has the object key) NULL: verified by the author's signature. */
cmk_rc cmk_object_current(cmk_object *o, cmk_login *login, cmk_sealed **out)
{
    CMK_WRITER_AUTO *w = NULL;
    CMK_VIEW_AUTO *view = NULL;
    CMK_RECORD_AUTO row = {.revision = 0};
    uint64_t at = 0;
    uint64_t now = atomic_load(&o->vault->generation);
    cmk_record_key rk = cmk_rkey_id(&o->vault->id, CMK_KIND_OBJECT, &o->id);
    *out = cmk_object_row_take(o, &at);
    if (*out && now != 0 && at == now && (!login || (*out)->by_tree))
        return CMK_OK;
    cmk_sealed_put(out);
    cmk_rc rc = cmk_object_view(o->vault, login, CMK_TXN_READ, &w, &view);
    if (rc == CMK_OK)
        rc = login ? cmk_view_get(view, &rk, &row) : cmk_txn_get(cmk_view_txn(view), &rk, &row);
    if (rc == CMK_OK)
        rc = absorb(o, view, &row, login != NULL, now, out);
    if (rc == CMK_E_NOT_FOUND)
        rc = cmk_fail(rc, "the object is not there any more");
    return rc;
}

/* ---- reading ---- */

static cmk_rc check_private(const cmk_object *o, const cmk_login *login, bool all)
{
    if (!o->is_private || all)
        return CMK_OK;
    if (!login)
        return cmk_fail(CMK_E_NOT_LOGGED_IN, "a private object needs a login");
    return cmk_fail(CMK_E_FORBIDDEN, "the role %s of %s does not see private objects", cmk_role_name(login->role),
                    login->name);
}

/* What is in the blob, kept with the login. */
cmk_rc cmk_object_opened(cmk_object *o, cmk_login *login, const cmk_sealed *s, cmk_opened **out)
{
    *out = cmk_opened_get(login, &o->id, s->revision);
    if (*out)
        return CMK_OK;
    cmk_record_key rk = cmk_rkey_id(&o->vault->id, CMK_KIND_OBJECT, &o->id);
    cmk_rc rc = cmk_object_open(login, &rk, s->revision, &s->rec, out);
    if (rc == CMK_OK)
        cmk_opened_keep(login, &o->id, s->revision, *out);
    return rc;
}

cmk_rc cmk_object_attributes(cmk_login *login, cmk_object *object, cmk_buf *out)
{
    CMK_SEALED_AUTO *s = NULL;
    cmk_opened *content = NULL;
    bool all = false;
    if (!object || !out)
        return cmk_fail(CMK_E_ARGUMENT, "no object given");
    cmk_rc rc = cmk_object_entrance(object->vault, login, &all);
    if (rc == CMK_OK)
        rc = check_private(object, login, all);
    if (rc == CMK_OK)
        rc = cmk_object_current(object, all ? login : NULL, &s);
    if (rc == CMK_OK && object->is_private)
        rc = cmk_object_opened(object, login, s, &content);
    if (rc != CMK_OK)
        return rc;
    cmk_bytes attributes = content ? cmk_secret_view(&content->attributes) : s->rec.attributes;
    cmk_buf_add(out, attributes.data, attributes.len);
    if (content)
        cmk_ref_put(&content->ref);
    return cmk_buf_ok(out);
}

cmk_rc cmk_object_value(cmk_login *login, cmk_object *object, cmk_secret *out)
{
    CMK_SEALED_AUTO *s = NULL;
    cmk_opened *content = NULL;
    bool all = false;
    if (!object || !out)
        return cmk_fail(CMK_E_ARGUMENT, "no object given");
    cmk_rc rc = cmk_object_entrance(object->vault, login, &all);
    if (rc == CMK_OK && !all)
        rc = login ? cmk_fail(CMK_E_FORBIDDEN, "the role %s of %s does not use objects", cmk_role_name(login->role),
                              login->name)
                   : cmk_fail(CMK_E_NOT_LOGGED_IN, "the value of an object needs a login");
    if (rc == CMK_OK)
        rc = cmk_object_current(object, login, &s);
    if (rc == CMK_OK)
        rc = cmk_object_opened(object, login, s, &content);
    if (rc != CMK_OK)
        return rc;
    rc = cmk_secret_copy(out, cmk_secret_view(&content->value));
    cmk_ref_put(&content->ref);
    return rc;
}

/* ---- listing ---- */

typedef struct listing {
    cmk_vault *vault;
    cmk_view *view;
    bool by_tree;
    uint64_t generation;
    size_t rows; /* seen, whether or not they may be shown */
    cmk_record_key last;
    cmk_object **found;
    size_t count, cap;
} listing;

static cmk_rc listing_add(listing *l, cmk_object *o)
{
    if (l->count == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 16;
        cmk_object **found = realloc(l->found, cap * sizeof(cmk_object *));
        if (!found)
            return cmk_fail(CMK_E_NO_MEMORY, "no memory for a listing of %zu objects", cap);
        l->found = found;
        l->cap = cap;
    }
    l->found[l->count++] = o;
    return CMK_OK;
}

static cmk_rc list_row(void *ctx, const cmk_record *record)
{
    listing *l = ctx;
    CMK_SEALED_AUTO *s = NULL;
    cmk_object *o = NULL;
    cmk_object_rec rec;
    l->rows++;
    l->last = record->key;
    cmk_rc rc = l->by_tree ? cmk_view_verify(l->view, record) : CMK_OK;
    if (rc == CMK_OK)
        rc = cmk_object_rec_decode(cmk_buf_view(&record->body), &rec);
    if (rc != CMK_OK || (rec.is_private && !l->by_tree))
        return rc;
    rc = cmk_object_handle(l->vault, &rec.id, rec.is_private != 0, &o);
    if (rc == CMK_OK)
        rc = absorb(o, l->view, record, l->by_tree, l->generation, &s);
    if (rc == CMK_OK) {
        rc = listing_add(l, o);
        if (rc == CMK_OK)
            return rc;
    }
    cmk_object_put(o);
    if (rc != CMK_E_NOT_FOUND)
        return rc;
    cmk_log_once(CMK_LOG_WARN, "object author", "%s", cmk_fail_detail());
    return CMK_OK;
}

static cmk_rc list_all(listing *l)
{
    cmk_rc rc = CMK_E_INTERNAL;
    size_t before;
    l->last.id_len = 0;
    do {
        before = l->rows;
        cmk_record_key after = l->last;
        rc = cmk_txn_list_after(cmk_view_txn(l->view), &l->vault->id, CMK_KIND_OBJECT,
                                cmk_bytes_of(after.id, after.id_len), PIECE, list_row, l);
    } while (rc == CMK_OK && l->rows - before == PIECE);
    if (rc == CMK_OK && l->by_tree && l->rows != cmk_view_count(l->view, CMK_KIND_OBJECT))
        rc = cmk_fail(CMK_E_TAMPERED, "%u objects are signed for, %zu are there",
                      cmk_view_count(l->view, CMK_KIND_OBJECT), l->rows);
    return rc;
}

static cmk_rc list_by(listing *l, const cmk_writer *w, const cmk_object_by *by)
{
    uint8_t value[CMK_SHA256_SIZE];
    cmk_index number = by->label ? CMK_INDEX_OBJECT_LABEL : CMK_INDEX_OBJECT_ID;
    cmk_txn *txn = cmk_view_txn(l->view);
    cmk_rc rc = cmk_object_index_public(&l->vault->id, number, by->value, value);
    if (rc == CMK_OK)
        rc = cmk_txn_find(txn, &l->vault->id, CMK_KIND_OBJECT, (uint8_t)number, cmk_bytes_of(value, sizeof value),
                          list_row, l);
    if (rc == CMK_OK && w)
        rc = cmk_object_index_private(w->object_index, number, by->value, value);
    if (rc == CMK_OK && w)
        rc = cmk_txn_find(txn, &l->vault->id, CMK_KIND_OBJECT, (uint8_t)number, cmk_bytes_of(value, sizeof value),
                          list_row, l);
    return rc;
}

static cmk_rc list_read(listing *l, cmk_login *login, const cmk_object_by *by)
{
    CMK_WRITER_AUTO *w = NULL;
    CMK_VIEW_AUTO *view = NULL;
    l->generation = atomic_load(&l->vault->generation);
    cmk_rc rc = cmk_object_view(l->vault, login, CMK_TXN_READ, &w, &view);
    l->view = view;
    if (rc == CMK_OK)
        rc = by ? list_by(l, w, by) : list_all(l);
    return rc;
}

cmk_rc cmk_object_each(cmk_vault *vault, cmk_login *login, const cmk_object_by *by,
                       cmk_rc (*visit)(void *ctx, cmk_object *object), void *ctx)
{
    bool all = false;
    cmk_rc rc = visit ? cmk_object_entrance(vault, login, &all) : cmk_fail(CMK_E_ARGUMENT, "no visitor given");
    if (rc != CMK_OK)
        return rc;
    listing l = {.vault = vault, .by_tree = all};
    rc = list_read(&l, all ? login : NULL, by);
    for (size_t i = 0; rc == CMK_OK && i < l.count; i++)
        rc = visit(ctx, l.found[i]);
    for (size_t i = 0; i < l.count; i++)
        cmk_object_put(l.found[i]);
    free(l.found);
    return rc;
}
