/* Connections: how a database file is recognised, opened, set up, created and migrated. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/sqlite.h"
#include "util/clock.h"
#include "util/log.h"

/* Records have a number of their own, because with bodies of some KiB in the key's tree its pages would hold a handful
 * of rows and a look-up would go through many more of them. */
static const char *const record_migrations[] = {
    "CREATE TABLE record (number INTEGER PRIMARY KEY, kind INTEGER NOT NULL, vault BLOB NOT NULL, id BLOB NOT NULL,"
    " revision INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE (kind, vault, id)) STRICT;"
    "CREATE TABLE entry (kind INTEGER NOT NULL, field INTEGER NOT NULL, value BLOB NOT NULL, vault BLOB NOT NULL,"
    " record INTEGER NOT NULL, PRIMARY KEY (kind, field, value, vault, record)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX entry_record ON entry (record);"
    "CREATE TABLE setting (name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;",
};
const cmk_sqlite_schema cmk_sqlite_records = {"cmk11.db", 0x434D4B31 /* CMK1 */, record_migrations,
                                              sizeof record_migrations / sizeof record_migrations[0]};

/* AUTOINCREMENT: a ticket is never given out twice, so a late settle can't end somebody else's attempt. */
static const char *const attempt_migrations[] = {
    "CREATE TABLE counter (vault BLOB NOT NULL, principal BLOB NOT NULL, failures INTEGER NOT NULL,"
    " credential_revision INTEGER NOT NULL, PRIMARY KEY (vault, principal)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE attempt (ticket INTEGER PRIMARY KEY AUTOINCREMENT, vault BLOB NOT NULL, principal BLOB NOT NULL,"
    " boot BLOB NOT NULL, namespace INTEGER NOT NULL, pid INTEGER NOT NULL, started INTEGER NOT NULL,"
    " began INTEGER NOT NULL) STRICT;"
    "CREATE INDEX attempt_principal ON attempt (vault, principal);",
};
const cmk_sqlite_schema cmk_sqlite_attempts = {"attempts.db", 0x434D4B41 /* CMKA */, attempt_migrations,
                                               sizeof attempt_migrations / sizeof attempt_migrations[0]};

/* Short waits with jitter: SQLite's own go up to 100 ms, with which fifty processes take seconds for what takes 2 ms
 * each. */
static int wait_for_lock(void *ctx, int calls)
{
    cmk_sqlite_conn *c = ctx;
    uint64_t now = cmk_monotonic_us();
    if (calls == 0)
        c->busy_since = now;
    if (now - c->busy_since >= (uint64_t)c->busy_timeout_ms * 1000)
        return 0;
    usleep(200 + (unsigned)(now * 2654435761U >> 8) % (calls < 10 ? 800U : 4000U));
    return 1;
}

static cmk_rc execute(cmk_sqlite_conn *c, const char *sql)
{
    int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? CMK_OK : cmk_sqlite_fail(c, rc);
}

static cmk_rc read_number(cmk_sqlite_conn *c, const char *sql, int64_t *value, int *sqlite_rc)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(c->db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *value = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    *sqlite_rc = rc == SQLITE_DONE ? SQLITE_CORRUPT : rc;
    return rc == SQLITE_ROW ? CMK_OK : cmk_sqlite_fail(c, *sqlite_rc);
}

static cmk_rc check_version(const cmk_sqlite_conn *c, const cmk_sqlite_schema *schema, int64_t id, int64_t version)
{
    if (id != schema->application_id || version < 1)
        return cmk_fail(CMK_E_STORE_DAMAGED, "store file %s is damaged or was not made by cmk11 as %s; restore it",
                        c->path, schema->file);
    if (version > schema->version)
        return cmk_fail(CMK_E_SCHEMA_NEWER,
                        "store file %s has schema %lld, this release knows %d; install a newer release", c->path,
                        (long long)version, schema->version);
    return CMK_OK;
}

static int32_t big_endian(const uint8_t *p)
{
    return (int32_t)((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
}

/* Looks at the file's header before SQLite may act on it: SQLite takes an empty file for an empty database, and deletes
 * the log beside it. */
static cmk_rc check_header(cmk_sqlite_conn *c, const cmk_sqlite_schema *schema)
{
    enum { HEADER = 100, USER_VERSION = 60, APPLICATION_ID = 68 };
    uint8_t h[HEADER] = {0};
    sqlite3_file *file = NULL;
    sqlite3_int64 size = 0;
    int rc = sqlite3_file_control(c->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (rc == SQLITE_OK && (!file || !file->pMethods))
        rc = SQLITE_CANTOPEN;
    if (rc == SQLITE_OK)
        rc = file->pMethods->xFileSize(file, &size);
    if (rc == SQLITE_OK && size >= HEADER)
        rc = file->pMethods->xRead(file, h, HEADER, 0);
    if (rc != SQLITE_OK)
        return cmk_sqlite_fail(c, rc);
    if (size < HEADER || memcmp(h, "SQLite format 3", 16) != 0)
        return cmk_fail(CMK_E_STORE_DAMAGED, "store file %s is %s; restore it from a backup", c->path,
                        size == 0 ? "empty" : "truncated or no database");
    return check_version(c, schema, big_endian(h + APPLICATION_ID), big_endian(h + USER_VERSION));
}

/* "file:" with everything but plain characters escaped. Caller frees. */
static char *immutable_uri(const char *path)
{
    static const char tail[] = "?immutable=1";
    static const char digits[] = "0123456789ABCDEF";
    char *uri = malloc(strlen("file:") + 3 * strlen(path) + sizeof tail);
    if (!uri)
        return NULL;
    char *o = stpcpy(uri, "file:");
    for (const unsigned char *p = (const unsigned char *)path; *p; p++)
        if ((*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || strchr("/._-", *p)) {
            *o++ = (char)*p;
        } else {
            *o++ = '%';
            *o++ = digits[*p >> 4];
            *o++ = digits[*p & 15];
        }
    memcpy(o, tail, sizeof tail);
    return uri;
}

static cmk_rc open_file(cmk_sqlite_conn *c, bool immutable)
{
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
    char *uri = immutable ? immutable_uri(c->path) : NULL;
    if (immutable && !uri)
        return CMK_E_NO_MEMORY;
    flags |= immutable ? SQLITE_OPEN_READONLY | SQLITE_OPEN_URI : SQLITE_OPEN_READWRITE;
    int rc = sqlite3_open_v2(uri ? uri : c->path, &c->db, flags, NULL);
    free(uri);
    if (rc != SQLITE_OK)
        return cmk_sqlite_fail(c, rc);
    c->access = immutable                                ? CMK_SQLITE_IMMUTABLE
                : sqlite3_db_readonly(c->db, "main") > 0 ? CMK_SQLITE_READ_ONLY
                                                         : CMK_SQLITE_WRITABLE;
    return CMK_OK;
}

/* What the file may not make the library do, and how carefully it writes. */
static cmk_rc set_up(cmk_sqlite_conn *c)
{
    static const struct {
        int option, value;
    } options[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
        {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
        {SQLITE_DBCONFIG_DQS_DML, 0},
        {SQLITE_DBCONFIG_DQS_DDL, 0},
        {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
        /* until the file is known to be ours, closing it must not change it */
        {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        int rc = sqlite3_db_config(c->db, options[i].option, options[i].value, NULL);
        if (rc != SQLITE_OK)
            return cmk_sqlite_fail(c, rc);
    }
    sqlite3_busy_handler(c->db, wait_for_lock, c);
    return execute(c, "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY");
}

/* After the first read, which may already need locks and the log. The journal mode is stored in the file, and a copy
 * that a tool made may have lost it. */
static const char write_settings[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;"
                                     "PRAGMA wal_autocheckpoint = 1000; PRAGMA journal_size_limit = 4194304";

static void drop(cmk_sqlite_conn *c)
{
    sqlite3_close_v2(c->db);
    c->db = NULL;
}

/* Opens and reads for the first time. *sqlite_rc tells why reading failed. */
static cmk_rc open_and_read(cmk_sqlite_conn *c, const cmk_sqlite_schema *schema, bool immutable, int *sqlite_rc)
{
    int64_t id = 0;
    int64_t version = 0;
    cmk_rc rc = open_file(c, immutable);
    *sqlite_rc = SQLITE_OK;
    if (rc == CMK_OK)
        rc = set_up(c);
    if (rc == CMK_OK)
        rc = check_header(c, schema);
    if (rc == CMK_OK)
        rc = read_number(c, "PRAGMA application_id", &id, sqlite_rc);
    if (rc == CMK_OK)
        rc = read_number(c, "PRAGMA user_version", &version, sqlite_rc);
    if (rc == CMK_OK)
        rc = check_version(c, schema, id, version);
    return rc;
}

/* True when reading failed only because the log's files can't be made, and there is nothing in the log. */
static bool can_do_without_log(const cmk_sqlite_conn *c, int sqlite_rc)
{
    off_t size = 0;
    char wal[4096];
    int primary = sqlite_rc & 0xff;
    if (primary != SQLITE_CANTOPEN && primary != SQLITE_READONLY && primary != SQLITE_IOERR)
        return false;
    if (snprintf(wal, sizeof wal, "%s-wal", c->path) >= (int)sizeof wal)
        return false;
    return !cmk_sqlite_file_size(wal, &size) || size == 0;
}

cmk_rc cmk_sqlite_connect(cmk_sqlite_conn *c, const char *directory, const cmk_sqlite_schema *schema,
                          uint32_t busy_timeout_ms)
{
    int sqlite_rc = SQLITE_OK;
    *c = (cmk_sqlite_conn){.busy_timeout_ms = busy_timeout_ms};
    c->path = cmk_sqlite_path(directory, schema->file);
    if (!c->path)
        return CMK_E_NO_MEMORY;
    cmk_rc rc = open_and_read(c, schema, false, &sqlite_rc);
    if (rc != CMK_OK && can_do_without_log(c, sqlite_rc)) {
        drop(c);
        rc = open_and_read(c, schema, true, &sqlite_rc);
    } else if (rc != CMK_OK && (sqlite_rc & 0xff) == SQLITE_CANTOPEN) {
        rc =
            cmk_fail(CMK_E_READ_ONLY,
                     "store file %s: its log has to be recovered first; open it once where it can be written", c->path);
    }
    if (rc == CMK_OK && c->access == CMK_SQLITE_WRITABLE) {
        rc = cmk_sqlite_migrate(c, schema);
        if (rc == CMK_OK)
            rc = execute(c, write_settings);
        sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, rc != CMK_OK, NULL);
    } else if (rc == CMK_OK) {
        int64_t version = 0;
        rc = read_number(c, "PRAGMA user_version", &version, &sqlite_rc);
        if (rc == CMK_OK && version < schema->version)
            rc = cmk_fail(CMK_E_READ_ONLY,
                          "store file %s has the older schema %lld; open it once where it can be written", c->path,
                          (long long)version);
    }
    if (rc != CMK_OK)
        cmk_sqlite_disconnect(c, false);
    return rc;
}

void cmk_sqlite_disconnect(cmk_sqlite_conn *c, bool checkpoint)
{
    for (size_t i = 0; i < CMK_SQLITE_STMTS; i++)
        sqlite3_finalize(c->stmt[i]);
    if (c->db && !checkpoint)
        sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    drop(c);
    free(c->path);
    *c = (cmk_sqlite_conn){0};
}

static cmk_rc run_migrations(cmk_sqlite_conn *c, const cmk_sqlite_schema *schema)
{
    char sql[64];
    int64_t version = 0;
    int ignored = 0;
    cmk_rc rc = read_number(c, "PRAGMA user_version", &version, &ignored);
    for (; rc == CMK_OK && version < schema->version; version++)
        rc = execute(c, schema->migrations[version]);
    if (rc == CMK_OK) {
        snprintf(sql, sizeof sql, "PRAGMA user_version = %d", schema->version);
        rc = execute(c, sql);
    }
    return rc;
}

cmk_rc cmk_sqlite_migrate(cmk_sqlite_conn *c, const cmk_sqlite_schema *schema)
{
    int64_t version = 0;
    int ignored = 0;
    cmk_rc rc = read_number(c, "PRAGMA user_version", &version, &ignored);
    if (rc != CMK_OK || version >= schema->version)
        return rc;
    rc = execute(c, "BEGIN EXCLUSIVE");
    if (rc != CMK_OK)
        return rc;
    rc = run_migrations(c, schema); /* reads the version again: another process may have been first */
    if (rc == CMK_OK)
        rc = execute(c, "COMMIT");
    if (rc != CMK_OK)
        sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    else if (version > 0)
        cmk_log(CMK_LOG_INFO, "store file %s: schema brought from %lld to %d", c->path, (long long)version,
                schema->version);
    return rc;
}

/* An empty file with its final owner and mode. SQLite would make it readable for others at first, and who opens it then
 * can read on. */
static cmk_rc make_file(const char *path, const struct stat *dir)
{
    bool shared = (dir->st_mode & S_IWGRP) != 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && (geteuid() != 0 || fchown(fd, dir->st_uid, dir->st_gid) == 0) &&
              fchmod(fd, shared ? 0660 : 0600) == 0;
    int e = errno;
    if (fd >= 0)
        close(fd);
    return ok ? CMK_OK : cmk_fail(cmk_sqlite_errno(e), "store file %s can't be made: %s", path, strerror(e));
}

/* Makes a whole database at c->path, which is ours alone. */
static cmk_rc build(cmk_sqlite_conn *c, const cmk_sqlite_schema *schema, const struct stat *dir)
{
    char sql[64];
    cmk_rc res = make_file(c->path, dir);
    if (res != CMK_OK)
        return res;
    int rc = sqlite3_open_v2(c->path, &c->db,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
                                 SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE,
                             NULL);
    if (rc != SQLITE_OK)
        return cmk_sqlite_fail(c, rc);
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d", schema->application_id);
    res = set_up(c);
    if (res == CMK_OK)
        res = execute(c, "PRAGMA synchronous = FULL");
    if (res == CMK_OK)
        res = execute(c, sql);
    if (res == CMK_OK)
        res = cmk_sqlite_migrate(c, schema);
    if (res == CMK_OK) /* last: until here the file is alone, without a log beside it */
        res = execute(c, "PRAGMA journal_mode = WAL");
    if (res == CMK_OK)
        sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    return res;
}

cmk_rc cmk_sqlite_create(const char *directory, const cmk_sqlite_schema *schema)
{
    char name[64];
    char side[4200];
    struct stat dir;
    cmk_sqlite_conn c = {.busy_timeout_ms = 1000};
    cmk_rc rc = CMK_E_INTERNAL;
    char *final = cmk_sqlite_path(directory, schema->file);
    /* The name is unique among processes and threads; the file takes its place only when whole. */
    snprintf(name, sizeof name, ".new-%ld-%llx-%s", (long)getpid(), (unsigned long long)cmk_monotonic_us(),
             schema->file);
    c.path = cmk_sqlite_path(directory, name);
    char *temp = c.path ? strdup(c.path) : NULL;
    if (!final || !temp) {
        rc = cmk_fail(CMK_E_NO_MEMORY, "out of memory");
        goto out;
    }
    if (stat(directory, &dir) != 0) {
        rc = cmk_fail(cmk_sqlite_errno(errno), "store directory %s: %s", directory, strerror(errno));
        goto out;
    }
    rc = build(&c, schema, &dir);
    cmk_sqlite_disconnect(&c, rc == CMK_OK);
    if (rc == CMK_OK && link(temp, final) != 0 && errno != EEXIST) /* EEXIST: somebody was first, theirs is as good */
        rc = cmk_fail(cmk_sqlite_errno(errno), "store file %s can't be made: %s", final, strerror(errno));
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++)
        if (snprintf(side, sizeof side, "%s%s", temp, suffixes[i]) < (int)sizeof side)
            unlink(side);
    if (rc == CMK_OK)
        rc = cmk_sqlite_sync_directory(directory);
out:
    free(c.path);
    free(temp);
    free(final);
    return rc;
}
