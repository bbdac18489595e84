/* What a view is made of, for view.c (opening, verifying roots, committing) and view_records.c (records and look-ups),
 * and what vault_create.c needs to write two vaults in one transaction. */
#ifndef CMK_TOKEN_VIEW_STATE_H
#define CMK_TOKEN_VIEW_STATE_H

#include "token/tree.h"

struct cmk_view {
    cmk_vault *vault;
    cmk_txn *txn;
    bool owns_txn;
    cmk_txn_mode mode;
    bool broken;         /* a write stopped half-way: only to be rolled back */
    bool verified;       /* the roots are authentic and were read anew: they may become the vault's state */
    bool is_new;         /* a vault that is just being made */
    cmk_tree_id wrote;   /* a tree that cmk_view_write() has given a new root */
    uint64_t generation; /* the store's, from before the transaction */
    cmk_signers signers; /* all NULL when reading */
    cmk_tree trees[CMK_TREE_COUNT];
    uint64_t known_at[CMK_TREE_COUNT]; /* the store's generation at which the process has seen the root that trees came
                                          with; 0: never */
    cmk_record vault_row;
    cmk_vault_rec rec;
    char label[CMK_VAULT_LABEL_MAX];
};

/* As cmk_view_open(), in a write transaction that is under way; is_new for a vault without records. Such a view is
 * ended with cmk_view_write() and, once the transaction is committed, cmk_view_settle(). */
CMK_MUST_USE cmk_rc cmk_view_attach(cmk_vault *vault, cmk_txn *txn, bool is_new, const cmk_signers *signers,
                                    cmk_view **out);
/* Commits the transaction in which view was written. CMK_E_IO only where reading the root again can't tell whether it
 * took place. */
CMK_MUST_USE cmk_rc cmk_view_commit_txn(const cmk_view *view, cmk_txn **txn);
/* Writes changed leaves and roots; no commit. */
CMK_MUST_USE cmk_rc cmk_view_write(cmk_view *view);
/* Makes what was committed the vault's verified state and ends the view. */
void cmk_view_settle(cmk_view **view);
/* The view's tree that a leaf belongs to. */
cmk_tree *cmk_view_tree(cmk_view *view, cmk_tree_id id);
/* Can the view sign that tree? */
bool cmk_view_signs(const cmk_view *view, cmk_tree_id id);
/* Is rec what this release may work with, and the admin key the one that is trusted? CMK_E_TAMPERED. */
CMK_MUST_USE cmk_rc cmk_vault_rec_check(const cmk_vault *vault, const cmk_vault_rec *rec, const char *label);
/* "SHA256:" and hex. */
enum { CMK_FINGERPRINT_TEXT = 7 + 64 + 1 };
CMK_MUST_USE cmk_rc cmk_vault_fingerprint(const cmk_id *id, const uint8_t admin_first[CMK_CURVE_KEY_SIZE],
                                          char out[CMK_FINGERPRINT_TEXT]);

#endif
