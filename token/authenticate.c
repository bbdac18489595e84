/* Verifying a PIN: the order of docs/decisions/0001. */
#include <string.h>

#include "token/principal.h"
#include "util/clock.h"

void cmk_authenticated_clear(cmk_authenticated *a)
{
    cmk_principal_clear(&a->principal);
    cmk_secret_free(a->opened);
    cmk_secret_free(a->unlocked);
    a->opened = NULL;
    a->unlocked = NULL;
}

/* Who is meant, and how often they may guess. known is false for nobody, which is told only as a wrong PIN. */
typedef struct target {
    bool known;
    cmk_id id;
    uint32_t threshold;
} target;

static cmk_rc find_target(cmk_vault *vault, const cmk_who *who, cmk_bytes *name, target *out)
{
    CMK_VIEW_AUTO *view = NULL;
    uint8_t id[CMK_RECORD_ID_MAX];
    size_t id_len = 0;
    cmk_rc named = cmk_who_name(who, name);
    cmk_rc rc = cmk_view_open(vault, CMK_TXN_READ, NULL, &view);
    if (rc != CMK_OK)
        return rc;
    if (cmk_view_vault(view)->state != CMK_VAULT_LIVE)
        return cmk_fail(CMK_E_NOT_FOUND, "the vault is deleted");
    /* Nobody's attempts are booked to nobody's account and taken back: the same work, and nothing to fill up. */
    *out = (target){.threshold = UINT32_MAX};
    rc = named == CMK_OK ? cmk_view_lookup(view, CMK_INDEX_PRINCIPAL_NAME, *name, id, &id_len) : named;
    if (rc == CMK_E_NOT_FOUND && who->kind == CMK_WHO_SO)
        return cmk_fail(CMK_E_TAMPERED, "the vault has no SO");
    if (rc == CMK_E_NOT_FOUND && who->kind == CMK_WHO_USER)
        return cmk_fail(CMK_E_PIN_NOT_SET, "the user PIN is not set: the SO sets it (C_InitPIN)");
    if (rc == CMK_E_NOT_FOUND)
        return CMK_OK;
    if (rc != CMK_OK)
        return rc;
    if (id_len != CMK_ID_SIZE)
        return cmk_fail(CMK_E_TAMPERED, "a principal's name that leads to no id");
    out->known = true;
    out->threshold = cmk_view_vault(view)->pin_attempts;
    memcpy(out->id.b, id, CMK_ID_SIZE);
    return CMK_OK;
}

/* What is needed of the VAULT record after its view is closed. */
typedef struct vault_keys {
    uint32_t admin_generation;
    uint8_t admin_public[CMK_CURVE_KEY_SIZE];
    uint8_t officer_public[CMK_CURVE_KEY_SIZE];
} vault_keys;

static cmk_rc read_records(cmk_vault *vault, cmk_bytes name, const target *who, cmk_authenticated *out,
                           vault_keys *keys)
{
    CMK_VIEW_AUTO *view = NULL;
    cmk_attempts attempts = {0};
    cmk_rc rc = cmk_view_open(vault, CMK_TXN_READ, NULL, &view);
    if (rc == CMK_OK)
        rc = cmk_principal_read(view, name, false, &out->principal);
    if (rc != CMK_OK)
        return rc;
    const cmk_vault_rec *rec = cmk_view_vault(view);
    keys->admin_generation = rec->admin_generation;
    memcpy(keys->admin_public, rec->admin_public, CMK_CURVE_KEY_SIZE);
    memcpy(keys->officer_public, rec->officer_public, CMK_CURVE_KEY_SIZE);
    memcpy(out->admin_public, rec->admin_public, CMK_CURVE_KEY_SIZE);
    out->admin_change = cmk_view_change(view, CMK_TREE_ADMIN);
    cmk_view_close(&view);
    if (!cmk_id_equal(&out->principal.id, &who->id))
        return CMK_E_NOT_FOUND; /* removed and made again since: not the one whose attempt this is */
    rc = cmk_attempts_read(vault->core->store, &vault->id, &who->id, &attempts);
    if (rc == CMK_OK && out->principal.credential_row.revision < attempts.credential_revision)
        rc = cmk_fail(CMK_E_ROLLBACK, "the credential of \"%.*s\" is older than one that has been used already",
                      (int)name.len, (const char *)name.data);
    return rc;
}

static bool usable(const cmk_principal_rec *rec)
{
    int64_t now = cmk_now();
    return rec->state == CMK_PRINCIPAL_ACTIVE && (rec->expires == 0 || (now >= 0 && (uint64_t)now < rec->expires));
}

/* The same work as for somebody who exists. */
static cmk_rc pretend(cmk_bytes pin)
{
    cmk_scrypt_params params;
    uint8_t *key = cmk_secret_alloc(CMK_KEY_SIZE);
    if (!key)
        return CMK_E_LOCKED_MEMORY;
    cmk_rc rc = cmk_scrypt_default(&params);
    if (rc == CMK_OK)
        rc = cmk_scrypt(&params, pin, key);
    cmk_secret_free(key);
    return rc == CMK_OK ? cmk_fail(CMK_E_PIN_INCORRECT, "wrong name or PIN") : rc;
}

/* The signing halves must be those that the vault names, or what they sign would spoil it. */
static cmk_rc check_signers(const cmk_unlocked *u, const vault_keys *keys)
{
    cmk_rc rc = CMK_OK;
    for (size_t i = 0; i < u->count && rc == CMK_OK; i++) {
        if (u->keys[i].what == CMK_SEAL_ADMIN_KEY)
            rc = cmk_ed25519_check_pair(u->keys[i].key, keys->admin_public);
        else if (u->keys[i].what == CMK_SEAL_OFFICER_KEY)
            rc = cmk_ed25519_check_pair(u->keys[i].key, keys->officer_public);
    }
    return rc;
}

static cmk_rc open_credential(cmk_vault *vault, cmk_bytes pin, const vault_keys *keys, cmk_authenticated *a)
{
    cmk_principal *p = &a->principal;
    a->opened = cmk_secret_alloc(sizeof(*a->opened));
    if (!a->opened)
        return cmk_fail(CMK_E_LOCKED_MEMORY, "no memory for a login: look at RLIMIT_MEMLOCK");
    cmk_rc rc = cmk_credential_open(&vault->id, &p->id, p->credential_row.revision, pin, &p->credential, a->opened);
    if (rc != CMK_OK)
        return rc;
    if (a->opened->admin_generation != keys->admin_generation ||
        !cmk_equal_ct(a->opened->admin_public, keys->admin_public, CMK_CURVE_KEY_SIZE))
        return cmk_fail(CMK_E_TAMPERED, "the vault's admin key is not the one that the credential vouches for");
    rc = cmk_unseal_keys(&vault->id, &p->id, a->opened->x25519, p->rec.x25519_public, p->sealed.revision,
                         cmk_buf_view(&p->sealed.body), &a->unlocked);
    if (rc == CMK_OK)
        memcpy(a->unlocked->log, a->opened->log, CMK_CURVE_KEY_SIZE);
    return rc == CMK_OK ? check_signers(a->unlocked, keys) : rc;
}

cmk_rc cmk_authenticate(cmk_vault *vault, const cmk_who *who, cmk_bytes pin, cmk_authenticated *out)
{
    cmk_store *store = vault->core->store;
    cmk_bytes name;
    target t = {.threshold = 0};
    vault_keys keys;
    memset(out, 0, sizeof(*out));
    if (pin.len > CMK_PIN_MAX)
        pin = cmk_bytes_of("", 0); /* as wrong as that, and no length that nobody can have typed is read */
    cmk_rc rc = find_target(vault, who, &name, &t);
    if (rc == CMK_OK)
        rc = cmk_attempt_reserve(store, &vault->id, &t.id, t.threshold, &out->ticket);
    if (rc == CMK_E_PIN_LOCKED)
        return cmk_fail(rc, "locked after %u wrong PINs: the SO unlocks", t.threshold);
    if (rc != CMK_OK)
        return rc;
    if (t.known)
        rc = read_records(vault, name, &t, out, &keys);
    bool nobody = !t.known || rc == CMK_E_NOT_FOUND || (rc == CMK_OK && !usable(&out->principal.rec));
    if (nobody)
        rc = pretend(pin);
    else if (rc == CMK_OK)
        rc = open_credential(vault, pin, &keys, out);
    if (rc == CMK_OK)
        return CMK_OK;
    cmk_attempt_result result = rc == CMK_E_PIN_INCORRECT && !nobody ? CMK_ATTEMPT_FAILED : CMK_ATTEMPT_VOID;
    cmk_rc settled = cmk_attempt_settle(store, &vault->id, &t.id, out->ticket, result, 0);
    return settled == CMK_OK || rc != CMK_E_PIN_INCORRECT ? rc : settled;
}
