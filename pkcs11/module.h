/* The module's own state: the process-wide instance, slots, sessions and objects. Private to pkcs11/.
 *
 * Way of a call: entry point (a file for each chapter of the specification) → CMK_ENTER → pointer and length checks →
 * cmk_session_get() → token/ → CKR by cmk_ckr() → leave. Entry points hold no policy.
 *
 * Lifetimes: sessions and objects live in handle tables and are reference-counted: a handle that another thread closes
 * lives on until the last call that uses it returns. Locks: slot->lock (rank SLOT) guards login state and the lists;
 * session->lock (rank SESSION) one session's operations; neither is held during RSA or scrypt, but for session->lock,
 * which belongs to one session: concurrent use of one session by several threads is serialised. C_Finalize waits until
 * the calls under way have left.
 */
#ifndef CMK_PKCS11_MODULE_H
#define CMK_PKCS11_MODULE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "pkcs11/cmk11.h"
#include "pkcs11/cryptoki.h"
#include "token/token.h"
#include "util/handle.h"
#include "util/lock.h"

#define CMK_SESSIONS_MAX 1024

typedef struct cmk_slot {
    CK_SLOT_ID id;
    cmk_mutex lock;
    cmk_vault *vault; /* NULL: the slot of the uninitialised token. Never changes: another vault in this place gets a
                         cmk_slot of its own. */
    atomic_bool
        removed; /* the token that it showed is gone: its sessions answer CKR_DEVICE_REMOVED and can only be closed */
    cmk_login *login;     /* NULL: public */
    CK_USER_TYPE user;    /* CKU_USER or CKU_SO while login is set */
    unsigned sessions;    /* open ones */
    unsigned ro_sessions; /* of which read-only */
    struct cmk_kobjects
        *objects; /* kobject.c: the handles' index and the session objects, under lock; NULL until there are any */
    struct cmk_slot *next;
} cmk_slot;

/* What a session may have under way; one of each class at most (PKCS#11 §5.2: search and one cryptographic operation of
 * each direction). */
typedef struct cmk_search cmk_search;           /* object.c / search.c */
typedef struct cmk_crypt_state cmk_crypt_state; /* crypt.c */

typedef struct cmk_session {
    cmk_ref ref;
    CK_SESSION_HANDLE handle;
    cmk_slot *slot; /* lives as long as the module is initialised */
    bool rw;
    CK_VOID_PTR application;
    CK_NOTIFY notify;
    cmk_mutex lock;
    bool closed;              /* slot->lock */
    cmk_search *search;       /* NULL: none active */
    cmk_crypt_state *encrypt; /* NULL: none active */
    cmk_crypt_state *decrypt;
} cmk_session;

/* The module between C_Initialize and C_Finalize. */
typedef struct cmk_module {
    cmk_config *config;
    cmk_core *core; /* NULL while there is no store: cmk_module_core() */
    cmk_handles *sessions;
    cmk_handles *objects;
    cmk_mutex lock;            /* rank MODULE: the list of slots, core */
    cmk_slot *slots;           /* newest first; freed by C_Finalize only */
    struct cmk_module *before; /* what a forked child has inherited and left alone */
} cmk_module;

/* Every entry point but the handful that work before C_Initialize: counts the call in and gives the module.
 * CKR_CRYPTOKI_NOT_INITIALIZED before C_Initialize, after C_Finalize, and in a forked child until its own C_Initialize.
 * On CKR_OK the caller calls cmk_leave(). Clears this thread's error detail. */
CK_RV cmk_enter(cmk_module **module);
/* Counts the call out; logs the detail of a failure at debug level; returns rv. */
CK_RV cmk_leave(const char *function, CK_RV rv);

/* The open store, opened when it is first needed; create makes it where there is none. CMK_OK and NULL: there is none
 * yet, and that is all right for reading. */
CMK_MUST_USE cmk_rc cmk_module_core(cmk_module *m, bool create, cmk_core **out);

/* Makes and unmakes the module; C_Initialize and C_Finalize call them alone. abandon: in a forked child; whole: nobody
 * was using it at the fork, so that all of it can be cleared. */
CMK_MUST_USE cmk_rc cmk_module_new(cmk_module **out);
void cmk_module_free(cmk_module *m);
void cmk_module_abandon(cmk_module *m, bool whole);
/* C_Initialize and C_Finalize but for their arguments. */
CK_RV cmk_module_start(void);
CK_RV cmk_module_stop(void);

/* The slot of id as the store has it now: one whose vault was replaced, also by another process, is marked removed and
 * a new one made. CKR_SLOT_ID_INVALID; CKR_DEVICE_ERROR … when its vault is damaged. The slot lives until C_Finalize.
 */
CK_RV cmk_slot_get(cmk_module *m, CK_SLOT_ID id, cmk_slot **out);
/* Ends the slot's login (expected, or any when NULL), as C_Logout does. False: nobody was logged in. */
bool cmk_slot_logout(cmk_module *m, cmk_slot *slot, const cmk_login *expected);
/* Looks whether the slot still shows the same vault, and marks it removed when not. */
CK_RV cmk_slot_check(cmk_module *m, cmk_slot *slot);
/* What a failed call on a session of slot says: rv, or CKR_DEVICE_REMOVED when the reason is that the token is gone. */
CK_RV cmk_slot_error(cmk_module *m, cmk_slot *slot, CK_RV rv);
void cmk_slot_free(cmk_slot *slot);

/* The CKR of a project error, by one table (errors.c). Where a function needs another word for the same error it maps
 * that one itself. */
CK_RV cmk_ckr(cmk_rc rc);

/* A session by handle with a reference; CKR_SESSION_HANDLE_INVALID, CKR_DEVICE_REMOVED. Put back with
 * cmk_session_put(). */
CK_RV cmk_session_get(cmk_module *m, CK_SESSION_HANDLE handle, cmk_session **out);
void cmk_session_put(cmk_session *s);
/* The slot's login for this session with a reference (cmk_login_put), or NULL when nobody is logged in. Checks with
 * cmk_login_check() that it is still in force; one that was revoked is ended here as if by C_Logout (private handles
 * die), and NULL is given. */
cmk_login *cmk_session_login(cmk_module *m, cmk_session *s);
/* The same without the check. */
cmk_login *cmk_session_login_held(cmk_session *s);

/* object side (kobject.c), called by session.c without holding any lock: */
/* Destroys the session objects of a session that closes. */
void cmk_objects_close_session(cmk_module *m, cmk_session *s);
/* After logout: private session objects are destroyed, handles of private objects of the slot die. */
void cmk_objects_logout(cmk_module *m, cmk_slot *slot);
/* When the slot is freed, after the handle table: frees slot->objects. */
void cmk_objects_slot_free(cmk_slot *slot);
/* Frees an active search / operation. NULL is fine. */
void cmk_search_free(cmk_search *search);
void cmk_crypt_free(cmk_crypt_state *state);

#endif
