/* Vaults: what there is, finding one, and what it looks like. */
#include "token/vault.h"

#include <stdlib.h>
#include <string.h>

/* ---- what the rows show ---- */

void cmk_vaults_seen_free(cmk_vaults_seen *v)
{
    free(v->all);
    *v = (cmk_vaults_seen){NULL, 0, 0};
}

static cmk_vault_seen *seen_of(cmk_vaults_seen *v, const cmk_id *id)
{
    for (size_t i = v->count; i > 0; i--) /* listings come sorted: it is mostly the last one */
        if (cmk_id_equal(&v->all[i - 1].id, id))
            return &v->all[i - 1];
    if (v->count == v->cap) {
        size_t cap = v->cap * 2 + 16;
        cmk_vault_seen *grown = realloc(v->all, cap * sizeof(*grown));
        if (!grown)
            return NULL;
        v->all = grown;
        v->cap = cap;
    }
    cmk_vault_seen *s = &v->all[v->count++];
    *s = (cmk_vault_seen){.id = *id, .slot = CMK_SLOT_ANY, .state = CMK_VAULT_LIVE};
    return s;
}

static cmk_rc see_row(void *ctx, const cmk_record *record)
{
    cmk_vault_rec rec;
    cmk_vault_seen *s = seen_of(ctx, &record->key.vault);
    if (!s)
        return CMK_E_NO_MEMORY;
    if (record->key.id_len != 0 || cmk_vault_rec_decode(cmk_buf_view(&record->body), &rec) != CMK_OK ||
        cmk_name_check(CMK_NAME_VAULT, rec.name) != CMK_OK)
        return CMK_OK;
    s->row = true;
    s->slot = rec.slot;
    s->state = rec.state;
    s->name_len = rec.name.len;
    memcpy(s->name, rec.name.data, rec.name.len);
    return CMK_OK;
}

static cmk_rc see_root(void *ctx, const cmk_record *record)
{
    cmk_vault_seen *s = seen_of(ctx, &record->key.vault);
    if (!s)
        return CMK_E_NO_MEMORY;
    s->roots = true;
    return CMK_OK;
}

cmk_rc cmk_vaults_look(cmk_txn *txn, bool roots, cmk_vaults_seen *out)
{
    cmk_bytes all = {NULL, 0};
    *out = (cmk_vaults_seen){NULL, 0, 0};
    cmk_rc rc = cmk_txn_list(txn, NULL, CMK_KIND_VAULT, all, see_row, out);
    if (rc == CMK_OK && roots)
        rc = cmk_txn_list(txn, NULL, CMK_KIND_ROOT, all, see_root, out);
    return rc;
}

static cmk_rc look(cmk_core *core, cmk_vaults_seen *out)
{
    CMK_TXN_AUTO *txn = NULL;
    *out = (cmk_vaults_seen){NULL, 0, 0};
    cmk_rc rc = cmk_txn_begin(core->store, CMK_TXN_READ, &txn);
    return rc == CMK_OK ? cmk_vaults_look(txn, true, out) : rc;
}

/* A vault whose record is lost or makes no sense has a slot that nobody knows. It must not be given to another: numbers
 * are given out from 0 without gaps, so a number behind as many as there are vaults is nobody's. */
static uint32_t first_slot(const cmk_vaults_seen *v)
{
    for (size_t i = 0; i < v->count; i++)
        if (!v->all[i].row)
            return (uint32_t)v->count;
    return 0;
}

uint32_t cmk_vaults_free_slot(const cmk_vaults_seen *v)
{
    uint32_t slot = first_slot(v);
    for (size_t i = 0; i < v->count;) {
        bool taken = v->all[i].slot == slot;
        slot += taken;
        i = taken ? 0 : i + 1;
    }
    return slot;
}

cmk_rc cmk_core_free_slot(cmk_core *core, uint32_t *slot)
{
    CMK_VAULTS_SEEN_AUTO seen = {0};
    cmk_rc rc = look(core, &seen);
    if (rc == CMK_OK)
        *slot = cmk_vaults_free_slot(&seen);
    return rc;
}

/* ---- one vault ---- */

static cmk_rc fill_info(cmk_view *view, cmk_vault_info *out)
{
    const cmk_vault_rec *rec = cmk_view_vault(view);
    uint8_t id[CMK_RECORD_ID_MAX];
    size_t len = 0;
    memcpy(out->name, rec->name.data, rec->name.len); /* bounds by the decoder, zeros by the caller */
    memcpy(out->serial, rec->serial.data, rec->serial.len);
    out->slot = rec->slot;
    out->state = (cmk_vault_state)rec->state;
    out->created = (int64_t)rec->created;
    out->deleted_at = (int64_t)rec->deleted_at;
    out->purge_at = (int64_t)rec->purge_at;
    out->retention_days = rec->retention_days;
    out->purge_protection = rec->purge_protection != 0;
    out->wrap_without_login = rec->wrap_without_login != 0;
    out->allow_ops = rec->allow_ops;
    out->pin_attempts = rec->pin_attempts;
    out->keys = cmk_view_count(view, CMK_KIND_KEY);
    cmk_rc rc = cmk_view_lookup(view, CMK_INDEX_PRINCIPAL_NAME, cmk_bytes_str(CMK_NAME_USER), id, &len);
    out->user_pin_set = rc == CMK_OK;
    if (rc == CMK_OK || rc == CMK_E_NOT_FOUND)
        rc = cmk_vault_fingerprint(&rec->id, rec->admin_first, out->fingerprint);
    return rc;
}

cmk_rc cmk_vault_get_info(cmk_vault *vault, cmk_vault_info *out)
{
    CMK_VIEW_AUTO *view = NULL;
    memset(out, 0, sizeof(*out));
    out->id = vault->id;
    out->slot = CMK_SLOT_ANY;
    out->state = CMK_VAULT_LIVE;
    cmk_rc rc = cmk_view_open(vault, CMK_TXN_READ, NULL, &view);
    if (rc == CMK_OK)
        rc = fill_info(view, out);
    out->health = rc;
    return rc;
}

/* ---- all vaults ---- */

static int by_state_and_slot(const void *a, const void *b)
{
    const cmk_vault_info *x = a;
    const cmk_vault_info *y = b;
    if (x->state != y->state)
        return x->state < y->state ? -1 : 1;
    return (x->slot > y->slot) - (x->slot < y->slot);
}

/* A damaged vault is shown with what its rows say. False when there is nothing left to show: removed since it was
 * looked for. */
static cmk_rc describe(cmk_core *core, const cmk_vault_seen *seen, cmk_vault_info *out, bool *show)
{
    cmk_vault *vault = NULL;
    cmk_rc rc = cmk_vault_by_id(core, &seen->id, &vault);
    if (rc != CMK_OK)
        return rc;
    rc = cmk_vault_get_info(vault, out);
    cmk_vault_put(vault);
    *show = rc != CMK_E_NOT_FOUND;
    if (rc == CMK_E_NO_MEMORY || rc == CMK_E_BUSY || rc == CMK_E_IO || rc == CMK_E_STORE_DAMAGED)
        return rc;                   /* says nothing about this vault */
    if (rc != CMK_OK && seen->row) { /* shown among the live ones, since nobody vouches for its being deleted */
        out->slot = seen->slot;
        out->state = CMK_VAULT_LIVE;
        memset(out->name, 0, sizeof(out->name));
        memcpy(out->name, seen->name, seen->name_len);
    }
    return CMK_OK;
}

cmk_rc cmk_vault_list(cmk_core *core, bool deleted_too, cmk_rc (*visit)(void *ctx, const cmk_vault_info *info),
                      void *ctx)
{
    CMK_VAULTS_SEEN_AUTO seen = {0};
    size_t n = 0;
    cmk_rc rc = look(core, &seen);
    if (rc != CMK_OK)
        return rc;
    cmk_vault_info *infos = calloc(seen.count + 1, sizeof(*infos));
    if (!infos)
        return CMK_E_NO_MEMORY;
    for (size_t i = 0; i < seen.count && rc == CMK_OK; i++) {
        bool show = false;
        rc = describe(core, &seen.all[i], &infos[n], &show);
        n += rc == CMK_OK && show;
    }
    qsort(infos, n, sizeof(*infos), by_state_and_slot);
    for (size_t i = 0; i < n && rc == CMK_OK; i++)
        if (deleted_too || infos[i].state != CMK_VAULT_DELETED)
            rc = visit(ctx, &infos[i]);
    free(infos);
    return rc;
}

/* ---- finding one: the rows are only hints, so what they lead to must say the same once verified ---- */

typedef struct wanted {
    bool by_slot;
    uint32_t slot;
    cmk_bytes name;
} wanted;

static bool matches(const wanted *w, uint32_t slot, cmk_bytes name)
{
    return w->by_slot ? w->slot == slot : cmk_bytes_equal(w->name, name);
}

static cmk_rc open_seen(cmk_core *core, const cmk_vault_seen *seen, const wanted *w, cmk_vault **out)
{
    cmk_vault *vault = NULL;
    cmk_rc rc = cmk_vault_by_id(core, &seen->id, &vault);
    if (rc != CMK_OK)
        return rc;
    rc = cmk_vault_refresh(vault);
    if (rc == CMK_OK) {
        cmk_rwlock_read(&vault->lock);
        if (!matches(w, vault->rec.slot, vault->rec.name))
            rc = CMK_E_NOT_FOUND; /* changed since it was looked for */
        cmk_rwlock_unlock(&vault->lock);
    }
    if (rc == CMK_OK)
        *out = vault;
    else
        cmk_vault_put(vault);
    return rc;
}

/* Nothing was found: is it because the row of the one that was meant says something else? */
static cmk_rc none_wanted(cmk_core *core, const cmk_vaults_seen *seen)
{
    for (size_t i = 0; i < seen->count; i++) {
        cmk_vault_info info;
        bool show = false;
        cmk_rc rc = describe(core, &seen->all[i], &info, &show);
        if (rc != CMK_OK)
            return rc;
        if (show && info.health != CMK_OK)
            return cmk_fail(CMK_E_TAMPERED, "no such vault, but one whose records are damaged");
    }
    return cmk_fail(CMK_E_NOT_FOUND, "no such vault");
}

static cmk_rc open_wanted(cmk_core *core, const wanted *w, cmk_vault **out)
{
    CMK_VAULTS_SEEN_AUTO seen = {0};
    CMK_VAULT_AUTO *found = NULL;
    *out = NULL;
    cmk_rc rc = look(core, &seen);
    if (rc != CMK_OK)
        return rc;
    rc = CMK_E_NOT_FOUND;
    for (size_t i = 0; i < seen.count; i++) {
        const cmk_vault_seen *s = &seen.all[i];
        cmk_vault *vault = NULL;
        if (!s->row || s->state != CMK_VAULT_LIVE || !matches(w, s->slot, cmk_bytes_of(s->name, s->name_len)))
            continue;
        cmk_rc one = open_seen(core, s, w, &vault);
        if (one == CMK_OK && found) {
            cmk_vault_put(vault);
            return cmk_fail(CMK_E_TAMPERED,
                            "there are two such vaults: vault-key in the configuration tells them apart");
        }
        if (one == CMK_OK)
            found = vault;
        if (rc == CMK_E_NOT_FOUND || one == CMK_OK) /* a good one wins over a planted one beside it */
            rc = one;
    }
    if (rc == CMK_E_NOT_FOUND)
        return none_wanted(core, &seen);
    *out = found;
    found = NULL;
    return rc;
}

cmk_rc cmk_vault_open_name(cmk_core *core, cmk_bytes name, cmk_vault **out)
{
    const wanted w = {.by_slot = false, .name = name};
    return open_wanted(core, &w, out);
}

cmk_rc cmk_vault_open_slot(cmk_core *core, uint32_t slot, cmk_vault **out)
{
    const wanted w = {.by_slot = true, .slot = slot};
    return open_wanted(core, &w, out);
}
