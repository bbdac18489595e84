/* Logging in and out (PKCS#11 v3.0 §5.6). A login belongs to the application: all its sessions with the token share it.
 */
#include <string.h>

#include "pkcs11/module.h"
#include "util/log.h"

/* The principal that a plain CKU_USER PIN means. */
#define DEFAULT_PRINCIPAL "user"
#define SO_PRINCIPAL "so"

/* ---- the login of a session ---- */

cmk_login *cmk_session_login_held(cmk_session *s)
{
    CMK_WITH_MUTEX(&s->slot->lock);
    return s->slot->login ? cmk_login_take(s->slot->login) : NULL;
}

cmk_login *cmk_session_login(cmk_module *m, cmk_session *s)
{
    cmk_slot *slot = s->slot;
    cmk_login *login = cmk_session_login_held(s);
    if (!login)
        return NULL;
    cmk_rc rc = cmk_login_check(login);
    if (rc == CMK_OK)
        return login;
    if (rc == CMK_E_NOT_LOGGED_IN) {
        /* Revoked; or the vault is gone, which then shows as a token that was removed. */
        (void)cmk_slot_logout(m, slot, login);
        (void)cmk_slot_check(m, slot);
    } else {
        cmk_log(CMK_LOG_ERROR, "the login can't be checked, so it does not count: %s: %s", cmk_rc_text(rc),
                cmk_fail_detail());
    }
    cmk_login_put(login);
    return NULL;
}

/* ---- logging in ---- */

typedef struct login_request {
    CK_USER_TYPE user;
    cmk_who who;
    cmk_bytes pin;
} login_request;

static bool is_same(const cmk_slot *slot, const login_request *r)
{
    if (slot->user != r->user)
        return false;
    if (r->user == CKU_SO)
        return true;
    cmk_bytes name = r->who.kind == CMK_WHO_NAMED ? r->who.name : cmk_bytes_str(DEFAULT_PRINCIPAL);
    return cmk_bytes_equal(name, cmk_bytes_str(cmk_login_name(slot->login)));
}

/* May r log in as things are? With the slot's lock. */
static CK_RV may_log_in(const cmk_session *s, const login_request *r)
{
    const cmk_slot *slot = s->slot;
    if (s->closed)
        return CKR_SESSION_CLOSED;
    if (slot->login)
        return is_same(slot, r) ? CKR_USER_ALREADY_LOGGED_IN : CKR_USER_ANOTHER_ALREADY_LOGGED_IN;
    return r->user == CKU_SO && slot->ro_sessions > 0 ? CKR_SESSION_READ_ONLY_EXISTS : CKR_OK;
}

static CK_RV check_first(cmk_module *m, cmk_session *s, const login_request *r)
{
    CK_RV rv = cmk_slot_check(m, s->slot);
    if (rv != CKR_OK)
        return rv;
    cmk_login_put(cmk_session_login(m, s)); /* ends one that was revoked */
    CMK_WITH_MUTEX(&s->slot->lock);
    return may_log_in(s, r);
}

/* Whatever is wrong with a PIN that is not the right one is told in one way. */
static CK_RV login_ckr(cmk_rc rc)
{
    return rc == CMK_E_PIN_LENGTH || rc == CMK_E_PIN_INVALID ? CKR_PIN_INCORRECT : cmk_ckr(rc);
}

/* scrypt runs without any lock, so all that was checked before is checked again. */
static CK_RV log_in(cmk_module *m, cmk_session *s, const login_request *r)
{
    cmk_slot *slot = s->slot;
    cmk_login *login = NULL;
    CK_RV rv = check_first(m, s, r);
    if (rv != CKR_OK)
        return rv;
    cmk_rc rc = cmk_login_open(slot->vault, &r->who, r->pin, &login);
    if (rc == CMK_E_NOT_FOUND && cmk_slot_check(m, slot) == CKR_DEVICE_REMOVED)
        return CKR_DEVICE_REMOVED;
    if (rc != CMK_OK)
        return login_ckr(rc);
    cmk_mutex_lock(&slot->lock);
    rv = may_log_in(s, r);
    if (rv == CKR_OK) {
        slot->login = login;
        slot->user = r->user;
    }
    cmk_mutex_unlock(&slot->lock);
    if (rv == CKR_OK)
        return rv;
    cmk_login_end(login);
    cmk_login_put(login);
    return rv;
}

static CK_RV plain_request(CK_USER_TYPE user, const CK_UTF8CHAR *pin, CK_ULONG pin_len, login_request *out)
{
    *out = (login_request){.user = user, .pin = cmk_bytes_of(pin, pin_len)};
    if (user == CKU_SO)
        out->who.kind = CMK_WHO_SO;
    else if (user == CKU_USER)
        cmk_pin_split(out->pin, &out->who, &out->pin);
    else
        /* Only keys with CKA_ALWAYS_AUTHENTICATE would ask for it, and there are none. */
        return user == CKU_CONTEXT_SPECIFIC ? CKR_OPERATION_NOT_INITIALIZED : CKR_USER_TYPE_INVALID;
    return CKR_OK;
}

static CK_RV named_request(CK_USER_TYPE user, cmk_bytes name, cmk_bytes pin, login_request *out)
{
    *out = (login_request){.user = user, .pin = pin};
    if (user == CKU_CONTEXT_SPECIFIC)
        return CKR_OPERATION_NOT_INITIALIZED;
    if (user == CKU_SO)
        out->who.kind = CMK_WHO_SO;
    else if (cmk_bytes_equal(name, cmk_bytes_str(DEFAULT_PRINCIPAL)))
        out->who.kind = CMK_WHO_USER;
    else
        out->who = (cmk_who){.kind = CMK_WHO_NAMED, .name = name};
    bool so_by_name = cmk_bytes_equal(name, cmk_bytes_str(SO_PRINCIPAL));
    return user > CKU_USER || (user == CKU_SO && !so_by_name) ? CKR_USER_TYPE_INVALID : CKR_OK;
}

static CK_RV login_with(cmk_module *m, CK_SESSION_HANDLE handle, CK_RV checked, const login_request *r)
{
    cmk_session *s = NULL;
    CK_RV rv = cmk_session_get(m, handle, &s);
    if (rv == CKR_OK)
        rv = checked;
    if (rv == CKR_OK && !r->pin.data)
        rv = CKR_ARGUMENTS_BAD; /* there is no protected authentication path */
    if (rv == CKR_OK)
        rv = log_in(m, s, r);
    cmk_session_put(s);
    return rv;
}

/* §5.6.8 C_Login. The PIN of CKU_USER may be "name:secret". */
CK_RV C_Login(CK_SESSION_HANDLE hSession, CK_USER_TYPE userType, CK_UTF8CHAR_PTR pPin, CK_ULONG ulPinLen)
{
    cmk_module *m = NULL;
    login_request r = {.user = userType};
    CK_RV rv = cmk_enter(&m);
    if (rv != CKR_OK)
        return rv;
    CK_RV checked = plain_request(userType, pPin, pPin ? ulPinLen : 0, &r);
    return cmk_leave(__func__, login_with(m, hSession, checked, &r));
}

/* §5.6.9 C_LoginUser */
CK_RV C_LoginUser(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG pin_len,
                  CK_UTF8CHAR *username, CK_ULONG username_len)
{
    cmk_module *m = NULL;
    login_request r = {.user = user};
    CK_RV rv = cmk_enter(&m);
    if (rv != CKR_OK)
        return rv;
    CK_RV checked = CKR_ARGUMENTS_BAD;
    if (username_len == 0)
        checked = plain_request(user, pin, pin ? pin_len : 0, &r);
    else if (username)
        checked = named_request(user, cmk_bytes_of(username, username_len), cmk_bytes_of(pin, pin ? pin_len : 0), &r);
    return cmk_leave(__func__, login_with(m, session, checked, &r));
}

/* ---- logging out ---- */

static CK_RV log_out(cmk_module *m, CK_SESSION_HANDLE handle)
{
    cmk_session *s = NULL;
    CK_RV rv = cmk_session_get(m, handle, &s);
    if (rv == CKR_OK)
        rv = cmk_slot_logout(m, s->slot, NULL) ? CKR_OK : CKR_USER_NOT_LOGGED_IN;
    cmk_session_put(s);
    return rv;
}

/* §5.6.10 C_Logout */
CK_RV C_Logout(CK_SESSION_HANDLE hSession)
{
    cmk_module *m = NULL;
    CK_RV rv = cmk_enter(&m);
    return rv == CKR_OK ? cmk_leave(__func__, log_out(m, hSession)) : rv;
}
