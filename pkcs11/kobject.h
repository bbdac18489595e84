/* What object handles name: the halves of KEK versions, token objects, session objects; and what every object function
 * starts from.
 *
 * The same thing has the same handle while it lives: each slot keeps an index by id and class. Handles of private
 * objects are given out only to a logged-in user and die at logout. A kobject is reference-counted; handle table and
 * call hold references, the index does not. */
#ifndef CMK_PKCS11_KOBJECT_H
#define CMK_PKCS11_KOBJECT_H

#include "pkcs11/attrs.h"
#include "pkcs11/module.h"
#include "pkcs11/template.h"

typedef enum cmk_kobject_kind { CMK_KOBJECT_KEK, CMK_KOBJECT_TOKEN, CMK_KOBJECT_SESSION } cmk_kobject_kind;

/* A place in one of the slot's indexes. */
typedef struct cmk_kobject_link {
    uint64_t hash;
    struct cmk_kobject *prev, *next; /* in the bucket */
} cmk_kobject_link;
/* A session object is found by both of its names; all others by their id, where the label would stand. */
enum { CMK_LINK_LABEL, CMK_LINK_CKA_ID, CMK_LINKS, CMK_LINK_ID = CMK_LINK_LABEL };

typedef struct cmk_kobject {
    cmk_ref ref;
    cmk_kobject_kind kind;
    cmk_slot *slot;
    CK_OBJECT_HANDLE handle;
    CK_OBJECT_CLASS class;
    bool is_private;
    atomic_bool logged_out;  /* a private one whose login has ended: operations under way with it end too */
    CK_SESSION_HANDLE owner; /* the session that made a session object, or a KEK version; 0: another */
    cmk_version *version;    /* of a KEK */
    cmk_object *object;      /* of a token object */
    cmk_mutex lock;          /* attrs */
    cmk_attrs *attrs;        /* of a session object */
    cmk_secret value;        /* of a secret session key; never changes */
    /* slot->lock: */
    bool listed;                             /* it is in the indexes */
    cmk_kobject_link links[CMK_LINKS];       /* there */
    struct cmk_kobject *prev, *next, *chain; /* in the list of session objects; of what was taken out together */
} cmk_kobject;

/* One call on a session: enter, session, and the login when somebody asks. */
typedef struct cmk_call {
    cmk_module *m;
    cmk_session *s;
    cmk_login *login;
    bool asked;
} cmk_call;

/* CKR_CRYPTOKI_NOT_INITIALIZED, CKR_SESSION_HANDLE_INVALID. Whatever it says, cmk_call_end() follows, which passes rv
 * on. */
CK_RV cmk_call_begin(cmk_call *c, CK_SESSION_HANDLE session);
CK_RV cmk_call_end(cmk_call *c, const char *function, CK_RV rv);
/* The login, or NULL; looked up once a call. */
cmk_login *cmk_call_login(cmk_call *c);
/* The login without looking whether it is still in force: for what token/ does with it, which looks itself. NULL when
 * nobody is logged in. */
cmk_login *cmk_call_holder(cmk_call *c);
/* The login of a user, who may see private objects; NULL for the public and the SO. */
cmk_login *cmk_call_user(cmk_call *c);

/* The object of handle in the call's slot, with a reference (cmk_kobject_put). CKR_OBJECT_HANDLE_INVALID. */
CK_RV cmk_kobject_get(cmk_call *c, CK_OBJECT_HANDLE handle, cmk_kobject **out);
/* The same for functions that are about the object itself: a private one only while the login is in force. */
CK_RV cmk_kobject_open(cmk_call *c, CK_OBJECT_HANDLE handle, cmk_kobject **out);
void cmk_kobject_put(cmk_kobject *o);
static inline void cmk_kobject_put_auto(cmk_kobject **o)
{
    cmk_kobject_put(*o);
}
#define CMK_KOBJECT_AUTO __attribute__((cleanup(cmk_kobject_put_auto))) cmk_kobject *

/* The handle of one half of a version, of a token object; made by (0: not to be noted) is the session that made the
 * version. */
CK_RV cmk_kobject_of_version(cmk_call *c, cmk_version *version, CK_OBJECT_CLASS class, CK_SESSION_HANDLE made_by,
                             CK_OBJECT_HANDLE *out);
CK_RV cmk_kobject_of_object(cmk_call *c, cmk_object *object, CK_OBJECT_HANDLE *out);
/* A new session object; takes over attrs, and value's contents. */
CK_RV cmk_kobject_new(cmk_call *c, CK_OBJECT_CLASS class, cmk_attrs *attrs, cmk_secret *value, CK_OBJECT_HANDLE *out);
/* Ends the handle of an object that is gone. */
void cmk_kobject_kill(cmk_module *m, cmk_kobject *o);
/* The other half of a KEK that has a handle, with a reference; NULL. */
cmk_kobject *cmk_kobject_sibling(cmk_module *m, cmk_kobject *o);
/* Replaces a session object's attributes by attrs, taken over, unless they are no longer old. */
bool cmk_kobject_replace(cmk_kobject *o, const cmk_attrs *old, cmk_attrs *attrs);
/* Handles of the session objects that visit says yes to, while the slot is locked; visit must not call back. It sees
 * those that t, which is about to be searched for, may mean by its names. *out is to be freed. */
CK_RV cmk_kobject_session_handles(cmk_call *c, const cmk_template *t, bool (*visit)(void *ctx, cmk_kobject *o),
                                  void *ctx, CK_OBJECT_HANDLE **out, size_t *n);

/* The state of an object at one moment, to read attributes from. */
typedef struct cmk_look {
    cmk_kobject *o;
    CK_OBJECT_CLASS class;
    cmk_attrs *attrs; /* not of KEKs */
    cmk_kek_view kek; /* of KEKs */
    cmk_version_info info;
    cmk_secret value; /* of a token secret key, once it was read */
    char text[48];
} cmk_look;
/* Fresh state of o. CKR_OBJECT_HANDLE_INVALID when it is gone (the handle dies). o outlives the look; login may be
 * NULL. Whatever it says, cmk_look_end() follows. */
CK_RV cmk_look_begin(cmk_call *c, cmk_kobject *o, cmk_look *look);
void cmk_look_end(cmk_look *look);
#define CMK_LOOK_AUTO __attribute__((cleanup(cmk_look_end))) cmk_look
/* One attribute in canonical form; views live as long as the look. CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_SENSITIVE.
 */
CK_RV cmk_look_at(cmk_call *c, cmk_look *look, CK_ATTRIBUTE_TYPE type, cmk_value *out);
bool cmk_look_true(cmk_call *c, cmk_look *look, CK_ATTRIBUTE_TYPE type);
CK_ULONG cmk_look_ulong(cmk_call *c, cmk_look *look, CK_ATTRIBUTE_TYPE type);
/* Does it match every attribute of a search template? */
bool cmk_look_matches(cmk_call *c, cmk_look *look, const cmk_template *t);
/* A secret key's value, whatever its attributes say: for using it. The view lives as long as the look. */
CK_RV cmk_look_secret(cmk_call *c, cmk_look *look, cmk_bytes *out);

#endif
