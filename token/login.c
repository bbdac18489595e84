/* Logins: what a PIN has opened, for as long as its principal may use it. */
#include <stdlib.h>
#include <string.h>

#include "token/principal.h"
#include "util/clock.h"

static void lend_object_mac(cmk_vault *vault, const cmk_unlocked *u, bool *ok)
{
    cmk_rwlock_write(&vault->lock);
    if (!vault->object_mac)
        vault->object_mac = cmk_secret_alloc(CMK_KEY_SIZE);
    *ok = vault->object_mac != NULL;
    if (*ok) {
        memcpy(vault->object_mac, u->object_mac, CMK_KEY_SIZE);
        vault->object_mac_users++;
        atomic_store(&vault->generation, 0); /* the object tree's root can be verified now: look again */
    }
    cmk_rwlock_unlock(&vault->lock);
}

static void take_back_object_mac(cmk_vault *vault)
{
    cmk_rwlock_write(&vault->lock);
    if (--vault->object_mac_users == 0) {
        cmk_secret_free(vault->object_mac);
        vault->object_mac = NULL;
    }
    cmk_rwlock_unlock(&vault->lock);
}

static bool has_key(const cmk_unlocked *u, uint8_t what)
{
    for (size_t i = 0; u && i < u->count; i++)
        if (u->keys[i].what == what)
            return true;
    return false;
}

void cmk_login_end(cmk_login *login)
{
    if (!login)
        return;
    atomic_store(&login->ended, true);
    cmk_rwlock_write(&login->lock);
    cmk_unlocked *u = login->unlocked;
    login->unlocked = NULL;
    cmk_rwlock_unlock(&login->lock);
    if (has_key(u, CMK_SEAL_OBJECT_KEY))
        take_back_object_mac(login->vault);
    cmk_secret_free(u);
    if (login->prepared)
        cmk_prepared_cache_clear(login->prepared);
}

static void login_destroy(cmk_ref *ref)
{
    cmk_login *login = (cmk_login *)(void *)ref; /* ref is its first member */
    cmk_login_end(login);
    cmk_prepared_cache_free(login->prepared);
    cmk_vault_put(login->vault);
    cmk_rwlock_destroy(&login->lock);
    free(login);
}

cmk_login *cmk_login_take(cmk_login *login)
{
    cmk_ref_take(&login->ref);
    return login;
}

void cmk_login_put(cmk_login *login)
{
    if (login)
        cmk_ref_put(&login->ref);
}

/* Takes the keys over from a. */
static cmk_rc login_new(cmk_vault *vault, cmk_authenticated *a, cmk_login **out)
{
    const cmk_principal_rec *rec = &a->principal.rec;
    cmk_login *login = calloc(1, sizeof(*login));
    bool ok = true;
    if (!login)
        return CMK_E_NO_MEMORY;
    cmk_ref_init(&login->ref, login_destroy);
    cmk_rwlock_init(&login->lock, CMK_RANK_LOGIN, "login");
    cmk_ref_take(&vault->ref);
    login->vault = vault;
    login->principal = a->principal.id;
    login->role = (cmk_role)rec->role;
    memcpy(login->name, rec->name.data, rec->name.len); /* at most CMK_PRINCIPAL_NAME_MAX by its decoder */
    login->credential_revision = a->principal.credential_row.revision;
    login->expires = (int64_t)rec->expires;
    memcpy(login->x25519_public, rec->x25519_public, CMK_CURVE_KEY_SIZE);
    atomic_init(&login->admin_change, a->admin_change);
    atomic_init(&login->ended, false);
    login->prepared = cmk_prepared_cache_new();
    if (login->prepared && has_key(a->unlocked, CMK_SEAL_OBJECT_KEY))
        lend_object_mac(vault, a->unlocked, &ok);
    if (!login->prepared || !ok) {
        cmk_login_put(login);
        return CMK_E_NO_MEMORY;
    }
    login->unlocked = a->unlocked;
    a->unlocked = NULL;
    *out = login;
    return CMK_OK;
}

cmk_rc cmk_login_open(cmk_vault *vault, const cmk_who *who, cmk_bytes pin, cmk_login **out)
{
    CMK_AUTHENTICATED_AUTO a = {0};
    cmk_login *login = NULL;
    *out = NULL;
    cmk_rc rc = cmk_authenticate(vault, who, pin, &a);
    if (rc != CMK_OK)
        return rc;
    cmk_vault_set_anchor(vault, a.admin_public);
    rc = login_new(vault, &a, &login);
    cmk_attempt_result result = rc == CMK_OK ? CMK_ATTEMPT_SUCCEEDED : CMK_ATTEMPT_VOID;
    cmk_rc settled = cmk_attempt_settle(vault->core->store, &vault->id, &a.principal.id, a.ticket, result,
                                        a.principal.credential_row.revision);
    if (rc == CMK_OK)
        rc = settled;
    if (rc == CMK_OK)
        rc = cmk_login_check(login); /* the scrypt took its time: is it still so? */
    if (rc == CMK_E_NOT_LOGGED_IN)
        rc = cmk_fail(CMK_E_PIN_INCORRECT, "wrong name or PIN");
    if (rc == CMK_OK)
        *out = login;
    else
        cmk_login_put(login);
    return rc;
}

static cmk_rc revoked_error(const cmk_login *login)
{
    return cmk_fail(CMK_E_NOT_LOGGED_IN, "the login of \"%s\" was revoked", login->name);
}

/* Does the principal still stand as it did at the login? */
cmk_rc cmk_login_check_in(cmk_login *login, cmk_view *view)
{
    CMK_RECORD_AUTO row = {0};
    cmk_principal_rec rec;
    const cmk_record_key key = cmk_rkey_id(&login->vault->id, CMK_KIND_PRINCIPAL, &login->principal);
    if (atomic_load(&login->admin_change) == cmk_view_change(view, CMK_TREE_ADMIN))
        return CMK_OK;
    cmk_rc rc = cmk_view_get(view, &key, &row);
    if (rc == CMK_E_NOT_FOUND)
        return revoked_error(login);
    if (rc == CMK_OK)
        rc = cmk_principal_rec_decode(cmk_buf_view(&row.body), &rec);
    if (rc != CMK_OK)
        return rc;
    bool revoked = rec.state != CMK_PRINCIPAL_ACTIVE || (cmk_role)rec.role != login->role ||
                   rec.min_credential > login->credential_revision ||
                   rec.expires != (uint64_t)login->expires || /* a new date counts from the next login on */
                   memcmp(rec.x25519_public, login->x25519_public, CMK_CURVE_KEY_SIZE) != 0;
    if (revoked)
        return revoked_error(login);
    atomic_store(&login->admin_change, cmk_view_change(view, CMK_TREE_ADMIN));
    return CMK_OK;
}

static cmk_rc check_again(cmk_login *login)
{
    CMK_VIEW_AUTO *view = NULL;
    cmk_rc rc = cmk_view_open(login->vault, CMK_TXN_READ, NULL, &view);
    return rc == CMK_OK ? cmk_login_check_in(login, view) : rc;
}

cmk_rc cmk_login_check(cmk_login *login)
{
    if (!login || atomic_load(&login->ended))
        return cmk_fail(CMK_E_NOT_LOGGED_IN, "not logged in");
    cmk_rc rc = cmk_vault_refresh(login->vault);
    if (rc == CMK_OK && login->expires != 0 && cmk_now() >= login->expires)
        rc = revoked_error(login);
    else if (rc == CMK_OK && atomic_load(&login->admin_change) != atomic_load(&login->vault->change[CMK_TREE_ADMIN]))
        rc = check_again(login);
    if (rc == CMK_E_NOT_FOUND) /* the whole vault */
        rc = revoked_error(login);
    if (rc == CMK_E_NOT_LOGGED_IN)
        cmk_login_end(login);
    return rc;
}

cmk_role cmk_login_role(const cmk_login *login)
{
    return login->role;
}

const char *cmk_login_name(const cmk_login *login)
{
    return login->name;
}

const uint8_t *cmk_login_key(const cmk_login *login, uint8_t what, const cmk_id *id, uint32_t generation,
                             uint32_t *generation_out)
{
    const cmk_unlocked *u = login->unlocked;
    const cmk_gen_key *best = NULL;
    for (size_t i = 0; u && i < u->count; i++) {
        const cmk_gen_key *k = &u->keys[i];
        if (k->what != what || (id && !cmk_id_equal(&k->id, id)) || (generation != 0 && k->generation != generation))
            continue;
        if (!best || k->generation > best->generation)
            best = k;
    }
    if (best && generation_out)
        *generation_out = best->generation;
    return best ? best->key : NULL;
}

void cmk_login_signers(const cmk_login *login, cmk_signers *out)
{
    *out = (cmk_signers){.principal = login->principal};
    out->admin = cmk_login_key(login, CMK_SEAL_ADMIN_KEY, NULL, 0, NULL);
    out->officer = cmk_login_key(login, CMK_SEAL_OFFICER_KEY, NULL, 0, NULL);
    if (cmk_login_key(login, CMK_SEAL_OBJECT_KEY, NULL, 0, NULL))
        out->object_mac = login->unlocked->object_mac;
}
