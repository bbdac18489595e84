/* Sessions (PKCS#11 v3.0 §5.6), but for logging in: login.c. */
#include <stdlib.h>

#include "pkcs11/kobject.h"

/* ---- handles ---- */

static void session_destroy(cmk_ref *ref)
{
    cmk_session *s = (cmk_session *)(void *)ref; /* ref is its first member */
    cmk_search_free(s->search);
    cmk_crypt_free(s->encrypt);
    cmk_crypt_free(s->decrypt);
    cmk_mutex_destroy(&s->lock);
    free(s);
}

CK_RV cmk_session_get(cmk_module *m, CK_SESSION_HANDLE handle, cmk_session **out)
{
    cmk_session *s = (cmk_session *)(void *)cmk_handle_get(m->sessions, handle);
    *out = NULL;
    if (!s)
        return CKR_SESSION_HANDLE_INVALID;
    if (atomic_load(&s->slot->removed)) {
        cmk_session_put(s);
        return CKR_DEVICE_REMOVED;
    }
    *out = s;
    return CKR_OK;
}

void cmk_session_put(cmk_session *s)
{
    if (s)
        cmk_ref_put(&s->ref);
}

/* ---- calls ---- */

CK_RV cmk_call_begin(cmk_call *c, CK_SESSION_HANDLE session)
{
    *c = (cmk_call){0};
    CK_RV rv = cmk_enter(&c->m);
    if (rv != CKR_OK) {
        c->m = NULL;
        return rv;
    }
    rv = cmk_session_get(c->m, session, &c->s);
    if (rv != CKR_OK)
        c->s = NULL;
    return rv;
}

CK_RV cmk_call_end(cmk_call *c, const char *function, CK_RV rv)
{
    if (rv == CKR_USER_NOT_LOGGED_IN && c->login && !c->asked)
        (void)cmk_call_login(c); /* revoked, as its use has shown: ends it for the slot */
    cmk_login_put(c->login);
    if (c->s && rv != CKR_OK)
        rv = cmk_slot_error(c->m, c->s->slot, rv);
    if (c->s)
        cmk_session_put(c->s);
    return c->m ? cmk_leave(function, rv) : rv;
}

cmk_login *cmk_call_login(cmk_call *c)
{
    if (!c->asked) {
        cmk_login_put(c->login);
        c->login = cmk_session_login(c->m, c->s);
    }
    c->asked = true;
    return c->login;
}

cmk_login *cmk_call_holder(cmk_call *c)
{
    if (!c->asked && !c->login)
        c->login = cmk_session_login_held(c->s);
    return c->login;
}

cmk_login *cmk_call_user(cmk_call *c)
{
    cmk_login *login = cmk_call_login(c);
    return login && cmk_login_role(login) != CMK_ROLE_ADMIN ? login : NULL;
}

/* ---- opening ---- */

static cmk_session *session_new(cmk_slot *slot, CK_FLAGS flags, CK_VOID_PTR application, CK_NOTIFY notify)
{
    cmk_session *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    cmk_ref_init(&s->ref, session_destroy);
    cmk_mutex_init(&s->lock, CMK_RANK_SESSION, "session");
    s->slot = slot;
    s->rw = (flags & CKF_RW_SESSION) != 0;
    s->application = application;
    s->notify = notify;
    return s;
}

/* Under the slot's lock, so that a login of the SO and a read-only session can't pass each other. */
static CK_RV session_add(cmk_module *m, cmk_session *s)
{
    cmk_slot *slot = s->slot;
    uint64_t handle = 0;
    CMK_WITH_MUTEX(&slot->lock);
    if (!s->rw && slot->login && slot->user == CKU_SO)
        return CKR_SESSION_READ_WRITE_SO_EXISTS;
    cmk_rc rc = cmk_handle_add(m->sessions, &s->ref, &handle);
    if (rc != CMK_OK)
        return rc == CMK_E_LIMIT ? CKR_SESSION_COUNT : cmk_ckr(rc);
    s->handle = (CK_SESSION_HANDLE)handle;
    slot->sessions++;
    slot->ro_sessions += !s->rw;
    return CKR_OK;
}

static CK_RV open_session(cmk_module *m, CK_SLOT_ID id, CK_FLAGS flags, CK_VOID_PTR application, CK_NOTIFY notify,
                          CK_SESSION_HANDLE *out)
{
    cmk_slot *slot = NULL;
    if (!out)
        return CKR_ARGUMENTS_BAD;
    if (!(flags & CKF_SERIAL_SESSION))
        return CKR_SESSION_PARALLEL_NOT_SUPPORTED;
    CK_RV rv = cmk_slot_get(m, id, &slot);
    if (rv != CKR_OK)
        return rv;
    if (!slot->vault)
        return CKR_TOKEN_NOT_RECOGNIZED;
    cmk_session *s = session_new(slot, flags, application, notify);
    if (!s)
        return CKR_HOST_MEMORY;
    rv = session_add(m, s);
    if (rv == CKR_OK)
        *out = s->handle;
    else
        cmk_session_put(s);
    return rv;
}

/* §5.6.1 C_OpenSession */
CK_RV C_OpenSession(CK_SLOT_ID slotID, CK_FLAGS flags, CK_VOID_PTR pApplication, CK_NOTIFY Notify,
                    CK_SESSION_HANDLE_PTR phSession)
{
    cmk_module *m = NULL;
    CK_RV rv = cmk_enter(&m);
    return rv == CKR_OK ? cmk_leave(__func__, open_session(m, slotID, flags, pApplication, Notify, phSession)) : rv;
}

/* ---- closing ---- */

/* Also closes sessions with a token that is gone. The last session that closes logs out. */
static CK_RV close_session(cmk_module *m, CK_SESSION_HANDLE handle)
{
    cmk_session *s = (cmk_session *)(void *)cmk_handle_remove(m->sessions, handle);
    if (!s)
        return CKR_SESSION_HANDLE_INVALID;
    cmk_slot *slot = s->slot;
    cmk_mutex_lock(&slot->lock);
    s->closed = true;
    slot->sessions--;
    slot->ro_sessions -= !s->rw;
    const cmk_login *last = slot->sessions == 0 ? slot->login : NULL;
    cmk_mutex_unlock(&slot->lock);
    cmk_objects_close_session(m, s);
    if (last)
        (void)cmk_slot_logout(m, slot, last);
    cmk_session_put(s);
    return CKR_OK;
}

/* §5.6.2 C_CloseSession */
CK_RV C_CloseSession(CK_SESSION_HANDLE hSession)
{
    cmk_module *m = NULL;
    CK_RV rv = cmk_enter(&m);
    return rv == CKR_OK ? cmk_leave(__func__, close_session(m, hSession)) : rv;
}

typedef struct handle_list {
    CK_SLOT_ID slot;
    size_t count;
    uint64_t handles[CMK_SESSIONS_MAX];
} handle_list;

static int note_session(void *ctx, uint64_t handle, cmk_ref *ref)
{
    handle_list *l = ctx;
    if (((cmk_session *)(void *)ref)->slot->id == l->slot && l->count < CMK_SESSIONS_MAX)
        l->handles[l->count++] = handle;
    return 0;
}

static CK_RV close_all(cmk_module *m, CK_SLOT_ID id)
{
    handle_list list = {.slot = id};
    cmk_slot *slot = NULL;
    CK_RV rv = cmk_slot_get(m, id, &slot);
    cmk_handles_each(m->sessions, note_session, &list);
    for (size_t i = 0; i < list.count; i++)
        (void)close_session(m, (CK_SESSION_HANDLE)list.handles[i]);
    return list.count > 0 ? CKR_OK : rv;
}

/* §5.6.3 C_CloseAllSessions */
CK_RV C_CloseAllSessions(CK_SLOT_ID slotID)
{
    cmk_module *m = NULL;
    CK_RV rv = cmk_enter(&m);
    return rv == CKR_OK ? cmk_leave(__func__, close_all(m, slotID)) : rv;
}

/* ---- what a session is like ---- */

static CK_STATE state_of(bool rw, bool logged_in, CK_USER_TYPE user)
{
    if (!logged_in)
        return rw ? CKS_RW_PUBLIC_SESSION : CKS_RO_PUBLIC_SESSION;
    if (user == CKU_SO)
        return CKS_RW_SO_FUNCTIONS;
    return rw ? CKS_RW_USER_FUNCTIONS : CKS_RO_USER_FUNCTIONS;
}

static CK_RV session_info(cmk_module *m, CK_SESSION_HANDLE handle, CK_SESSION_INFO *out)
{
    cmk_session *s = NULL;
    if (!out)
        return CKR_ARGUMENTS_BAD;
    CK_RV rv = cmk_session_get(m, handle, &s);
    if (rv == CKR_OK)
        rv = cmk_slot_check(m, s->slot);
    if (rv == CKR_OK) {
        cmk_login *login = cmk_session_login(m, s);
        CK_USER_TYPE user = login && cmk_login_role(login) == CMK_ROLE_ADMIN ? CKU_SO : CKU_USER;
        *out = (CK_SESSION_INFO){.slotID = s->slot->id,
                                 .state = state_of(s->rw, login != NULL, user),
                                 .flags = CKF_SERIAL_SESSION | (s->rw ? CKF_RW_SESSION : 0)};
        cmk_login_put(login);
    }
    cmk_session_put(s);
    return rv;
}

/* §5.6.4 C_GetSessionInfo */
CK_RV C_GetSessionInfo(CK_SESSION_HANDLE hSession, CK_SESSION_INFO_PTR pInfo)
{
    cmk_module *m = NULL;
    CK_RV rv = cmk_enter(&m);
    return rv == CKR_OK ? cmk_leave(__func__, session_info(m, hSession, pInfo)) : rv;
}

/* ---- operations ---- */

static cmk_crypt_state *take_state(cmk_crypt_state **from, bool wanted)
{
    cmk_crypt_state *state = wanted ? *from : NULL;
    if (wanted)
        *from = NULL;
    return state;
}

static CK_RV cancel(cmk_module *m, CK_SESSION_HANDLE handle, CK_FLAGS flags)
{
    cmk_session *s = NULL;
    CK_RV rv = cmk_session_get(m, handle, &s);
    if (rv != CKR_OK)
        return rv;
    cmk_mutex_lock(&s->lock);
    cmk_crypt_state *encrypt = take_state(&s->encrypt, (flags & CKF_ENCRYPT) != 0);
    cmk_crypt_state *decrypt = take_state(&s->decrypt, (flags & CKF_DECRYPT) != 0);
    cmk_search *search = NULL;
    if (flags & CKF_FIND_OBJECTS) {
        search = s->search;
        s->search = NULL;
    }
    cmk_mutex_unlock(&s->lock);
    cmk_crypt_free(encrypt);
    cmk_crypt_free(decrypt);
    cmk_search_free(search);
    cmk_session_put(s);
    return CKR_OK;
}

/* §5.6.5 C_SessionCancel. What is not active, or is never active here, counts as cancelled. */
CK_RV C_SessionCancel(CK_SESSION_HANDLE session, CK_FLAGS flags)
{
    cmk_module *m = NULL;
    CK_RV rv = cmk_enter(&m);
    return rv == CKR_OK ? cmk_leave(__func__, cancel(m, session, flags)) : rv;
}

static CK_RV not_parallel(const char *name, CK_SESSION_HANDLE handle)
{
    cmk_module *m = NULL;
    cmk_session *s = NULL;
    CK_RV rv = cmk_enter(&m);
    if (rv != CKR_OK)
        return rv;
    rv = cmk_session_get(m, handle, &s);
    cmk_session_put(s);
    return cmk_leave(name, rv == CKR_OK ? CKR_FUNCTION_NOT_PARALLEL : rv);
}

/* §5.22.1 C_GetFunctionStatus */
CK_RV C_GetFunctionStatus(CK_SESSION_HANDLE hSession)
{
    return not_parallel(__func__, hSession);
}

/* §5.22.2 C_CancelFunction */
CK_RV C_CancelFunction(CK_SESSION_HANDLE hSession)
{
    return not_parallel(__func__, hSession);
}
