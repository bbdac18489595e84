/* The storage contract: records of bytes with revisions, in transactions, shared by several processes at once.
 *
 * A record is addressed by (vault id, kind, id bytes) and has a revision and a body. The store knows nothing of what
 * bodies mean and never sees a key in clear. The rules that every backend keeps, and tests/unit/test_store_contract.c
 * tests on each of them (docs/storage.md explains them):
 *
 *  1. Transactions are atomic, isolated and durable. A read transaction sees one state, however many commits come
 * meanwhile. Of write transactions one runs at a time, over all processes; cmk_txn_begin(WRITE) waits up to the busy
 * time-out (CMK_E_BUSY). When commit returns CMK_OK the change survives a power cut; when it returns anything else
 * nothing has changed, unless the error is CMK_E_IO, where re-reading tells.
 *  2. Compare and swap: put and delete name the revision that they expect (0: no such record); another revision there
 * is CMK_E_CONFLICT and changes nothing. The new revision is the one in the record, which is greater.
 *  3. Index entries belong to a record, are replaced with it and go with it. Values need not be unique.
 *  4. Listings are in ascending byte order of the id (shorter first where one is a prefix of the other).
 *  5. Change notice: cmk_store_generation() answers another number than before after any commit by anybody; it costs
 * less than a microsecond, and no lock, while nothing has changed, and never takes a lock that a transaction holds.
 *  6. Limits: id ≤ 48 bytes, index value ≤ 127 bytes, at most 4 index entries a record, body ≤ 1 MiB: CMK_E_ARGUMENT
 * beyond.
 *  7. A store is opened by any number of processes and used by any number of threads; a transaction belongs to one
 * thread. A handle does not survive fork: the child closes it with cmk_store_abandon() and opens its own.
 *  8. A store that is truncated, or no store at all, is CMK_E_STORE_DAMAGED; one with a newer schema
 * CMK_E_SCHEMA_NEWER; both leave it untouched. Disk full is CMK_E_FULL, a read-only disk CMK_E_READ_ONLY for writers
 * while readers go on.
 */
#ifndef CMK_STORAGE_STORE_H
#define CMK_STORAGE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/bytes.h"
#include "util/error.h"

#define CMK_RECORD_ID_MAX 48
#define CMK_INDEX_VALUE_MAX 127
#define CMK_INDEX_ENTRIES_MAX 4
#define CMK_RECORD_BODY_MAX ((size_t)1024 * 1024)

typedef struct cmk_store cmk_store;
typedef struct cmk_txn cmk_txn;

/* What a record is called. */
typedef struct cmk_record_key {
    cmk_id vault;
    uint8_t kind; /* docs/decisions/0001: 1 … 255 */
    uint8_t id_len;
    uint8_t id[CMK_RECORD_ID_MAX];
} cmk_record_key;

/* One entry of an index: numbered by the caller, not unique. */
typedef struct cmk_index_entry {
    uint8_t number;
    uint8_t len;
    uint8_t value[CMK_INDEX_VALUE_MAX];
} cmk_index_entry;

typedef struct cmk_record {
    cmk_record_key key;
    uint64_t revision;                            /* 1 … 2^63 - 1 */
    cmk_buf body;                                 /* owned by the record */
    cmk_index_entry index[CMK_INDEX_ENTRIES_MAX]; /* written by put; left empty by get and list */
    size_t index_count;
} cmk_record;

/* Frees what a record owns and empties it. NULL is fine. */
void cmk_record_clear(cmk_record *r);
#define CMK_RECORD_AUTO __attribute__((cleanup(cmk_record_clear))) cmk_record

/* How a store is to be opened. */
typedef struct cmk_store_options {
    bool create;              /* make it if it does not exist (the directory 0700, files 0600) */
    uint32_t busy_timeout_ms; /* how long a writer waits */
} cmk_store_options;

/* Opens the store that url names: "sqlite:DIR" or an absolute directory (the memory backend is made by its constructor,
 * in tests). Checks owner and mode of directory and files (others may not write; group only with the store-group
 * setting: CMK_E_PERMISSION), and the file system (CMK_E_UNSUPPORTED_FS). Without create, CMK_E_NOT_FOUND when there is
 * none. *out is closed with cmk_store_close(). */
CMK_MUST_USE cmk_rc cmk_store_open(const char *url, const cmk_store_options *options, cmk_store **out);
/* Closes; rolls back nothing, so no transaction may be open. NULL is fine. */
void cmk_store_close(cmk_store *s);
/* In a forked child: frees memory without touching files or locks of the parent. */
void cmk_store_abandon(cmk_store *s);
/* The directory of the store, for files beside it ("" where there is none); lives as long as the store. */
const char *cmk_store_directory(const cmk_store *s);

/* Shares the store among the members of group gid (the store-group setting): directory 02770, files 0660, all of them
 * of that group; (gid_t)-1 takes it back: 0700 and 0600. Only the directory's owner or root can. CMK_E_PERMISSION,
 * CMK_E_READ_ONLY; CMK_E_UNSUPPORTED where there are no files. */
CMK_MUST_USE cmk_rc cmk_store_set_group(cmk_store *s, gid_t gid);

/* A number that differs from before once anybody has committed, or the file was replaced. CMK_E_IO,
 * CMK_E_STORE_DAMAGED, CMK_E_BUSY. Thread-safe; less than 1 µs while nothing has changed. */
CMK_MUST_USE cmk_rc cmk_store_generation(cmk_store *s, uint64_t *generation);

typedef enum cmk_txn_mode { CMK_TXN_READ, CMK_TXN_WRITE } cmk_txn_mode;
/* Starts a transaction; at most one at a time a thread and store. */
CMK_MUST_USE cmk_rc cmk_txn_begin(cmk_store *s, cmk_txn_mode mode, cmk_txn **out);
/* Makes the changes durable and ends the transaction, also when it fails. *txn becomes NULL. */
CMK_MUST_USE cmk_rc cmk_txn_commit(cmk_txn **txn);
/* Ends the transaction without changes. *txn becomes NULL; NULL is fine. */
void cmk_txn_rollback(cmk_txn **txn);
#define CMK_TXN_AUTO __attribute__((cleanup(cmk_txn_rollback))) cmk_txn

/* Reads one record into out (which the caller clears). CMK_E_NOT_FOUND. */
CMK_MUST_USE cmk_rc cmk_txn_get(cmk_txn *t, const cmk_record_key *key, cmk_record *out);
/* Writes record with its revision and index entries where the present revision is expected (0: none). CMK_E_CONFLICT;
 * CMK_E_ARGUMENT in a read transaction or beyond a limit. */
CMK_MUST_USE cmk_rc cmk_txn_put(cmk_txn *t, const cmk_record *record, uint64_t expected);
/* Removes a record and its index entries; the pages are overwritten with zeros. CMK_E_NOT_FOUND, CMK_E_CONFLICT. */
CMK_MUST_USE cmk_rc cmk_txn_delete(cmk_txn *t, const cmk_record_key *key, uint64_t expected);

/* Called for each record of a listing; the record is only lent. Anything but CMK_OK ends the listing, which returns it.
 */
typedef cmk_rc (*cmk_record_visit)(void *ctx, const cmk_record *record);
/* Visits the records of a kind in one vault (vault NULL: in all, ascending by vault id) whose id begins with prefix.
 * The visitor may get from, but not write to, the transaction. */
CMK_MUST_USE cmk_rc cmk_txn_list(cmk_txn *t, const cmk_id *vault, uint8_t kind, cmk_bytes prefix,
                                 cmk_record_visit visit, void *ctx);
/* As cmk_txn_list(), starting behind the id after (not included) and for at most limit records (0: no limit): for going
 * through many in pieces. */
CMK_MUST_USE cmk_rc cmk_txn_list_after(cmk_txn *t, const cmk_id *vault, uint8_t kind, cmk_bytes after, size_t limit,
                                       cmk_record_visit visit, void *ctx);
/* Visits the records of a kind with an index entry (number, value); vault NULL: in all vaults. */
CMK_MUST_USE cmk_rc cmk_txn_find(cmk_txn *t, const cmk_id *vault, uint8_t kind, uint8_t number, cmk_bytes value,
                                 cmk_record_visit visit, void *ctx);
/* Number of records of a kind in one vault. */
CMK_MUST_USE cmk_rc cmk_txn_count(cmk_txn *t, const cmk_id *vault, uint8_t kind, uint64_t *count);

/* ---- failed logins: counters of their own, outside transactions, so that a login wakes nobody ---- */

typedef struct cmk_attempts {
    uint32_t failures;            /* since the last success or reset */
    uint32_t under_way;           /* reserved and not settled */
    uint64_t credential_revision; /* the highest that a successful login has seen */
} cmk_attempts;

/* Reserves one attempt for a principal, durably, before its PIN is looked at: failures plus attempts under way never
 * exceed threshold. CMK_E_PIN_LOCKED when failures have reached the threshold. Where only attempts under way stand in
 * the way it waits for them, up to the busy time-out and at least 5 s (CMK_E_BUSY). An attempt whose process has died
 * counts as a failure. *ticket is for cmk_attempt_settle(). */
CMK_MUST_USE cmk_rc cmk_attempt_reserve(cmk_store *s, const cmk_id *vault, const cmk_id *principal, uint32_t threshold,
                                        uint64_t *ticket);
typedef enum cmk_attempt_result {
    CMK_ATTEMPT_FAILED,
    CMK_ATTEMPT_SUCCEEDED,
    CMK_ATTEMPT_VOID /* not the PIN's fault: take it back */
} cmk_attempt_result;
/* Ends a reserved attempt: failed counts, succeeded sets the failures to 0 and remembers credential_revision if it is
 * higher. Durable. */
CMK_MUST_USE cmk_rc cmk_attempt_settle(cmk_store *s, const cmk_id *vault, const cmk_id *principal, uint64_t ticket,
                                       cmk_attempt_result result, uint64_t credential_revision);
/* Reads the counters; all zero for an unknown principal. */
CMK_MUST_USE cmk_rc cmk_attempts_read(cmk_store *s, const cmk_id *vault, const cmk_id *principal, cmk_attempts *out);
/* Sets failures to 0 (unlock), and credential_revision to that given when it is not 0 (a PIN reset starts over). */
CMK_MUST_USE cmk_rc cmk_attempts_reset(cmk_store *s, const cmk_id *vault, const cmk_id *principal,
                                       uint64_t credential_revision);

#endif
