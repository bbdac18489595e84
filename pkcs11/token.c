/* Making tokens and setting PINs (PKCS#11 v3.0 §5.5.7 to §5.5.9). */
#include <string.h>

#include "pkcs11/module.h"
#include "util/log.h"

#define LABEL_SIZE 32
/* The principal that a plain CKU_USER PIN means. */
#define DEFAULT_PRINCIPAL "user"

/* ---- C_InitToken ---- */

/* A label is padded with blanks. */
static cmk_bytes label_of(const CK_UTF8CHAR *label)
{
    size_t n = LABEL_SIZE;
    while (n > 0 && label[n - 1] == ' ')
        n--;
    return cmk_bytes_of(label, n);
}

static CK_RV init_ckr(cmk_rc rc)
{
    switch (rc) {
    case CMK_E_NAME: /* the label can't be a vault's name, or is another's */
    case CMK_E_EXISTS:
        return CKR_ARGUMENTS_BAD;
    case CMK_E_PROTECTED:
        return CKR_TOKEN_WRITE_PROTECTED;
    case CMK_E_NOT_FOUND:
        return CKR_DEVICE_REMOVED;
    default:
        return cmk_ckr(rc);
    }
}

static bool has_sessions(cmk_slot *slot)
{
    CMK_WITH_MUTEX(&slot->lock);
    return slot->sessions > 0;
}

static cmk_rc init_slot(cmk_module *m, cmk_slot *slot, cmk_bytes so_pin, cmk_bytes name)
{
    cmk_core *core = NULL;
    cmk_vault_info info;
    const cmk_vault_spec spec = {.name = name, .so_pin = so_pin};
    if (slot->vault)
        return cmk_vault_reinit(slot->vault, name, so_pin, &info);
    cmk_rc rc = cmk_module_core(m, true, &core);
    return rc == CMK_OK ? cmk_vault_create(core, &spec, (uint32_t)slot->id, &info) : rc;
}

static CK_RV init_token(cmk_module *m, CK_SLOT_ID id, const CK_UTF8CHAR *pin, CK_ULONG pin_len,
                        const CK_UTF8CHAR *label)
{
    cmk_slot *slot = NULL;
    CK_RV rv = cmk_slot_get(m, id, &slot);
    if (rv != CKR_OK)
        return rv;
    if (!pin || !label)
        return CKR_ARGUMENTS_BAD;
    if (has_sessions(slot))
        return CKR_SESSION_EXISTS;
    cmk_rc rc = init_slot(m, slot, cmk_bytes_of(pin, pin_len), label_of(label));
    if (rc != CMK_OK) {
        cmk_log(CMK_LOG_INFO, "C_InitToken: %s: %s", cmk_rc_text(rc), cmk_fail_detail());
        return init_ckr(rc);
    }
    return cmk_slot_get(m, id, &slot); /* shows the new vault */
}

/* §5.5.7 C_InitToken */
CK_RV C_InitToken(CK_SLOT_ID slotID, CK_UTF8CHAR_PTR pPin, CK_ULONG ulPinLen, CK_UTF8CHAR_PTR pLabel)
{
    cmk_module *m = NULL;
    CK_RV rv = cmk_enter(&m);
    return rv == CKR_OK ? cmk_leave(__func__, init_token(m, slotID, pPin, ulPinLen, pLabel)) : rv;
}

/* ---- C_InitPIN ---- */

static CK_RV init_pin(cmk_module *m, CK_SESSION_HANDLE handle, const CK_UTF8CHAR *pin, CK_ULONG pin_len)
{
    cmk_session *s = NULL;
    cmk_login *login = NULL;
    CK_RV rv = cmk_session_get(m, handle, &s);
    if (rv == CKR_OK && !pin)
        rv = CKR_ARGUMENTS_BAD;
    if (rv == CKR_OK) {
        login = cmk_session_login(m, s);
        rv = login && cmk_login_role(login) == CMK_ROLE_ADMIN ? CKR_OK : CKR_USER_NOT_LOGGED_IN;
    }
    if (rv == CKR_OK)
        rv = cmk_ckr(cmk_pin_init_user(login, cmk_bytes_of(pin, pin_len)));
    cmk_login_put(login);
    cmk_session_put(s);
    return rv;
}

/* §5.5.8 C_InitPIN */
CK_RV C_InitPIN(CK_SESSION_HANDLE hSession, CK_UTF8CHAR_PTR pPin, CK_ULONG ulPinLen)
{
    cmk_module *m = NULL;
    CK_RV rv = cmk_enter(&m);
    return rv == CKR_OK ? cmk_leave(__func__, init_pin(m, hSession, pPin, ulPinLen)) : rv;
}

/* ---- C_SetPIN ---- */

/* Without "name:" in front, if that is what it begins with. */
static cmk_bytes without_name(cmk_bytes pin, cmk_bytes name)
{
    cmk_who who;
    cmk_bytes secret;
    cmk_pin_split(pin, &who, &secret);
    return who.kind == CMK_WHO_NAMED && cmk_bytes_equal(who.name, name) ? secret : pin;
}

/* Whose PIN, and what of the two arguments is the PIN: of who is logged in; of the user that the old PIN names when
 * nobody is. */
static void whose_pin(const cmk_login *login, cmk_bytes *old_pin, cmk_bytes *new_pin, cmk_who *who)
{
    *who = (cmk_who){.kind = CMK_WHO_SO};
    if (login && cmk_login_role(login) == CMK_ROLE_ADMIN)
        return;
    cmk_bytes name = cmk_bytes_str(DEFAULT_PRINCIPAL);
    cmk_bytes secret;
    if (login)
        name = cmk_bytes_str(cmk_login_name(login));
    else
        cmk_pin_split(*old_pin, who, &secret);
    if (who->kind == CMK_WHO_NAMED)
        name = who->name;
    *old_pin = without_name(*old_pin, name);
    *new_pin = without_name(*new_pin, name);
    bool is_default = cmk_bytes_equal(name, cmk_bytes_str(DEFAULT_PRINCIPAL));
    *who = (cmk_who){.kind = is_default ? CMK_WHO_USER : CMK_WHO_NAMED, .name = name};
}

static CK_RV set_pin(cmk_module *m, CK_SESSION_HANDLE handle, cmk_bytes old_pin, cmk_bytes new_pin)
{
    cmk_session *s = NULL;
    cmk_who who;
    CK_RV rv = cmk_session_get(m, handle, &s);
    if (rv == CKR_OK && (!old_pin.data || !new_pin.data))
        rv = CKR_ARGUMENTS_BAD;
    if (rv == CKR_OK && !s->rw)
        rv = CKR_SESSION_READ_ONLY;
    if (rv == CKR_OK)
        rv = cmk_slot_check(m, s->slot);
    if (rv == CKR_OK) {
        cmk_login *login = cmk_session_login(m, s);
        whose_pin(login, &old_pin, &new_pin, &who);
        rv = cmk_ckr(cmk_pin_change(s->slot->vault, &who, old_pin, new_pin));
        cmk_login_put(login);
    }
    cmk_session_put(s);
    return rv;
}

/* §5.5.9 C_SetPIN */
CK_RV C_SetPIN(CK_SESSION_HANDLE hSession, CK_UTF8CHAR_PTR pOldPin, CK_ULONG ulOldLen, CK_UTF8CHAR_PTR pNewPin,
               CK_ULONG ulNewLen)
{
    cmk_module *m = NULL;
    CK_RV rv = cmk_enter(&m);
    if (rv != CKR_OK)
        return rv;
    return cmk_leave(__func__, set_pin(m, hSession, cmk_bytes_of(pOldPin, ulOldLen), cmk_bytes_of(pNewPin, ulNewLen)));
}
