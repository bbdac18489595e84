/* Views: records and look-ups, verified when read, made leaves when written. */
#include <string.h>

#include "token/view_state.h"

cmk_txn *cmk_view_txn(cmk_view *view)
{
    return view->txn;
}

const cmk_vault_rec *cmk_view_vault(cmk_view *view)
{
    return &view->rec;
}

uint64_t cmk_view_change(cmk_view *view, cmk_tree_id tree)
{
    return view->trees[tree].root.change;
}

uint32_t cmk_view_count(cmk_view *view, cmk_kind kind)
{
    cmk_tree_id tree = cmk_kind_tree(kind);
    return tree == CMK_TREE_NONE ? 0 : cmk_tree_count(&view->trees[tree], kind);
}

cmk_tree *cmk_view_tree(cmk_view *view, cmk_tree_id id)
{
    return id == CMK_TREE_NONE ? NULL : &view->trees[id];
}

bool cmk_view_signs(const cmk_view *view, cmk_tree_id id)
{
    const uint8_t *const keys[CMK_TREE_COUNT] = {NULL, view->signers.admin, view->signers.officer,
                                                 view->signers.object_mac};
    return keys[id] != NULL;
}

static cmk_bytes key_id(const cmk_record_key *key)
{
    return cmk_bytes_of(key->id, key->id_len);
}

/* ---- reading ---- */

cmk_rc cmk_view_verify(cmk_view *view, const cmk_record *record)
{
    cmk_kind kind = (cmk_kind)record->key.kind;
    cmk_tree *t = cmk_view_tree(view, cmk_kind_tree(kind));
    cmk_leaf leaf;
    uint8_t value[CMK_LEAF_SIZE];
    /* A damaged index of the store may list what is another vault's. */
    if (!cmk_id_equal(&record->key.vault, &view->vault->id))
        return cmk_tampered(view->label, kind, key_id(&record->key), "the row is another vault's");
    if (!t || !t->verified)
        return CMK_OK; /* it protects itself, or (objects before a login) is verified by its author's signature */
    cmk_bytes body = cmk_buf_view(&record->body);
    cmk_rc rc = cmk_leaf_of_record(t, &record->key, record->revision, &body, &leaf);
    if (rc == CMK_OK)
        rc = cmk_tree_find(t, leaf.place, value);
    if (rc == CMK_E_NOT_FOUND)
        return cmk_tampered(view->label, kind, key_id(&record->key), "the row is not part of the signed state");
    if (rc != CMK_OK)
        return rc;
    if (memcmp(value, leaf.value, sizeof(value)) != 0)
        return cmk_tampered(view->label, kind, key_id(&record->key), "the row does not match the signed state");
    return CMK_OK;
}

/* There is no such row: does the tree say so too? */
static cmk_rc verify_absence(cmk_view *view, const cmk_record_key *key)
{
    cmk_tree *t = cmk_view_tree(view, cmk_kind_tree((cmk_kind)key->kind));
    cmk_leaf leaf;
    uint8_t value[CMK_LEAF_SIZE];
    if (!t || !t->verified)
        return CMK_E_NOT_FOUND;
    cmk_rc rc = cmk_leaf_of_record(t, key, 0, NULL, &leaf);
    if (rc == CMK_OK)
        rc = cmk_tree_find(t, leaf.place, value);
    return rc == CMK_OK ? cmk_tampered(view->label, (cmk_kind)key->kind, key_id(key), "the row is missing") : rc;
}

cmk_rc cmk_view_get(cmk_view *view, const cmk_record_key *key, cmk_record *out)
{
    cmk_rc rc = cmk_txn_get(view->txn, key, out);
    if (rc == CMK_E_NOT_FOUND)
        return verify_absence(view, key);
    if (rc == CMK_OK)
        rc = cmk_view_verify(view, out);
    if (rc != CMK_OK)
        cmk_record_clear(out);
    return rc;
}

/* The tree of an index; NULL for those that only the store has. */
static cmk_tree *index_tree(cmk_view *view, cmk_index index)
{
    switch (index) {
    case CMK_INDEX_PRINCIPAL_NAME:
        return &view->trees[CMK_TREE_ADMIN];
    case CMK_INDEX_KEY_NAME:
    case CMK_INDEX_VERSION_ID:
    case CMK_INDEX_CKA_ID:
    case CMK_INDEX_MODULUS:
        return &view->trees[CMK_TREE_OFFICER];
    default:
        return NULL;
    }
}

cmk_rc cmk_view_lookup(cmk_view *view, cmk_index index, cmk_bytes value, uint8_t *id, size_t *id_len)
{
    cmk_leaf leaf;
    uint8_t found[CMK_LEAF_SIZE];
    cmk_tree *t = index_tree(view, index);
    if (!t)
        return cmk_fail(CMK_E_ARGUMENT, "index %d is not authenticated", (int)index);
    cmk_rc rc = cmk_leaf_of_index(index, value, NULL, 0, &leaf);
    if (rc == CMK_OK)
        rc = cmk_tree_find(t, leaf.place, found);
    if (rc != CMK_OK)
        return rc;
    if (found[0] > CMK_LEAF_SIZE - 1)
        return cmk_tampered(view->label, CMK_KIND_BUCKET, cmk_bytes_of(leaf.place, 2),
                            "an index leaf that makes no sense");
    *id_len = found[0];
    memcpy(id, found + 1, found[0]);
    return CMK_OK;
}

/* ---- writing ---- */

/* Only what verifies is replaced, so that a planted row is never signed along. */
static cmk_rc check_replaced(cmk_view *view, const cmk_record_key *key, uint64_t expected)
{
    CMK_RECORD_AUTO old = {0};
    cmk_rc rc = cmk_view_get(view, key, &old);
    if (rc == CMK_E_NOT_FOUND)
        return expected == 0 ? CMK_OK : CMK_E_CONFLICT;
    if (rc == CMK_OK && old.revision != expected)
        rc = CMK_E_CONFLICT;
    return rc;
}

static cmk_rc may_write(cmk_view *view, cmk_kind kind)
{
    cmk_tree_id tree = cmk_kind_tree(kind);
    if (view->mode != CMK_TXN_WRITE)
        return cmk_fail(CMK_E_ARGUMENT, "a view that was opened for reading");
    if (tree != CMK_TREE_NONE && (!cmk_view_signs(view, tree) || !view->trees[tree].verified))
        return cmk_fail(CMK_E_FORBIDDEN, "vault %s: this login can't sign a %s record", view->label,
                        cmk_kind_name(kind));
    return CMK_OK;
}

/* The view goes on with the VAULT record that it has just written. */
static cmk_rc take_vault_row(cmk_view *view, const cmk_record *record)
{
    cmk_vault_rec rec;
    cmk_record row = {.key = record->key, .revision = record->revision};
    cmk_buf_add(&row.body, record->body.data, record->body.len);
    cmk_rc rc = cmk_buf_ok(&row.body);
    if (rc == CMK_OK)
        rc = cmk_vault_rec_decode(cmk_buf_view(&row.body), &rec);
    if (rc != CMK_OK) {
        cmk_record_clear(&row);
        return rc;
    }
    cmk_record_clear(&view->vault_row);
    view->vault_row = row;
    view->rec = rec;
    return CMK_OK;
}

cmk_rc cmk_view_put(cmk_view *view, const cmk_record *record, uint64_t expected)
{
    cmk_kind kind = (cmk_kind)record->key.kind;
    cmk_tree *t = cmk_view_tree(view, cmk_kind_tree(kind));
    cmk_leaf leaf;
    bool was = false;
    cmk_rc rc = may_write(view, kind);
    if (rc == CMK_OK)
        rc = check_replaced(view, &record->key, expected);
    if (rc == CMK_OK)
        rc = cmk_txn_put(view->txn, record, expected);
    if (rc != CMK_OK || !t)
        return rc;
    cmk_bytes body = cmk_buf_view(&record->body);
    rc = cmk_leaf_of_record(t, &record->key, record->revision, &body, &leaf);
    if (rc == CMK_OK)
        rc = cmk_tree_set(t, &leaf, &was);
    if (rc == CMK_OK && !was)
        cmk_tree_count_add(t, kind, 1);
    if (rc == CMK_OK && kind == CMK_KIND_VAULT)
        rc = take_vault_row(view, record);
    if (rc != CMK_OK)
        view->broken = true;
    return rc;
}

cmk_rc cmk_view_put_body(cmk_view *view, const cmk_record_key *key, cmk_bytes body, uint64_t expected)
{
    CMK_RECORD_AUTO record = {.key = *key, .revision = expected + 1};
    cmk_buf_add(&record.body, body.data, body.len);
    cmk_rc rc = cmk_buf_ok(&record.body);
    return rc == CMK_OK ? cmk_view_put(view, &record, expected) : rc;
}

cmk_rc cmk_view_delete(cmk_view *view, const cmk_record_key *key, uint64_t expected)
{
    cmk_kind kind = (cmk_kind)key->kind;
    cmk_tree *t = cmk_view_tree(view, cmk_kind_tree(kind));
    cmk_leaf leaf;
    cmk_rc rc = may_write(view, kind);
    if (rc == CMK_OK && t)
        rc = check_replaced(view, key, expected);
    if (rc == CMK_OK)
        rc = cmk_txn_delete(view->txn, key, expected);
    if (rc != CMK_OK || !t)
        return rc;
    rc = cmk_leaf_of_record(t, key, 0, NULL, &leaf);
    if (rc == CMK_OK)
        rc = cmk_tree_remove(t, leaf.place);
    if (rc == CMK_OK)
        cmk_tree_count_add(t, kind, -1);
    else
        view->broken = true;
    return rc;
}

cmk_rc cmk_view_index(cmk_view *view, cmk_index index, cmk_bytes value, const uint8_t *id, size_t id_len)
{
    cmk_leaf leaf;
    uint8_t found[CMK_LEAF_SIZE];
    bool was = false;
    cmk_tree *t = index_tree(view, index);
    if (!t)
        return cmk_fail(CMK_E_ARGUMENT, "index %d is not authenticated", (int)index);
    if (view->mode != CMK_TXN_WRITE || !cmk_view_signs(view, t->id))
        return cmk_fail(CMK_E_FORBIDDEN, "vault %s: this login can't sign an index entry", view->label);
    cmk_rc rc = cmk_leaf_of_index(index, value, id, id_len, &leaf);
    if (rc != CMK_OK)
        return rc;
    if (id_len == 0)
        return cmk_tree_remove(t, leaf.place);
    rc = cmk_tree_find(t, leaf.place, found);
    if (rc == CMK_OK)
        return CMK_E_EXISTS;
    return rc == CMK_E_NOT_FOUND ? cmk_tree_set(t, &leaf, &was) : rc;
}
