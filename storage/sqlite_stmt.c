/* Prepared statements and the one place that maps SQLite's results to ours. */
#include <errno.h>
#include <string.h>

#include "storage/sqlite.h"

#define RECORD_COLUMNS "SELECT r.vault, r.id, r.revision, r.body FROM record AS r"

static const char *const statements[CMK_SQLITE_STMTS] = {
    [STMT_BEGIN] = "BEGIN",
    [STMT_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [STMT_COMMIT] = "COMMIT",
    [STMT_ROLLBACK] = "ROLLBACK",
    [STMT_DATA_VERSION] = "PRAGMA data_version",
    [STMT_GET] = "SELECT revision, body FROM record WHERE kind = ?1 AND vault = ?2 AND id = ?3",
    [STMT_LOCATE] = "SELECT number, revision FROM record WHERE kind = ?1 AND vault = ?2 AND id = ?3",
    [STMT_INSERT] = "INSERT INTO record (kind, vault, id, revision, body) VALUES (?1, ?2, ?3, ?4, ?5)",
    [STMT_UPDATE] = "UPDATE record SET revision = ?2, body = ?3 WHERE number = ?1",
    [STMT_DELETE] = "DELETE FROM record WHERE number = ?1",
    [STMT_UNINDEX] = "DELETE FROM entry WHERE record = ?1",
    [STMT_INDEX] = "INSERT OR IGNORE INTO entry (kind, field, value, vault, record) VALUES (?1, ?2, ?3, ?4, ?5)",
    [STMT_LIST] =
        RECORD_COLUMNS " WHERE r.kind = ?1 AND r.vault = ?2 AND r.id >= ?3 AND r.id < ?4 ORDER BY r.id LIMIT ?5",
    [STMT_LIST_ALL] = RECORD_COLUMNS " WHERE r.kind = ?1 AND r.id >= ?3 AND r.id < ?4 ORDER BY r.vault, r.id LIMIT ?5",
    [STMT_FIND] = RECORD_COLUMNS ", entry AS e WHERE e.kind = ?1 AND e.field = ?3 AND e.value = ?4 AND e.vault = ?2"
                                 " AND r.number = e.record AND r.vault = e.vault AND r.kind = e.kind ORDER BY r.id",
    [STMT_FIND_ALL] =
        RECORD_COLUMNS ", entry AS e WHERE e.kind = ?1 AND e.field = ?3 AND e.value = ?4"
                       " AND r.number = e.record AND r.vault = e.vault AND r.kind = e.kind ORDER BY r.vault, r.id",
    [STMT_COUNT] = "SELECT count(*) FROM record WHERE kind = ?1 AND vault = ?2",
    [STMT_SETTING] = "SELECT value FROM setting WHERE name = 'store-group'",
    [STMT_SET] = "INSERT OR REPLACE INTO setting (name, value) VALUES ('store-group', ?1)",
    [STMT_UNSET] = "DELETE FROM setting WHERE name = 'store-group'",
    [STMT_ATT_COUNTER] = "SELECT failures, credential_revision FROM counter WHERE vault = ?1 AND principal = ?2",
    [STMT_ATT_STORE] = "INSERT OR REPLACE INTO counter (vault, principal, failures, credential_revision)"
                       " VALUES (?1, ?2, ?3, ?4)",
    [STMT_ATT_LIVE] = "SELECT ticket, boot, namespace, pid, started, began FROM attempt"
                      " WHERE vault = ?1 AND principal = ?2",
    [STMT_ATT_ADD] = "INSERT INTO attempt (vault, principal, boot, namespace, pid, started, began)"
                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [STMT_ATT_DROP] = "DELETE FROM attempt WHERE ticket = ?3 AND vault = ?1 AND principal = ?2",
};

/* How a result of SQLite, or where there is one the errno behind it, reads for us. */
typedef struct mapping {
    int code;
    cmk_rc rc;
    const char *advice;
} mapping;

#define DAMAGED "the file is damaged or no cmk11 store; restore it from a backup"
#define DENIED "access is denied; check owner and mode of the file and its directory"
#define NO_SPACE "no space is left (disk, quota or file size limit); make room and try again"
#define NO_WRITE "it can only be read here; check mount options and permissions"

static const mapping by_errno[] = {
    {ENOSPC, CMK_E_FULL, NO_SPACE},
    {EDQUOT, CMK_E_FULL, NO_SPACE},
    {EFBIG, CMK_E_FULL, NO_SPACE},
    {EROFS, CMK_E_READ_ONLY, NO_WRITE},
    {EACCES, CMK_E_PERMISSION, DENIED},
    {EPERM, CMK_E_PERMISSION, DENIED},
    {ELOOP, CMK_E_PERMISSION, DENIED},
    {ENOENT, CMK_E_IO, "it has been removed; restore it from a backup"},
    {EMFILE, CMK_E_IO, "too many files are open; raise the limit (ulimit -n)"},
};

static const mapping by_result[] = {
    {SQLITE_READONLY_DBMOVED, CMK_E_BUSY, "the file has been replaced meanwhile; try again"},
    {SQLITE_IOERR_NOMEM, CMK_E_NO_MEMORY, "out of memory"},
    {SQLITE_IOERR_SHORT_READ, CMK_E_STORE_DAMAGED, DAMAGED},
    {SQLITE_IOERR_CORRUPTFS, CMK_E_STORE_DAMAGED, DAMAGED},
    {SQLITE_CANTOPEN_SYMLINK, CMK_E_PERMISSION, "it is a symbolic link; put the file itself there"},
    {SQLITE_FULL, CMK_E_FULL, NO_SPACE},
    {SQLITE_BUSY, CMK_E_BUSY, "another process has been writing all the time; try again"},
    {SQLITE_LOCKED, CMK_E_BUSY, "another thread has been writing all the time; try again"},
    {SQLITE_PROTOCOL, CMK_E_BUSY, "other processes hold its locks; try again"},
    {SQLITE_READONLY, CMK_E_READ_ONLY, NO_WRITE},
    {SQLITE_PERM, CMK_E_PERMISSION, DENIED},
    {SQLITE_NOMEM, CMK_E_NO_MEMORY, "out of memory"},
    {SQLITE_IOERR, CMK_E_IO, "reading or writing failed; check the disk"},
    {SQLITE_CANTOPEN, CMK_E_IO, "it can't be opened; check the file and its directory"},
    {SQLITE_CORRUPT, CMK_E_STORE_DAMAGED, DAMAGED},
    {SQLITE_NOTADB, CMK_E_STORE_DAMAGED, DAMAGED},
    {SQLITE_FORMAT, CMK_E_STORE_DAMAGED, DAMAGED},
    /* The statements are fixed: where a table lacks or a value has another type, the file is not what we wrote. */
    {SQLITE_ERROR, CMK_E_STORE_DAMAGED, DAMAGED},
    {SQLITE_SCHEMA, CMK_E_STORE_DAMAGED, DAMAGED},
    {SQLITE_CONSTRAINT, CMK_E_STORE_DAMAGED, DAMAGED},
    {SQLITE_MISMATCH, CMK_E_STORE_DAMAGED, DAMAGED},
    {SQLITE_TOOBIG, CMK_E_STORE_DAMAGED, DAMAGED},
};

static const mapping *look_up(const mapping *table, size_t n, int code)
{
    for (size_t i = 0; i < n; i++)
        if (table[i].code == code)
            return &table[i];
    return NULL;
}

cmk_rc cmk_sqlite_errno(int e)
{
    const mapping *m = look_up(by_errno, sizeof by_errno / sizeof by_errno[0], e);
    return m ? m->rc : CMK_E_IO;
}

cmk_rc cmk_sqlite_fail(const cmk_sqlite_conn *c, int rc)
{
    static const mapping unknown = {0, CMK_E_INTERNAL, "this is an error in cmk11; please report it"};
    const size_t results = sizeof by_result / sizeof by_result[0];
    const mapping *m = NULL;
    int last = errno;
    int primary = rc & 0xff;
    int sys = c->db && (primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN) ? sqlite3_system_errno(c->db) : 0;
    /* SQLite forgets the errno of a write that failed in COMMIT; cmk_sqlite_finish() cleared ours before */
    if (sys == 0 && primary == SQLITE_IOERR && (last == ENOSPC || last == EDQUOT || last == EFBIG || last == EROFS))
        sys = last;
    m = look_up(by_result, results, rc);
    if (!m && sys)
        m = look_up(by_errno, sizeof by_errno / sizeof by_errno[0], sys);
    if (!m)
        m = look_up(by_result, results, primary);
    if (!m)
        m = &unknown;
    return cmk_fail(m->rc, "store file %s: %s (%s%s%s, SQLite %d)", c->path, m->advice, sqlite3_errstr(rc),
                    sys ? "; " : "", sys ? strerror(sys) : "", rc);
}

cmk_rc cmk_sqlite_take(cmk_sqlite_conn *c, cmk_sqlite_stmt which, sqlite3_stmt **out)
{
    *out = c->stmt[which];
    c->stmt[which] = NULL; /* a visitor that lists again gets a statement of its own */
    if (*out)
        return CMK_OK;
    int rc = sqlite3_prepare_v3(c->db, statements[which], -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
    return rc == SQLITE_OK ? CMK_OK : cmk_sqlite_fail(c, rc);
}

void cmk_sqlite_give(cmk_sqlite_conn *c, cmk_sqlite_stmt which, sqlite3_stmt *st)
{
    if (!st)
        return;
    sqlite3_reset(st);
    if (c->stmt[which])
        sqlite3_finalize(st);
    else
        c->stmt[which] = st;
}

cmk_rc cmk_sqlite_finish(cmk_sqlite_conn *c, sqlite3_stmt *st)
{
    int rc = SQLITE_ROW;
    errno = 0;
    while (rc == SQLITE_ROW)
        rc = sqlite3_step(st);
    return rc == SQLITE_DONE ? CMK_OK : cmk_sqlite_fail(c, rc);
}

cmk_rc cmk_sqlite_run(cmk_sqlite_conn *c, cmk_sqlite_stmt which)
{
    sqlite3_stmt *st = NULL;
    cmk_rc rc = cmk_sqlite_take(c, which, &st);
    if (rc == CMK_OK)
        rc = cmk_sqlite_finish(c, st);
    cmk_sqlite_give(c, which, st);
    return rc;
}

int cmk_sqlite_bind(sqlite3_stmt *st, int at, cmk_bytes v)
{
    /* A NULL pointer would bind SQL's NULL, which is not an empty blob. */
    return v.len ? sqlite3_bind_blob64(st, at, v.data, v.len, SQLITE_STATIC) : sqlite3_bind_zeroblob(st, at, 0);
}
