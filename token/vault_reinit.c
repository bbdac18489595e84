/* C_InitToken over an existing vault: the old one makes room, an empty one takes its slot and serial number. */
#include <stdlib.h>
#include <string.h>

#include "token/vault.h"

enum { DAY = 86400 };

/* ---- removing every record of a vault ---- */

typedef struct key_list {
    struct {
        cmk_record_key key;
        uint64_t revision;
    } * all;
    size_t count, cap;
} key_list;

static cmk_rc note_key(void *ctx, const cmk_record *record)
{
    key_list *l = ctx;
    if (l->count == l->cap) {
        size_t cap = l->cap * 2 + 64;
        void *grown = realloc(l->all, cap * sizeof(*l->all));
        if (!grown)
            return CMK_E_NO_MEMORY;
        l->all = grown;
        l->cap = cap;
    }
    l->all[l->count].key = record->key;
    l->all[l->count++].revision = record->revision;
    return CMK_OK;
}

static cmk_rc remove_all(cmk_txn *txn, const cmk_id *vault)
{
    key_list list = {NULL, 0, 0};
    cmk_bytes all = {NULL, 0};
    cmk_rc rc = CMK_OK;
    for (unsigned kind = 1; kind <= UINT8_MAX && rc == CMK_OK; kind++)
        rc = cmk_txn_list(txn, vault, (uint8_t)kind, all, note_key, &list);
    for (size_t i = 0; i < list.count && rc == CMK_OK; i++)
        rc = cmk_txn_delete(txn, &list.all[i].key, list.all[i].revision);
    free(list.all);
    return rc;
}

/* ---- soft deletion ---- */

static cmk_rc soft_delete(cmk_view *view, const cmk_id *by, uint32_t slot)
{
    char serial[CMK_SERIAL_SIZE + 1];
    cmk_vault_rec rec = *cmk_view_vault(view);
    cmk_rc rc = cmk_serial_new(serial);
    if (rc != CMK_OK)
        return rc;
    rec.slot = slot;
    rec.serial = cmk_bytes_str(serial);
    rec.state = CMK_VAULT_DELETED;
    rec.changed_by = *by;
    rec.changed = rec.deleted_at = cmk_record_time();
    rec.purge_at = rec.deleted_at + (uint64_t)rec.retention_days * DAY;
    rc = cmk_vault_rec_put(view, &rec, view->vault_row.revision);
    return rc == CMK_OK ? cmk_view_write(view) : rc;
}

static cmk_rc may_go(cmk_view *view)
{
    const cmk_vault_rec *rec = cmk_view_vault(view);
    if (rec->state != CMK_VAULT_LIVE)
        return cmk_fail(CMK_E_NOT_FOUND, "the vault is deleted");
    if (rec->purge_protection && cmk_view_count(view, CMK_KIND_KEY) > 0)
        return cmk_fail(CMK_E_PROTECTED, "purge protection is on and the vault has keys: it can't be initialised anew");
    return CMK_OK;
}

/* Roots that are as they were made: there never was a key, nor an object. */
static bool never_used(cmk_view *view)
{
    return cmk_view_change(view, CMK_TREE_OFFICER) == 1 && cmk_view_change(view, CMK_TREE_OBJECT) == 1;
}

static cmk_rc name_free(const cmk_vaults_seen *seen, const cmk_id *old, cmk_bytes name)
{
    for (size_t i = 0; i < seen->count; i++) {
        const cmk_vault_seen *s = &seen->all[i];
        if (s->row && s->state == CMK_VAULT_LIVE && !cmk_id_equal(&s->id, old) &&
            cmk_bytes_equal(cmk_bytes_of(s->name, s->name_len), name))
            return cmk_fail(CMK_E_EXISTS, "there is a vault of that name already");
    }
    return CMK_OK;
}

/* Both vaults in one transaction. draft gets the old one's slot and serial number. */
static cmk_rc replace(cmk_login *so, cmk_vault *fresh, cmk_vault_draft *draft)
{
    cmk_core *core = so->vault->core;
    CMK_TXN_AUTO *txn = NULL;
    CMK_VIEW_AUTO *old = NULL;
    CMK_VIEW_AUTO *made = NULL;
    CMK_VAULTS_SEEN_AUTO seen = {NULL, 0, 0};
    cmk_signers signers;
    cmk_login_signers(so, &signers);
    cmk_rc rc = cmk_txn_begin(core->store, CMK_TXN_WRITE, &txn);
    if (rc == CMK_OK)
        rc = cmk_view_attach(so->vault, txn, false, &signers, &old);
    if (rc == CMK_OK)
        rc = cmk_login_check_in(so, old);
    if (rc == CMK_OK)
        rc = may_go(old);
    if (rc == CMK_OK)
        rc = cmk_vaults_look(txn, false, &seen);
    if (rc == CMK_OK)
        rc = name_free(&seen, &so->vault->id, draft->rec.name);
    if (rc != CMK_OK)
        return rc;
    uint32_t slot = cmk_view_vault(old)->slot;
    bool unused = never_used(old);
    memcpy(draft->serial, cmk_view_vault(old)->serial.data, CMK_SERIAL_SIZE);
    rc = unused ? remove_all(txn, &so->vault->id) : soft_delete(old, &so->principal, cmk_vaults_free_slot(&seen));
    if (rc == CMK_OK)
        rc = cmk_vault_draft_write(fresh, txn, draft, slot, &made);
    if (rc == CMK_OK)
        rc = cmk_view_commit_txn(made, &txn);
    if (rc != CMK_OK)
        return rc;
    cmk_view_settle(&made);
    if (!unused)
        cmk_view_settle(&old);
    atomic_store(&so->vault->generation, 0); /* gone or deleted: nobody may take it for fresh */
    return CMK_OK;
}

cmk_rc cmk_vault_reinit(cmk_vault *vault, cmk_bytes name, cmk_bytes so_pin, cmk_vault_info *out)
{
    CMK_VAULT_DRAFT_AUTO draft = {0};
    const cmk_who who = {.kind = CMK_WHO_SO};
    const cmk_vault_spec spec = {.name = name, .so_pin = so_pin};
    cmk_login *so = NULL;
    CMK_VAULT_AUTO *fresh = NULL;
    cmk_rc rc = cmk_name_check(CMK_NAME_VAULT, name);
    if (rc == CMK_OK)
        rc = cmk_login_open(vault, &who, so_pin, &so);
    if (rc == CMK_OK && !cmk_policy_allows(so->role, CMK_ACT_VAULT_MANAGE))
        rc = cmk_fail(CMK_E_FORBIDDEN, "only the SO initialises a vault anew");
    if (rc == CMK_OK)
        rc = cmk_vault_draft_make(&spec, &draft);
    if (rc == CMK_OK)
        rc = cmk_vault_by_id(vault->core, &draft.id, &fresh);
    if (rc == CMK_OK) {
        cmk_rwlock_read(&so->lock);
        rc = so->unlocked ? replace(so, fresh, &draft)
                          : cmk_fail(CMK_E_NOT_LOGGED_IN, "the SO was logged out meanwhile");
        cmk_rwlock_unlock(&so->lock);
    }
    cmk_login_put(so);
    return rc == CMK_OK ? cmk_vault_get_info(fresh, out) : rc;
}
