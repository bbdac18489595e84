/* Views: opening with verified roots, and committing signed ones. */
#include "token/view_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/log.h"

static const cmk_tree_id all_trees[] = {CMK_TREE_ADMIN, CMK_TREE_OFFICER, CMK_TREE_OBJECT};
enum { TREES = 3 };

static cmk_rc rolled_back(const cmk_view *view, cmk_tree_id tree, const char *what)
{
    cmk_log(CMK_LOG_ERROR, "vault %s: root of tree %d: %s", view->label, (int)tree, what);
    return cmk_fail(CMK_E_ROLLBACK, "vault %s: root of tree %d: %s", view->label, (int)tree, what);
}

static void set_label(cmk_view *view, const cmk_vault_rec *rec)
{
    char hex[2 * CMK_ID_SIZE + 1];
    char name[4 * CMK_VAULT_NAME_MAX + 1] = "";
    if (rec && rec->name.len > 0)
        cmk_printable(rec->name, name, sizeof(name));
    (void)snprintf(view->label, sizeof(view->label), "%s%s%s", name, *name ? " " : "",
                   cmk_id_hex(&view->vault->id, hex));
}

/* What the process knows already, from before the transaction: the roots that it has verified last. An older state than
 * this is a roll-back; what another thread verifies meanwhile may well be newer than what this transaction sees. */
static cmk_rc take_known(cmk_view *view)
{
    cmk_rc rc = CMK_OK;
    cmk_vault *v = view->vault;
    cmk_rwlock_read(&v->lock);
    for (size_t i = 0; i < TREES && rc == CMK_OK; i++) {
        const cmk_root_state *known = &v->roots[all_trees[i]];
        cmk_tree *t = &view->trees[all_trees[i]];
        t->id = all_trees[i];
        t->vault = &v->id;
        t->label = view->label;
        t->cache = v->nodes;
        t->txn = view->txn;
        if (!known->verified)
            continue;
        cmk_buf_add(&t->body, known->body.data, known->body.len);
        rc = cmk_buf_ok(&t->body);
        if (rc == CMK_OK)
            rc = cmk_root_parse(cmk_buf_view(&t->body), t->id, &t->domain, &t->root);
        memcpy(t->hash, known->hash, sizeof(t->hash));
        t->verified = rc == CMK_OK;
        view->known_at[t->id] = atomic_load(&v->generation) != 0 ? known->generation : 0;
    }
    set_label(view, v->vault_row.body.len > 0 ? &v->rec : NULL);
    cmk_rwlock_unlock(&v->lock);
    return rc;
}

static cmk_rc stop_at_first(void *ctx, const cmk_record *record)
{
    (void)record;
    *(bool *)ctx = true;
    return CMK_OK;
}

/* No VAULT row: is there no such vault, or was the row taken away? */
static cmk_rc vault_row_missing(cmk_view *view)
{
    bool any = false;
    cmk_bytes none = {NULL, 0};
    cmk_rc rc = cmk_txn_list_after(view->txn, &view->vault->id, CMK_KIND_ROOT, none, 1, stop_at_first, &any);
    if (rc != CMK_OK)
        return rc;
    if (any || atomic_load(&view->vault->change[CMK_TREE_ADMIN]) > 0) {
        rc = any ? cmk_tampered(view->label, CMK_KIND_VAULT, none, "the row is missing") : CMK_E_NOT_FOUND;
        return rc == CMK_E_NOT_FOUND ? cmk_fail(rc, "vault %s: it was removed", view->label) : rc;
    }
    return cmk_fail(CMK_E_NOT_FOUND, "vault %s: there is none", view->label);
}

static cmk_rc read_vault_row(cmk_view *view)
{
    cmk_record_key key = cmk_rkey(&view->vault->id, CMK_KIND_VAULT, NULL, 0);
    cmk_rc rc = cmk_txn_get(view->txn, &key, &view->vault_row);
    if (rc == CMK_E_NOT_FOUND)
        return vault_row_missing(view);
    if (rc != CMK_OK)
        return rc;
    rc = cmk_vault_rec_decode(cmk_buf_view(&view->vault_row.body), &view->rec);
    if (rc != CMK_OK) {
        /* A later format is honest; a record of ours that makes no sense is not. */
        bool ours = view->vault_row.body.len > 0 && view->vault_row.body.data[0] == 1;
        cmk_bytes none = {NULL, 0};
        return ours ? cmk_tampered(view->label, CMK_KIND_VAULT, none, "it makes no sense") : rc;
    }
    set_label(view, &view->rec);
    cmk_rwlock_read(&view->vault->lock);
    rc = cmk_vault_rec_check(view->vault, &view->rec, view->label);
    cmk_rwlock_unlock(&view->vault->lock);
    return rc;
}

static uint32_t signer_generation(const cmk_view *view, cmk_tree_id tree)
{
    const uint32_t generations[CMK_TREE_COUNT] = {0, view->rec.admin_generation, view->rec.officer_generation,
                                                  view->rec.object_key_generation};
    return generations[tree];
}

/* Checks the authenticator. *known becomes false where that is not possible: the object tree without the object key. */
static cmk_rc check_authenticator(cmk_view *view, const cmk_tree *t, const cmk_root_parts *root, bool *known)
{
    CMK_BUF_AUTO message = CMK_BUF_INIT;
    uint8_t mac[CMK_SHA256_SIZE];
    cmk_root_message(t->vault, root->body_signed, &message);
    cmk_rc rc = cmk_buf_ok(&message);
    if (rc != CMK_OK)
        return rc;
    cmk_bytes text = cmk_buf_view(&message);
    *known = true;
    if (t->id != CMK_TREE_OBJECT) {
        const uint8_t *key = t->id == CMK_TREE_ADMIN ? view->rec.admin_public : view->rec.officer_public;
        return root->authenticator.len == CMK_SIGNATURE_SIZE ? cmk_ed25519_verify(key, text, root->authenticator.data)
                                                             : CMK_E_TAMPERED;
    }
    cmk_rwlock_read(&view->vault->lock);
    const uint8_t *key = view->signers.object_mac ? view->signers.object_mac : view->vault->object_mac;
    *known = key != NULL;
    if (key)
        rc = cmk_hmac_sha256(cmk_bytes_of(key, CMK_KEY_SIZE), &text, 1, mac);
    cmk_rwlock_unlock(&view->vault->lock);
    if (rc == CMK_OK && key)
        rc = root->authenticator.len == sizeof(mac) && cmk_equal_ct(mac, root->authenticator.data, sizeof(mac))
                 ? CMK_OK
                 : CMK_E_TAMPERED;
    return rc;
}

/* Reads a root and makes it the tree's. t comes with the root that was verified last, if any. */
static cmk_rc read_root(cmk_view *view, cmk_tree *t)
{
    CMK_RECORD_AUTO row = {0};
    cmk_root_parts root;
    bool known = false;
    cmk_record_key key = cmk_tree_row_key(t, CMK_KIND_ROOT, 0);
    cmk_bytes id = cmk_bytes_of(key.id, key.id_len);
    cmk_rc rc = cmk_txn_get(view->txn, &key, &row);
    if (rc == CMK_E_NOT_FOUND)
        return cmk_tampered(view->label, CMK_KIND_ROOT, id, "the row is missing");
    if (rc != CMK_OK)
        return rc;
    cmk_bytes body = cmk_buf_view(&row.body);
    if (t->verified && cmk_bytes_equal(body, cmk_buf_view(&t->body)))
        return row.revision == t->root.change ? CMK_OK : cmk_tampered(view->label, CMK_KIND_ROOT, id, "wrong revision");
    if (body.len > 0 && body.data[0] != CMK_TREE_FORMAT)
        return cmk_fail(CMK_E_FORMAT, "vault %s: root of format %u: made by a newer release?", view->label,
                        body.data[0]);
    rc = cmk_root_parse(body, t->id, &t->domain, &root);
    if (rc != CMK_OK)
        return cmk_tampered(view->label, CMK_KIND_ROOT, id, "it makes no sense");
    if (root.generation != signer_generation(view, t->id) || root.change != row.revision || root.change == 0)
        return cmk_tampered(view->label, CMK_KIND_ROOT, id, "its key generation or revision is not the expected one");
    rc = check_authenticator(view, t, &root, &known);
    if (rc == CMK_E_TAMPERED)
        return cmk_tampered(view->label, CMK_KIND_ROOT, id, "the signature does not verify");
    if (rc != CMK_OK)
        return rc;
    if (t->verified && root.change < t->root.change)
        return rolled_back(view, t->id, "older than what this process has seen");
    if (t->verified && root.change == t->root.change)
        return rolled_back(view, t->id, "another one with the same change number");
    bool first = !t->verified;
    rc = cmk_tree_set_root(t, &row.body);
    if (rc == CMK_OK && known && first)
        rc = cmk_tree_check_nodes(t);
    t->verified = rc == CMK_OK && known;
    return rc;
}

/* Verifies what the transaction sees. The VAULT row was read first, which fixes the transaction's state: when the
 * store's number is then still the one at which the process verified its roots, they are the transaction's as well. */
static cmk_rc verify_roots(cmk_view *view)
{
    uint64_t now = 0;
    cmk_rc rc = cmk_store_generation(view->vault->core->store, &now);
    if (rc != CMK_OK)
        return rc;
    bool news = false;
    for (size_t i = 0; i < TREES && rc == CMK_OK; i++) {
        cmk_tree *t = &view->trees[all_trees[i]];
        if (!t->verified || now == 0 || view->known_at[t->id] != now) {
            news = true;
            rc = read_root(view, t);
        }
        if (rc == CMK_OK && t->id == CMK_TREE_ADMIN) /* first, because it says which keys sign the others */
            rc = cmk_view_verify(view, &view->vault_row);
    }
    view->verified = rc == CMK_OK && news;
    return rc;
}

static cmk_view *view_new(cmk_vault *vault, cmk_txn *txn, cmk_txn_mode mode, const cmk_signers *signers)
{
    cmk_view *view = calloc(1, sizeof(*view));
    if (!view)
        return NULL;
    cmk_ref_take(&vault->ref);
    view->vault = vault;
    view->txn = txn;
    view->owns_txn = txn == NULL;
    view->mode = mode;
    if (signers)
        view->signers = *signers;
    return view;
}

static void view_free(cmk_view *view)
{
    if (view->owns_txn)
        cmk_txn_rollback(&view->txn);
    for (size_t i = 0; i < TREES; i++)
        cmk_tree_clear(&view->trees[all_trees[i]]);
    cmk_record_clear(&view->vault_row);
    cmk_vault_put(view->vault);
    free(view);
}

static cmk_rc open_in(cmk_view *view, bool is_new)
{
    cmk_rc rc = take_known(view);
    if (rc == CMK_OK && !is_new)
        rc = cmk_store_generation(view->vault->core->store, &view->generation);
    if (rc == CMK_OK && view->owns_txn)
        rc = cmk_txn_begin(view->vault->core->store, view->mode, &view->txn);
    if (rc != CMK_OK)
        return rc;
    for (size_t i = 0; i < TREES; i++) {
        view->trees[all_trees[i]].txn = view->txn;
        if (is_new)
            cmk_tree_set_empty(&view->trees[all_trees[i]]);
    }
    view->is_new = is_new;
    if (is_new)
        return CMK_OK;
    rc = read_vault_row(view);
    if (rc == CMK_OK)
        rc = verify_roots(view);
    if (rc == CMK_OK && view->mode == CMK_TXN_WRITE && view->rec.state != CMK_VAULT_LIVE)
        rc = cmk_fail(CMK_E_NOT_FOUND, "vault %s: it is deleted", view->label);
    return rc;
}

static cmk_rc view_start(cmk_view *view, bool is_new, cmk_view **out)
{
    *out = NULL;
    if (!view)
        return CMK_E_NO_MEMORY;
    cmk_rc rc = open_in(view, is_new);
    if (rc == CMK_OK)
        *out = view;
    else
        view_free(view);
    return rc;
}

cmk_rc cmk_view_open(cmk_vault *vault, cmk_txn_mode mode, const cmk_signers *signers, cmk_view **out)
{
    return view_start(view_new(vault, NULL, mode, signers), false, out);
}

cmk_rc cmk_view_attach(cmk_vault *vault, cmk_txn *txn, bool is_new, const cmk_signers *signers, cmk_view **out)
{
    return view_start(view_new(vault, txn, CMK_TXN_WRITE, signers), is_new, out);
}

/* ---- ending ---- */

static void keep_root(cmk_vault *v, cmk_tree *t, uint64_t generation)
{
    cmk_root_state *known = &v->roots[t->id];
    if (!t->verified)
        return;
    known->generation = generation;
    if (known->verified && t->root.change <= known->change)
        return;
    cmk_buf_free(&known->body);
    known->body = t->body;
    t->body = (cmk_buf)CMK_BUF_INIT;
    known->change = t->root.change;
    memcpy(known->hash, t->hash, sizeof(known->hash));
    known->verified = true;
    atomic_store(&v->change[t->id], known->change);
}

/* Makes the view's roots the vault's, unless another thread has seen newer ones meanwhile. */
static void keep_state(cmk_view *view, uint64_t generation)
{
    cmk_vault *v = view->vault;
    cmk_rwlock_write(&v->lock);
    bool newest = true;
    for (size_t i = 0; i < TREES; i++) {
        const cmk_tree *t = &view->trees[all_trees[i]];
        if (t->verified && v->roots[t->id].verified && t->root.change < v->roots[t->id].change)
            newest = false;
    }
    if (newest) {
        for (size_t i = 0; i < TREES; i++)
            keep_root(v, &view->trees[all_trees[i]], generation);
        cmk_record_clear(&v->vault_row);
        v->vault_row = view->vault_row;
        view->vault_row = (cmk_record){0};
        v->rec = view->rec; /* its views stay valid: the body has only changed hands */
        if (generation != 0 || v->rec.state != CMK_VAULT_LIVE)
            atomic_store(&v->generation, v->rec.state == CMK_VAULT_LIVE ? generation : 0);
    }
    cmk_rwlock_unlock(&v->lock);
}

void cmk_view_close(cmk_view **view)
{
    if (!view || !*view)
        return;
    cmk_view *v = *view;
    *view = NULL;
    if (v->owns_txn)
        cmk_txn_rollback(&v->txn);
    if (v->verified && v->mode == CMK_TXN_READ)
        keep_state(v, v->generation);
    view_free(v);
}

static cmk_rc sign_root(const void *ctx, cmk_tree_id tree, cmk_bytes message, cmk_buf *out)
{
    const cmk_signers *s = ctx;
    uint8_t mac[CMK_SHA256_SIZE];
    uint8_t signature[CMK_SIGNATURE_SIZE];
    cmk_rc rc = CMK_E_INTERNAL;
    if (tree == CMK_TREE_OBJECT) {
        rc = cmk_hmac_sha256(cmk_bytes_of(s->object_mac, CMK_KEY_SIZE), &message, 1, mac);
        cmk_buf_add(out, mac, rc == CMK_OK ? sizeof(mac) : 0);
    } else {
        rc = cmk_ed25519_sign(tree == CMK_TREE_ADMIN ? s->admin : s->officer, message, signature);
        cmk_buf_add(out, signature, rc == CMK_OK ? sizeof(signature) : 0);
    }
    return rc == CMK_OK ? cmk_buf_ok(out) : rc;
}

cmk_rc cmk_view_write(cmk_view *view)
{
    cmk_rc rc = CMK_OK;
    if (view->broken || view->mode != CMK_TXN_WRITE)
        return cmk_fail(CMK_E_INTERNAL, "vault %s: an unfinished change is not committed", view->label);
    for (size_t i = 0; i < TREES && rc == CMK_OK; i++) {
        cmk_tree *t = &view->trees[all_trees[i]];
        if (!t->dirty)
            continue;
        if (!cmk_view_signs(view, t->id))
            rc = cmk_fail(CMK_E_FORBIDDEN, "vault %s: tree %d can't be signed by this login", view->label, (int)t->id);
        else
            rc = cmk_tree_write(t, signer_generation(view, t->id), sign_root, &view->signers);
        view->wrote = t->id;
    }
    view->broken = rc != CMK_OK;
    return rc;
}

/* Is the root that view has written the store's? */
static bool arrived(const cmk_view *view)
{
    CMK_TXN_AUTO *txn = NULL;
    CMK_RECORD_AUTO row = {0};
    const cmk_tree *t = &view->trees[view->wrote];
    if (view->wrote == CMK_TREE_NONE || cmk_txn_begin(view->vault->core->store, CMK_TXN_READ, &txn) != CMK_OK)
        return false;
    const cmk_record_key key = cmk_tree_row_key(t, CMK_KIND_ROOT, 0);
    return cmk_txn_get(txn, &key, &row) == CMK_OK && cmk_bytes_equal(cmk_buf_view(&row.body), cmk_buf_view(&t->body));
}

cmk_rc cmk_view_commit_txn(const cmk_view *view, cmk_txn **txn)
{
    cmk_rc rc = cmk_txn_commit(txn);
    return rc == CMK_E_IO && arrived(view) ? CMK_OK : rc;
}

void cmk_view_settle(cmk_view **view)
{
    keep_state(*view, 0); /* its number is not known: the next look compares the roots */
    view_free(*view);
    *view = NULL;
}

cmk_rc cmk_view_commit(cmk_view **view)
{
    cmk_view *v = *view;
    cmk_rc rc = v->owns_txn ? cmk_view_write(v) : cmk_fail(CMK_E_INTERNAL, "a view in another's transaction");
    if (rc == CMK_OK)
        rc = cmk_view_commit_txn(v, &v->txn);
    if (rc == CMK_OK) {
        cmk_view_settle(view);
    } else {
        view_free(v);
        *view = NULL;
    }
    return rc;
}
