/* The module's own state: the process-wide instance, slots, sessions and objects. Private to pkcs11/.
 *
 * Way of a call: entry point (a file for each chapter of the specification) → CMK_ENTER → pointer and length checks → cmk_session_get() → token/ → CKR by cmk_ckr() → leave. Entry points hold no policy.
 *
 * Lifetimes: sessions and objects live in handle tables and are reference-counted: a handle that another thread closes lives on until the last call that uses it returns. Locks: slot->lock (rank SLOT)
 * guards login state and the lists; session->lock (rank SESSION) one session's operations; neither is held during RSA or scrypt, but for session->lock, which belongs to one session: concurrent use of one
 * session by several threads is serialised. C_Finalize waits until the calls under way have left.
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
    cmk_vault *vault;     /* NULL: the slot of the uninitialised token */
    cmk_login *login;     /* NULL: public */
    CK_USER_TYPE user;    /* CKU_USER or CKU_SO while login is set */
    unsigned sessions;    /* open ones */
    unsigned ro_sessions; /* of which read-only */
    struct cmk_slot *next;
} cmk_slot;

/* What a session may have under way; one of each class at most (PKCS#11 §5.2: search and one cryptographic operation of each direction). */
typedef struct cmk_search cmk_search;       /* object.c / search.c */
typedef struct cmk_crypt_state cmk_crypt_state; /* crypt.c */

typedef struct cmk_session {
    cmk_ref ref;
    CK_SESSION_HANDLE handle;
    cmk_slot *slot; /* lives as long as the module is initialised */
    bool rw;
    CK_VOID_PTR application;
    CK_NOTIFY notify;
    cmk_mutex lock;
    bool closed;
    cmk_search *search;       /* NULL: none active */
    cmk_crypt_state *encrypt; /* NULL: none active */
    cmk_crypt_state *decrypt;
} cmk_session;

/* The module between C_Initialize and C_Finalize. */
typedef struct cmk_module {
    cmk_config *config;
    cmk_core *core;
    cmk_handles *sessions;
    cmk_handles *objects;
    cmk_mutex lock; /* rank MODULE: the list of slots */
    cmk_slot *slots;
} cmk_module;

/* Every entry point but the handful that work before C_Initialize: counts the call in and gives the module. CKR_CRYPTOKI_NOT_INITIALIZED before C_Initialize, after C_Finalize, and in a forked child until
 * its own C_Initialize. On CKR_OK the caller calls cmk_leave(). Clears this thread's error detail. */
CK_RV cmk_enter(cmk_module **module);
/* Counts the call out; logs the detail of a failure at debug level; returns rv. */
CK_RV cmk_leave(const char *function, CK_RV rv);

/* The CKR of a project error, by one table (errors.c). Where a function needs another word for the same error it maps that one itself. */
CK_RV cmk_ckr(cmk_rc rc);

/* A session by handle with a reference; CKR_SESSION_HANDLE_INVALID. Put back with cmk_session_put(). */
CK_RV cmk_session_get(cmk_module *m, CK_SESSION_HANDLE handle, cmk_session **out);
void cmk_session_put(cmk_session *s);
/* The slot's login for this session with a reference (cmk_login_put), or NULL when nobody is logged in. Checks with cmk_login_check() that it is still in force; one that was revoked is ended here as if by C_Logout (private
 * handles die), and NULL is given. */
cmk_login *cmk_session_login(cmk_module *m, cmk_session *s);
/* True while CKU_USER (not SO) is logged in on the session's slot. */
bool cmk_session_is_user(cmk_session *s);

/* object side (kobject.c), called by session.c: */
/* Destroys the session objects of a session that closes. */
void cmk_objects_close_session(cmk_module *m, cmk_session *s);
/* After logout: private session objects are destroyed, handles of private objects of the slot die. */
void cmk_objects_logout(cmk_module *m, cmk_slot *slot);
/* Frees an active search / operation. NULL is fine. */
void cmk_search_free(cmk_search *search);
void cmk_crypt_free(cmk_crypt_state *state);

#endif
