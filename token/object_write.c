/* Making, changing and destroying token objects. */
#include <string.h>

#include "token/object.h"

#define ATTRIBUTES_MAX ((size_t)512 * 1024)
#define TRIES 8 /* another writer was faster */

static cmk_rc check_spec(const cmk_object_spec *spec)
{
    if (!spec)
        return cmk_fail(CMK_E_ARGUMENT, "no object specification given");
    if (spec->value.len > CMK_OBJECT_VALUE_MAX)
        return cmk_fail(CMK_E_LIMIT, "the value of an object has at most %d bytes", CMK_OBJECT_VALUE_MAX);
    if (spec->attributes.len > ATTRIBUTES_MAX)
        return cmk_fail(CMK_E_LIMIT, "the attributes of an object have at most %zu bytes", ATTRIBUTES_MAX);
    return CMK_OK;
}

static cmk_rc may(cmk_login *login, cmk_vault *vault, cmk_action action)
{
    bool all = false;
    if (!login)
        return cmk_fail(CMK_E_NOT_LOGGED_IN, "changing objects needs a login");
    cmk_rc rc = cmk_object_entrance(vault, login, &all);
    if (rc == CMK_OK && (!all || !cmk_policy_allows(login->role, action)))
        rc = cmk_fail(CMK_E_FORBIDDEN, "the role %s of %s does not change token objects", cmk_role_name(login->role),
                      login->name);
    return rc;
}

static cmk_rc add_index(cmk_record *row, const cmk_writer *w, bool is_private, cmk_index number, cmk_bytes value)
{
    cmk_index_entry *e = &row->index[row->index_count++];
    e->number = (uint8_t)number;
    e->len = CMK_SHA256_SIZE;
    return is_private ? cmk_object_index_private(w->object_index, number, value, e->value)
                      : cmk_object_index_public(&row->key.vault, number, value, e->value);
}

/* Seals and writes one revision of an object. */
static cmk_rc put_object(cmk_view *view, cmk_login *login, const cmk_writer *w, cmk_object_rec *rec,
                         const cmk_object_spec *spec, cmk_bytes value, uint64_t expected, cmk_record *row)
{
    CMK_RECORD_AUTO author_row = {.revision = 0};
    cmk_principal_rec author;
    const cmk_vault_rec *vault = cmk_view_vault(view);
    cmk_record_key pk = cmk_rkey_id(&vault->id, CMK_KIND_PRINCIPAL, &w->signers.principal);
    cmk_rc rc = cmk_login_check_in(login, view);
    if (rc == CMK_OK)
        rc = cmk_view_get(view, &pk, &author_row);
    if (rc == CMK_OK)
        rc = cmk_principal_rec_decode(cmk_buf_view(&author_row.body), &author);
    if (rc == CMK_OK && (!w->has_object || w->object_generation != vault->object_key_generation))
        rc = cmk_fail(CMK_E_FORBIDDEN, "this login does not hold the newest object key; log in again");
    if (rc != CMK_OK)
        return rc;
    rec->author = w->signers.principal;
    rec->object_key_generation = w->object_generation;
    rec->changed = cmk_record_time();
    row->key = cmk_rkey_id(&vault->id, CMK_KIND_OBJECT, &rec->id);
    row->revision = expected + 1;
    const cmk_object_contents contents = {spec->attributes, value};
    rc = cmk_object_seal(w, author.log_public, &row->key, row->revision, rec, &contents, &row->body);
    if (rc == CMK_OK)
        rc = add_index(row, w, rec->is_private != 0, CMK_INDEX_OBJECT_LABEL, spec->label);
    if (rc == CMK_OK)
        rc = add_index(row, w, rec->is_private != 0, CMK_INDEX_OBJECT_ID, spec->cka_id);
    return rc == CMK_OK ? cmk_view_put(view, row, expected) : rc;
}

/* The handle of what was just written; the next use looks at the store. */
static cmk_rc written(cmk_vault *vault, const cmk_record *row, cmk_object **out)
{
    CMK_SEALED_AUTO *s = NULL;
    cmk_rc rc = cmk_sealed_new(&row->key, row->revision, cmk_buf_view(&row->body), &s);
    if (rc == CMK_OK)
        rc = cmk_object_handle(vault, &s->rec.id, s->rec.is_private != 0, out);
    if (rc == CMK_OK) {
        s->by_tree = true;
        cmk_object_row_set(*out, s, 0);
    }
    return rc;
}

cmk_rc cmk_object_create(cmk_login *login, const cmk_object_spec *spec, cmk_object **out)
{
    CMK_WRITER_AUTO *w = NULL;
    CMK_VIEW_AUTO *view = NULL;
    CMK_RECORD_AUTO row = {.revision = 0};
    cmk_object_rec rec = {.created = cmk_record_time()};
    if (out)
        *out = NULL;
    cmk_rc rc = check_spec(spec);
    if (rc == CMK_OK)
        rc = may(login, login ? login->vault : NULL, CMK_ACT_OBJECT_CREATE);
    if (rc == CMK_OK)
        rc = cmk_id_new(&rec.id);
    if (rc == CMK_OK)
        rc = cmk_object_view(login->vault, login, CMK_TXN_WRITE, &w, &view);
    if (rc != CMK_OK)
        return rc;
    rec.is_private = spec->is_private;
    rc = put_object(view, login, w, &rec, spec, spec->value, 0, &row);
    if (rc == CMK_OK)
        rc = cmk_view_commit(&view);
    return rc == CMK_OK && out ? written(login->vault, &row, out) : rc;
}

cmk_rc cmk_object_update(cmk_login *login, cmk_object *object, const cmk_object_spec *spec)
{
    CMK_WRITER_AUTO *w = NULL;
    CMK_VIEW_AUTO *view = NULL;
    CMK_RECORD_AUTO row = {.revision = 0};
    CMK_SEALED_AUTO *s = NULL;
    cmk_opened *content = NULL;
    cmk_object *same = NULL;
    cmk_rc rc = object ? check_spec(spec) : cmk_fail(CMK_E_ARGUMENT, "no object given");
    if (rc == CMK_OK)
        rc = may(login, object->vault, CMK_ACT_OBJECT_CREATE);
    if (rc == CMK_OK && spec->is_private != object->is_private)
        rc = cmk_fail(CMK_E_ARGUMENT, "an object stays private or public");
    if (rc != CMK_OK)
        return rc;
    s = cmk_object_row_take(object, NULL); /* as the caller has seen it: what others did since is a conflict */
    if (!s || !s->by_tree) {
        cmk_sealed_put(&s);
        rc = cmk_object_current(object, login, &s);
    }
    if (rc == CMK_OK)
        rc = cmk_object_opened(object, login, s, &content);
    if (rc == CMK_OK)
        rc = cmk_object_view(object->vault, login, CMK_TXN_WRITE, &w, &view);
    if (rc == CMK_OK) {
        cmk_object_rec rec = s->rec;
        rc = put_object(view, login, w, &rec, spec, cmk_secret_view(&content->value), s->revision, &row);
    }
    if (rc == CMK_OK)
        rc = cmk_view_commit(&view);
    if (rc == CMK_OK)
        rc = written(object->vault, &row, &same);
    cmk_object_put(same);
    if (content)
        cmk_ref_put(&content->ref);
    return rc;
}

cmk_rc cmk_object_destroy(cmk_login *login, cmk_object *object)
{
    cmk_rc rc =
        object ? may(login, object->vault, CMK_ACT_OBJECT_DESTROY) : cmk_fail(CMK_E_ARGUMENT, "no object given");
    for (unsigned i = 0; rc == CMK_OK && i < TRIES; i++) {
        CMK_WRITER_AUTO *w = NULL;
        CMK_VIEW_AUTO *view = NULL;
        CMK_RECORD_AUTO row = {.revision = 0};
        cmk_record_key rk = cmk_rkey_id(&object->vault->id, CMK_KIND_OBJECT, &object->id);
        rc = cmk_object_view(object->vault, login, CMK_TXN_WRITE, &w, &view);
        if (rc == CMK_OK)
            rc = cmk_login_check_in(login, view);
        if (rc == CMK_OK)
            rc = cmk_view_get(view, &rk, &row);
        if (rc == CMK_OK)
            rc = cmk_view_delete(view, &rk, row.revision);
        if (rc == CMK_OK)
            rc = cmk_view_commit(&view);
        if (rc != CMK_E_CONFLICT)
            break;
        rc = CMK_OK;
    }
    if (rc == CMK_OK) {
        cmk_opened_drop(login, &object->id);
        cmk_object_forget(object->vault, &object->id);
    }
    return rc;
}
