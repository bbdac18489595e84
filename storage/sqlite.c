/* The embedded store: opening, transactions, change notice. Records are in sqlite_records.c, connections in
 * sqlite_pool.c. */
#include "storage/sqlite.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/log.h"

static cmk_sqlite_store *sqlite_of(cmk_store *s)
{
    return (cmk_sqlite_store *)s;
}

static void sqlite_close(cmk_store *s)
{
    /* in a forked child that should have abandoned it, closing would take away the parent's log */
    if (sqlite_of(s)->owner != getpid())
        cmk_sqlite_pool_abandon(sqlite_of(s));
    else
        cmk_sqlite_pool_close(sqlite_of(s));
}

static void sqlite_abandon(cmk_store *s)
{
    cmk_sqlite_pool_abandon(sqlite_of(s));
}

static cmk_rc read_integer(cmk_sqlite_conn *c, cmk_sqlite_stmt which, int64_t *value, bool *found)
{
    sqlite3_stmt *st = NULL;
    cmk_rc rc = cmk_sqlite_take(c, which, &st);
    if (rc != CMK_OK)
        return rc;
    int res = sqlite3_step(st);
    *found = res == SQLITE_ROW;
    if (*found)
        *value = sqlite3_column_int64(st, 0);
    else if (res != SQLITE_DONE)
        rc = cmk_sqlite_fail(c, res);
    cmk_sqlite_give(c, which, st);
    return rc;
}

static cmk_rc sqlite_generation(cmk_store *base, uint64_t *generation)
{
    cmk_sqlite_store *s = sqlite_of(base);
    cmk_sqlite_slot *slot = NULL;
    cmk_sqlite_snapshot before;
    int64_t version = 0;
    bool found = false;
    if (cmk_sqlite_notice_unchanged(s, generation))
        return CMK_OK;
    cmk_rc rc = cmk_sqlite_lend(s, ROLE_WATCH, &slot);
    if (rc != CMK_OK)
        return rc;
    if (slot) {
        cmk_sqlite_notice_look(s, slot, &before); /* first: what is committed in between is then asked about again */
        rc = read_integer(&slot->conn, STMT_DATA_VERSION, &version, &found);
    }
    CMK_WITH_MUTEX(&s->lock);
    if (slot && rc == CMK_OK && slot->data_version != version) {
        slot->data_version = version;
        s->generation++;
    }
    *generation = s->generation;
    if (slot && rc == CMK_OK)
        cmk_sqlite_notice_publish(s, &before);
    if (slot) {
        slot->busy = false;
        pthread_cond_broadcast(&s->idle);
    }
    return rc;
}

static cmk_rc sqlite_begin(cmk_store *base, cmk_txn_mode mode, cmk_txn **out)
{
    cmk_sqlite_store *s = sqlite_of(base);
    cmk_sqlite_slot *slot = NULL;
    int64_t version = 0;
    bool found = false;
    cmk_rc rc = cmk_sqlite_lend(s, mode == CMK_TXN_WRITE ? ROLE_WRITER : ROLE_READER, &slot);
    if (rc != CMK_OK)
        return rc;
    if (mode == CMK_TXN_WRITE && slot->conn.access != CMK_SQLITE_WRITABLE)
        rc = cmk_sqlite_no_write(s->path, "");
    else
        rc = cmk_sqlite_run(&slot->conn, mode == CMK_TXN_WRITE ? STMT_BEGIN_WRITE : STMT_BEGIN);
    /* BEGIN alone does not fix which state is read; the first statement does */
    if (rc == CMK_OK && mode == CMK_TXN_READ)
        rc = read_integer(&slot->conn, STMT_DATA_VERSION, &version, &found);
    if (rc != CMK_OK) {
        cmk_sqlite_return(s, slot);
        return rc;
    }
    slot->deleted = false;
    slot->txn = (cmk_txn){base, mode};
    *out = &slot->txn;
    return CMK_OK;
}

/* What was removed is overwritten in the database, but earlier images of its pages are in the log: get rid of it, as
 * soon as no reader needs it. */
static void truncate_log(cmk_sqlite_store *s, cmk_sqlite_slot *slot)
{
    if (slot->deleted)
        s->truncate_due = true;
    if (!s->truncate_due)
        return;
    uint32_t timeout = slot->conn.busy_timeout_ms;
    slot->conn.busy_timeout_ms = 0;
    if (sqlite3_wal_checkpoint_v2(slot->conn.db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK)
        s->truncate_due = false;
    slot->conn.busy_timeout_ms = timeout;
}

static cmk_rc sqlite_commit(cmk_txn *t)
{
    cmk_sqlite_slot *slot = (cmk_sqlite_slot *)t;
    cmk_sqlite_store *s = sqlite_of(t->store);
    cmk_rc rc = CMK_E_INTERNAL;
    if (sqlite3_get_autocommit(slot->conn.db)) /* SQLite rolls back by itself after some errors */
        rc = cmk_fail(CMK_E_IO, "store %s: the transaction was undone after an earlier error", s->path);
    else
        rc = cmk_sqlite_run(&slot->conn, STMT_COMMIT);
    if (rc == CMK_OK && t->mode == CMK_TXN_WRITE)
        truncate_log(s, slot);
    cmk_sqlite_return(s, slot);
    return rc;
}

static void sqlite_rollback(cmk_txn *t)
{
    cmk_sqlite_return(sqlite_of(t->store), (cmk_sqlite_slot *)t);
}

static cmk_rc write_group(cmk_sqlite_store *s, gid_t gid)
{
    cmk_txn *t = NULL;
    sqlite3_stmt *st = NULL;
    cmk_sqlite_stmt which = gid == (gid_t)-1 ? STMT_UNSET : STMT_SET;
    cmk_rc rc = sqlite_begin(&s->base, CMK_TXN_WRITE, &t);
    if (rc != CMK_OK)
        return rc;
    cmk_sqlite_conn *c = &((cmk_sqlite_slot *)t)->conn;
    rc = cmk_sqlite_take(c, which, &st);
    if (rc == CMK_OK && which == STMT_SET)
        sqlite3_bind_int64(st, 1, gid);
    if (rc == CMK_OK)
        rc = cmk_sqlite_finish(c, st);
    cmk_sqlite_give(c, which, st);
    if (rc == CMK_OK)
        return sqlite_commit(t);
    sqlite_rollback(t);
    return rc;
}

/* The setting is there whenever the files are open to the group: set before, taken away after. */
static cmk_rc sqlite_set_group(cmk_store *base, gid_t gid)
{
    cmk_sqlite_store *s = sqlite_of(base);
    cmk_rc rc = CMK_OK;
    if (gid != (gid_t)-1)
        rc = write_group(s, gid);
    if (rc == CMK_OK)
        rc = cmk_sqlite_share_files(base->directory, gid);
    if (rc == CMK_OK && gid == (gid_t)-1)
        rc = write_group(s, gid);
    return rc;
}

static const cmk_store_ops sqlite_ops = {
    .scheme = "sqlite",
    .close = sqlite_close,
    .abandon = sqlite_abandon,
    .set_group = sqlite_set_group,
    .generation = sqlite_generation,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .get = cmk_sqlite_get,
    .put = cmk_sqlite_put,
    .del = cmk_sqlite_delete,
    .list = cmk_sqlite_list,
    .find = cmk_sqlite_find,
    .count = cmk_sqlite_count,
    .attempt_reserve = cmk_sqlite_attempt_reserve,
    .attempt_settle = cmk_sqlite_attempt_settle,
    .attempts_read = cmk_sqlite_attempts_read,
    .attempts_reset = cmk_sqlite_attempts_reset,
};

static bool exists(const char *directory, const char *name)
{
    off_t size = 0;
    char *path = cmk_sqlite_path(directory, name);
    bool there = path && cmk_sqlite_file_size(path, &size);
    free(path);
    return there;
}

/* The counters come first, so that a store without them has lost them. */
static cmk_rc make_databases(const char *directory, bool create)
{
    bool have_records = exists(directory, cmk_sqlite_records.file);
    bool have_counters = exists(directory, cmk_sqlite_attempts.file);
    cmk_rc rc = CMK_OK;
    if (!have_records && exists(directory, "cmk11.db-wal"))
        return cmk_fail(CMK_E_STORE_DAMAGED,
                        "store %s: cmk11.db is missing but its log is there; restore it from a backup", directory);
    if (!have_records && !create)
        return cmk_fail(CMK_E_NOT_FOUND, "no store in %s; cmk11 vault init makes one", directory);
    if (!have_counters) {
        rc = cmk_sqlite_create(directory, &cmk_sqlite_attempts);
        if (have_records && rc == CMK_OK)
            cmk_log(CMK_LOG_WARN,
                    "store %s: attempts.db, the counters of failed logins, was missing and starts again empty",
                    directory);
        if (have_records && (rc == CMK_E_READ_ONLY || rc == CMK_E_PERMISSION || rc == CMK_E_FULL || rc == CMK_E_IO))
            rc = CMK_OK; /* reading goes on; a login, which needs the counters, will say so */
    }
    if (rc == CMK_OK && !have_records)
        rc = cmk_sqlite_create(directory, &cmk_sqlite_records);
    return rc;
}

/* The group may write only where the store itself says so. */
static cmk_rc check_group(cmk_sqlite_store *s, bool shared, gid_t gid)
{
    cmk_sqlite_slot *slot = NULL;
    int64_t setting = -1;
    bool found = false;
    cmk_rc rc = cmk_sqlite_lend(s, ROLE_READER, &slot);
    if (rc != CMK_OK)
        return rc;
    if (shared)
        rc = read_integer(&slot->conn, STMT_SETTING, &setting, &found);
    if (rc == CMK_OK && shared && (!found || setting != (int64_t)gid))
        rc = cmk_fail(CMK_E_PERMISSION,
                      "store %s: its group %lu can write it, but store-group does not say so; run chmod g-w",
                      s->base.directory, (unsigned long)gid);
    cmk_sqlite_return(s, slot);
    return rc;
}

static cmk_rc open_in(cmk_sqlite_store *s, bool create)
{
    bool shared = false;
    gid_t gid = 0;
    cmk_rc rc = cmk_sqlite_check_files(s->base.directory, &shared, &gid);
    if (rc == CMK_OK)
        rc = make_databases(s->base.directory, create);
    s->path = cmk_sqlite_path(s->base.directory, cmk_sqlite_records.file);
    s->shm_path = cmk_sqlite_path(s->base.directory, "cmk11.db-shm");
    if (rc == CMK_OK && (!s->path || !s->shm_path))
        rc = CMK_E_NO_MEMORY;
    if (rc == CMK_OK)
        rc = cmk_sqlite_check_forked(s->path);
    if (rc == CMK_OK)
        rc = check_group(s, shared, gid);
    return rc;
}

cmk_rc cmk_store_sqlite_open(const char *directory, const cmk_store_options *options, cmk_store **out)
{
    char *real = NULL;
    *out = NULL;
    cmk_rc rc = cmk_sqlite_directory(directory, options->create, &real);
    if (rc != CMK_OK)
        return rc;
    cmk_sqlite_store *s = calloc(1, sizeof *s);
    if (!s) {
        free(real);
        return CMK_E_NO_MEMORY;
    }
    s->base = (cmk_store){&sqlite_ops, real, *options};
    cmk_sqlite_pool_init(s);
    rc = open_in(s, options->create);
    if (rc == CMK_OK)
        *out = &s->base;
    else
        cmk_sqlite_pool_close(s);
    return rc;
}
