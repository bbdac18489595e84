/* What a storage backend implements. store.c checks arguments and limits once and calls through this table, so backends
 * hold no argument checks; the fault injector wraps a table. Functions have the contract of their namesakes in store.h.
 */
#ifndef CMK_STORAGE_BACKEND_H
#define CMK_STORAGE_BACKEND_H

#include "storage/store.h"

typedef struct cmk_store_ops {
    const char *scheme; /* "sqlite" */
    void (*close)(cmk_store *s);
    void (*abandon)(cmk_store *s);
    cmk_rc (*set_group)(cmk_store *s, gid_t gid); /* NULL: there are no files to share */
    cmk_rc (*generation)(cmk_store *s, uint64_t *generation);
    cmk_rc (*begin)(cmk_store *s, cmk_txn_mode mode, cmk_txn **out);
    cmk_rc (*commit)(cmk_txn *t); /* frees t in any case */
    void (*rollback)(cmk_txn *t); /* frees t */
    cmk_rc (*get)(cmk_txn *t, const cmk_record_key *key, cmk_record *out);
    cmk_rc (*put)(cmk_txn *t, const cmk_record *record, uint64_t expected);
    cmk_rc (*del)(cmk_txn *t, const cmk_record_key *key, uint64_t expected);
    cmk_rc (*list)(cmk_txn *t, const cmk_id *vault, uint8_t kind, cmk_bytes prefix, cmk_bytes after, size_t limit,
                   cmk_record_visit visit, void *ctx);
    cmk_rc (*find)(cmk_txn *t, const cmk_id *vault, uint8_t kind, uint8_t number, cmk_bytes value,
                   cmk_record_visit visit, void *ctx);
    cmk_rc (*count)(cmk_txn *t, const cmk_id *vault, uint8_t kind, uint64_t *count);
    cmk_rc (*attempt_reserve)(cmk_store *s, const cmk_id *vault, const cmk_id *principal, uint32_t threshold,
                              uint64_t *ticket);
    cmk_rc (*attempt_settle)(cmk_store *s, const cmk_id *vault, const cmk_id *principal, uint64_t ticket,
                             cmk_attempt_result result, uint64_t credential_revision);
    cmk_rc (*attempts_read)(cmk_store *s, const cmk_id *vault, const cmk_id *principal, cmk_attempts *out);
    cmk_rc (*attempts_reset)(cmk_store *s, const cmk_id *vault, const cmk_id *principal, uint64_t credential_revision);
} cmk_store_ops;

/* Backends embed these as their first member. */
struct cmk_store {
    const cmk_store_ops *ops;
    char *directory;
    cmk_store_options options;
};
struct cmk_txn {
    cmk_store *store;
    cmk_txn_mode mode;
};

/* Constructors, one a backend; directory is absolute. */
cmk_rc cmk_store_sqlite_open(const char *directory, const cmk_store_options *options, cmk_store **out);
cmk_rc cmk_store_memory_open(cmk_store **out);

/* Wraps inner (which it then owns): the k-th call that can fail from now on (1 = the next; 0 = none) fails with rc and
 * changes nothing; calls are counted over all threads. For tests. */
cmk_rc cmk_store_fault_wrap(cmk_store *inner, cmk_store **out);
void cmk_store_fault_arm(cmk_store *s, unsigned k, cmk_rc rc);
/* Calls counted since the last arm. */
unsigned cmk_store_fault_calls(const cmk_store *s);

#endif
