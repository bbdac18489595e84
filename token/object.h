/* What reading (object.c) and writing (object_write.c) of token objects share. Private to them. */
#ifndef CMK_TOKEN_OBJECT_H
#define CMK_TOKEN_OBJECT_H

#include "token/object_seal.h"

/* A verified row; never changes. */
typedef struct cmk_sealed {
    cmk_ref ref;
    uint64_t revision;
    uint64_t admin_change; /* at which the author's signature was verified; 0: by_tree */
    bool by_tree;          /* verified in the object tree, so also the newest there is */
    cmk_buf body;
    cmk_object_rec rec; /* views into body */
} cmk_sealed;

struct cmk_object {
    cmk_ref ref;
    cmk_vault *vault; /* not counted: vaults live until the core is closed */
    cmk_id id;
    bool is_private;
    cmk_mutex lock;      /* rank LEAF: the rest */
    uint64_t generation; /* the store's, at which sealed was the row; 0: to be looked at */
    cmk_sealed *row;
};

CMK_MUST_USE cmk_rc cmk_sealed_new(const cmk_record_key *rk, uint64_t revision, cmk_bytes body, cmk_sealed **out);
void cmk_sealed_put(cmk_sealed **s);
#define CMK_SEALED_AUTO __attribute__((cleanup(cmk_sealed_put))) cmk_sealed

/* The handle of an object: the one that is known, or a new one. */
CMK_MUST_USE cmk_rc cmk_object_handle(cmk_vault *vault, const cmk_id *id, bool is_private, cmk_object **out);
/* Forgets the handle of an object that was destroyed. */
void cmk_object_forget(cmk_vault *vault, const cmk_id *id);
/* The row that was last seen, with a reference, and the store's generation then (may be NULL). */
cmk_sealed *cmk_object_row_take(cmk_object *o, uint64_t *generation);
void cmk_object_row_set(cmk_object *o, cmk_sealed *row, uint64_t generation);
/* Brings the vault up to date and tells whether login (in force; may be NULL) may see private objects and use values.
 */
CMK_MUST_USE cmk_rc cmk_object_entrance(cmk_vault *vault, cmk_login *login, bool *all);
/* A view with the login's signers (and object key), or a plain one without. */
CMK_MUST_USE cmk_rc cmk_object_view(cmk_vault *vault, cmk_login *login, cmk_txn_mode mode, cmk_writer **w,
                                    cmk_view **view);
/* The row as it is now; login (which has the object key) NULL: verified by the author's signature. */
CMK_MUST_USE cmk_rc cmk_object_current(cmk_object *o, cmk_login *login, cmk_sealed **out);
/* What is in the blob, kept with the login. */
CMK_MUST_USE cmk_rc cmk_object_opened(cmk_object *o, cmk_login *login, const cmk_sealed *s, cmk_opened **out);

#endif
