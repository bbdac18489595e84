/* Verified reading and signed writing of a vault's records: transactions that check every record against the hash
 * trees, and that sign what they change. Private to token/.
 *
 * A view is one transaction on one vault with the roots as they are in it, verified. Reads through it are verified up
 * to a root. A write view also collects changed leaves; commit writes buckets, nodes, roots and signatures, then the
 * store's commit. Nothing else in token/ reads or writes signed records. One thread at a time; rank of its locks:
 * CMK_RANK_VAULT (briefly), then the store's.
 */
#ifndef CMK_TOKEN_VIEW_H
#define CMK_TOKEN_VIEW_H

#include "token/records.h"

typedef struct cmk_view cmk_view;

/* The secrets a writer signs with; NULL where it has not got them. Lent for the time of the view. */
typedef struct cmk_signers {
    const uint8_t *admin; /* Ed25519 private, 32 bytes */
    const uint8_t *officer;
    const uint8_t *object_mac; /* 32 bytes: HKDF of the object key, docs/decisions/0001 */
    cmk_id principal;          /* who changes: goes to changed_by */
} cmk_signers;

/* Opens a view of vault. Reads and verifies the roots: a root that the vault's verified state has seen already costs a
 * comparison. signers NULL for reading; for writing, the trees whose signer is missing can't be changed. The object
 * tree's root is verified only where object_mac is known (from signers, or the vault's login). Errors: CMK_E_TAMPERED,
 * CMK_E_ROLLBACK, the store's. */
CMK_MUST_USE cmk_rc cmk_view_open(cmk_vault *vault, cmk_txn_mode mode, const cmk_signers *signers, cmk_view **out);
/* Ends without changes. *view becomes NULL; NULL is fine. */
void cmk_view_close(cmk_view **view);
#define CMK_VIEW_AUTO __attribute__((cleanup(cmk_view_close))) cmk_view
/* Writes the changed leaves and roots, commits, and makes them the vault's verified state. Ends the view in any case.
 */
CMK_MUST_USE cmk_rc cmk_view_commit(cmk_view **view);
cmk_txn *cmk_view_txn(cmk_view *view);
const cmk_vault_rec *cmk_view_vault(cmk_view *view);        /* the verified VAULT record */
uint64_t cmk_view_change(cmk_view *view, cmk_tree_id tree); /* change number of the tree's root */
/* Record leaves of a kind, as the signed root counts them. */
uint32_t cmk_view_count(cmk_view *view, cmk_kind kind);

/* Reads a record and verifies its leaf (kinds without a tree are only read). CMK_E_NOT_FOUND only if the tree proves
 * that there is none; a row missing though its leaf is there, or present without one, is CMK_E_TAMPERED. */
CMK_MUST_USE cmk_rc cmk_view_get(cmk_view *view, const cmk_record_key *key, cmk_record *out);
/* Verifies a record that a listing of the store gave. */
CMK_MUST_USE cmk_rc cmk_view_verify(cmk_view *view, const cmk_record *record);
/* Authenticated look-up: the id bytes that (index, value) leads to, into id (CMK_RECORD_ID_MAX bytes). CMK_E_NOT_FOUND
 * is proven too. */
CMK_MUST_USE cmk_rc cmk_view_lookup(cmk_view *view, cmk_index index, cmk_bytes value, uint8_t *id, size_t *id_len);

/* Writes a record and its leaf. record->revision is what it becomes; expected as in cmk_txn_put(). CMK_E_FORBIDDEN
 * without the tree's signer. */
CMK_MUST_USE cmk_rc cmk_view_put(cmk_view *view, const cmk_record *record, uint64_t expected);
/* Encodes nothing: puts body under key with revision expected + 1. */
CMK_MUST_USE cmk_rc cmk_view_put_body(cmk_view *view, const cmk_record_key *key, cmk_bytes body, uint64_t expected);
CMK_MUST_USE cmk_rc cmk_view_delete(cmk_view *view, const cmk_record_key *key, uint64_t expected);
/* Sets or (id_len 0) removes an index leaf. Setting one that exists: CMK_E_EXISTS. The tree goes by the index:
 * principals' names admin, all others officer. */
CMK_MUST_USE cmk_rc cmk_view_index(cmk_view *view, cmk_index index, cmk_bytes value, const uint8_t *id, size_t id_len);

#endif
