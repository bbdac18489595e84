/* Private to storage/sqlite*.c: connections, the pool that lends them, schemas and files.
 *
 * SQLite keeps POSIX record locks, which the kernel drops when the process closes any descriptor of the file. So
 * nothing here (nor anywhere else) opens a database file by hand: what has to be read outside SQL is read through
 * SQLite's own file object.
 */
#ifndef CMK_STORAGE_SQLITE_H
#define CMK_STORAGE_SQLITE_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

#include "storage/backend.h"
#include "util/lock.h"

/* ---- schemas (sqlite_schema.c) ---- */

/* Brings a database from version N (its place in the array) to N+1. */
typedef struct cmk_sqlite_schema {
    const char *file;              /* name within the store's directory */
    int32_t application_id;        /* in the database header: whose file this is */
    const char *const *migrations; /* SQL scripts */
    int version;                   /* how many there are: the version that this release writes */
} cmk_sqlite_schema;

extern const cmk_sqlite_schema cmk_sqlite_records;
extern const cmk_sqlite_schema cmk_sqlite_attempts;

typedef enum cmk_sqlite_access {
    CMK_SQLITE_WRITABLE,
    CMK_SQLITE_READ_ONLY, /* disk or permissions allow reading only */
    CMK_SQLITE_IMMUTABLE  /* and there is no log beside it, nor can one be made */
} cmk_sqlite_access;

/* One database connection with the statements that are prepared on it so far. */
typedef enum cmk_sqlite_stmt {
    STMT_BEGIN,
    STMT_BEGIN_WRITE,
    STMT_COMMIT,
    STMT_ROLLBACK,
    STMT_DATA_VERSION,
    STMT_GET,
    STMT_LOCATE,
    STMT_INSERT,
    STMT_UPDATE,
    STMT_DELETE,
    STMT_UNINDEX,
    STMT_INDEX,
    STMT_LIST,
    STMT_LIST_ALL,
    STMT_FIND,
    STMT_FIND_ALL,
    STMT_COUNT,
    STMT_SETTING,
    STMT_SET,
    STMT_UNSET,
    STMT_ATT_COUNTER,
    STMT_ATT_STORE,
    STMT_ATT_LIVE,
    STMT_ATT_ADD,
    STMT_ATT_DROP,
    CMK_SQLITE_STMTS
} cmk_sqlite_stmt;

typedef struct cmk_sqlite_conn {
    sqlite3 *db;
    sqlite3_stmt *stmt[CMK_SQLITE_STMTS];
    char *path; /* of the database file, for messages */
    cmk_sqlite_access access;
    uint32_t busy_timeout_ms;
    uint64_t busy_since; /* when the present wait for a lock began */
} cmk_sqlite_conn;

/* Opens directory/schema->file, checks that it is what it should be, and brings its schema up to date. */
cmk_rc cmk_sqlite_connect(cmk_sqlite_conn *c, const char *directory, const cmk_sqlite_schema *schema,
                          uint32_t busy_timeout_ms);
/* Makes the database if there is none, whole or not at all, with the directory's owner and group. */
cmk_rc cmk_sqlite_create(const char *directory, const cmk_sqlite_schema *schema);
/* Runs the migrations from the version that the database has up to schema->version, in one transaction. */
cmk_rc cmk_sqlite_migrate(cmk_sqlite_conn *c, const cmk_sqlite_schema *schema);
/* Closes; checkpoint false leaves the write-ahead log as it is. */
void cmk_sqlite_disconnect(cmk_sqlite_conn *c, bool checkpoint);

/* Turns SQLite's result rc into ours, with a sentence that names the file and what to do. */
cmk_rc cmk_sqlite_fail(const cmk_sqlite_conn *c, int rc);
/* The code for a system call that failed with e; CMK_E_IO where there is no better one. */
cmk_rc cmk_sqlite_errno(int e);

/* ---- statements (sqlite_stmt.c) ---- */

/* Lends the prepared statement which; give it back with cmk_sqlite_give(). */
cmk_rc cmk_sqlite_take(cmk_sqlite_conn *c, cmk_sqlite_stmt which, sqlite3_stmt **out);
void cmk_sqlite_give(cmk_sqlite_conn *c, cmk_sqlite_stmt which, sqlite3_stmt *st);
/* Takes, runs and gives back a statement without parameters. */
cmk_rc cmk_sqlite_run(cmk_sqlite_conn *c, cmk_sqlite_stmt which);
/* Runs a statement that has no result to its end. */
cmk_rc cmk_sqlite_finish(cmk_sqlite_conn *c, sqlite3_stmt *st);
/* Binds bytes, also none, as a blob that stays where it is until the statement is given back. */
int cmk_sqlite_bind(sqlite3_stmt *st, int at, cmk_bytes v);

/* ---- files (sqlite_files.c) ---- */

/* The real path of the store's directory, made if asked to. Caller frees. CMK_E_NOT_FOUND, CMK_E_PERMISSION,
 * CMK_E_UNSUPPORTED_FS. */
cmk_rc cmk_sqlite_directory(const char *directory, bool create, char **real);
/* Checks owner and mode of the directory and of the databases and logs that are there; *shared tells whether the group
 * may write, *gid which it is. */
cmk_rc cmk_sqlite_check_files(const char *directory, bool *shared, gid_t *gid);
/* Gives the directory and everything in it to group gid, or to the directory's own group with nothing for it to do when
 * gid is -1. */
cmk_rc cmk_sqlite_share_files(const char *directory, gid_t gid);
/* Why a file that opens for reading only can't be written: CMK_E_FULL when no space is left for its log, else
 * CMK_E_READ_ONLY; with a detail that ends in consequence. */
cmk_rc cmk_sqlite_no_write(const char *path, const char *consequence);
/* directory/name; NULL when out of memory. Caller frees. */
char *cmk_sqlite_path(const char *directory, const char *name);
/* True if the file is there; *size is its size. */
bool cmk_sqlite_file_size(const char *path, off_t *size);
/* Makes what link, unlink and rename did to the directory durable. */
cmk_rc cmk_sqlite_sync_directory(const char *directory);

/* What tells one database file from another that took its place. */
typedef struct cmk_sqlite_identity {
    bool known;
    dev_t device;
    ino_t inode;
    ino_t shm_inode; /* of the -shm file, which lives as long as anybody has the database open; 0: none */
    off_t size;
    struct timespec changed;
} cmk_sqlite_identity;
void cmk_sqlite_identify(const char *path, const char *shm_path, cmk_sqlite_identity *out);

/* ---- the store (sqlite.c) and its connections (sqlite_pool.c) ---- */

#define CMK_SQLITE_READERS 8

typedef enum cmk_sqlite_role {
    ROLE_READER, /* CMK_SQLITE_READERS slots from here */
    ROLE_WRITER = CMK_SQLITE_READERS,
    ROLE_WATCH, /* asks for data_version: its own connection, so that the answer does not depend on which was lent */
    ROLE_ATTEMPTS,
    CMK_SQLITE_SLOTS
} cmk_sqlite_role;

typedef struct cmk_sqlite_slot {
    cmk_txn txn; /* first: the transaction that runs on this connection */
    cmk_sqlite_conn conn;
    bool busy;            /* lent; under the pool's lock */
    bool deleted;         /* the transaction has removed records */
    uint32_t epoch;       /* cache epoch of the store when its page cache was known to be good */
    int64_t data_version; /* ROLE_WATCH: what it answered last */
} cmk_sqlite_slot;

/* The change notice's fast path (sqlite_notice.c). */
#define CMK_SQLITE_HEADER_WORDS 12 /* of the log's index: two copies of 48 bytes, which every commit changes */
/* How many times the file may be replaced under an open store before the fast path is given up: a thread that is late
 * may still look through an old window, so none is closed before the store is. */
#define CMK_SQLITE_WINDOWS 64

typedef struct cmk_sqlite_notice cmk_sqlite_notice;

/* What the log's index said before SQLite was asked. */
typedef struct cmk_sqlite_snapshot {
    const uint64_t *window; /* where it was read; NULL: nowhere, and nothing can be said without asking SQLite */
    uint64_t taken_ms;
    uint64_t header[CMK_SQLITE_HEADER_WORDS];
} cmk_sqlite_snapshot;

typedef struct cmk_sqlite_store {
    cmk_store base;
    char *path, *shm_path;
    cmk_mutex lock; /* everything below that is not in a lent slot */
    pthread_cond_t idle;
    cmk_sqlite_slot slot[CMK_SQLITE_SLOTS];
    cmk_sqlite_identity seen;
    bool replaced; /* another file is there: lend nothing until all connections to the old one are closed */
    uint32_t epoch;
    uint64_t generation;
    bool truncate_due; /* removed records are still in the write-ahead log; only the writer looks */
    pid_t owner;       /* the process that opened it: no other may use it */

    cmk_sqlite_notice *notice; /* what the fast path compares with; NULL where the kernel can't keep it from a child */
    /* The first page of cmk11.db-shm, mapped once more: the present one, and all that there ever were. They belong to
     * who has the watching connection; to who has the lock when all are idle. */
    const uint64_t *window_current;
    const uint64_t *window[CMK_SQLITE_WINDOWS];
    size_t windows;
    bool window_tried; /* since the connections were opened */
} cmk_sqlite_store;

void cmk_sqlite_notice_init(cmk_sqlite_store *s);
void cmk_sqlite_notice_free(cmk_sqlite_store *s);
/* True, with the generation, if files and log are as they were when it was published, less than a second ago. Takes no
 * lock; in a forked child it is always false. */
bool cmk_sqlite_notice_unchanged(const cmk_sqlite_store *s, uint64_t *generation);
/* Looks at the log's index; only for who has been lent the watching connection, and before data_version is read. */
void cmk_sqlite_notice_look(cmk_sqlite_store *s, const cmk_sqlite_slot *watch, cmk_sqlite_snapshot *out);
/* Under the lock: s->generation is that of the snapshot, of a state that data_version has told about since. */
void cmk_sqlite_notice_publish(cmk_sqlite_store *s, const cmk_sqlite_snapshot *snapshot);
/* Under the lock: what was published is out of date. */
void cmk_sqlite_notice_withdraw(cmk_sqlite_store *s);
/* Under the lock: all connections to the file have been closed. */
void cmk_sqlite_notice_retire(cmk_sqlite_store *s);

void cmk_sqlite_pool_init(cmk_sqlite_store *s);
/* Lends a free connection of the role, opened if need be. Waits for one, but not for a replaced file's last users when
 * called for ROLE_WATCH: then, *out is NULL. */
cmk_rc cmk_sqlite_lend(cmk_sqlite_store *s, cmk_sqlite_role role, cmk_sqlite_slot **out);
/* Rolls back what was not committed, and gives the connection back. */
void cmk_sqlite_return(cmk_sqlite_store *s, cmk_sqlite_slot *slot);
/* Closes all connections; none is lent. */
void cmk_sqlite_pool_close(cmk_sqlite_store *s);
/* In a forked child; see docs/storage.md. */
void cmk_sqlite_pool_abandon(cmk_sqlite_store *s);
/* CMK_E_FORKED when this process inherited the store of that file while a connection of it was in use. */
cmk_rc cmk_sqlite_check_forked(const char *path);

/* The functions of cmk_store_ops that are not in sqlite.c. */
cmk_rc cmk_sqlite_get(cmk_txn *t, const cmk_record_key *key, cmk_record *out);
cmk_rc cmk_sqlite_put(cmk_txn *t, const cmk_record *record, uint64_t expected);
cmk_rc cmk_sqlite_delete(cmk_txn *t, const cmk_record_key *key, uint64_t expected);
cmk_rc cmk_sqlite_list(cmk_txn *t, const cmk_id *vault, uint8_t kind, cmk_bytes prefix, cmk_bytes after, size_t limit,
                       cmk_record_visit visit, void *ctx);
cmk_rc cmk_sqlite_find(cmk_txn *t, const cmk_id *vault, uint8_t kind, uint8_t number, cmk_bytes value,
                       cmk_record_visit visit, void *ctx);
cmk_rc cmk_sqlite_count(cmk_txn *t, const cmk_id *vault, uint8_t kind, uint64_t *count);
cmk_rc cmk_sqlite_attempt_reserve(cmk_store *s, const cmk_id *vault, const cmk_id *principal, uint32_t threshold,
                                  uint64_t *ticket);
cmk_rc cmk_sqlite_attempt_settle(cmk_store *s, const cmk_id *vault, const cmk_id *principal, uint64_t ticket,
                                 cmk_attempt_result result, uint64_t credential_revision);
cmk_rc cmk_sqlite_attempts_read(cmk_store *s, const cmk_id *vault, const cmk_id *principal, cmk_attempts *out);
cmk_rc cmk_sqlite_attempts_reset(cmk_store *s, const cmk_id *vault, const cmk_id *principal,
                                 uint64_t credential_revision);

#endif
