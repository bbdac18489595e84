/* The pool of connections: lent one to a transaction, opened when first needed, closed together when the file is
 * replaced. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/sqlite.h"
#include "util/log.h"

/* Files to which this process has inherited a connection that was in use when it, or the process that forked it, was
 * forked: never forgotten, since SQLite does not forget them either. */
#define FORKED_MAX 16
static struct {
    size_t count;
    struct {
        dev_t device;
        ino_t inode;
    } file[FORKED_MAX];
} forked;
static cmk_mutex forked_lock = CMK_MUTEX_INIT(CMK_RANK_LEAF, "inherited store connections");

void cmk_sqlite_pool_init(cmk_sqlite_store *s)
{
    pthread_condattr_t attr;
    cmk_mutex_init(&s->lock, CMK_RANK_STORE, "store connections");
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->idle, &attr);
    pthread_condattr_destroy(&attr);
    s->generation = 1;
    s->owner = getpid();
    cmk_sqlite_notice_init(s);
}

static bool same_file(const cmk_sqlite_identity *a, const cmk_sqlite_identity *b)
{
    return a->device == b->device && a->inode == b->inode && a->shm_inode == b->shm_inode;
}

static bool same_content(const cmk_sqlite_identity *a, const cmk_sqlite_identity *b)
{
    return a->size == b->size && a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* Another file, or another log: all connections have to go. The same file changed in place (by a checkpoint, or by
 * somebody who copied over it): what connections have cached of it may not be what is there. */
static void notice(cmk_sqlite_store *s, const cmk_sqlite_identity *now)
{
    if (!s->seen.known)
        return;
    bool same = same_file(&s->seen, now);
    if (same && same_content(&s->seen, now))
        return;
    s->generation++;
    s->epoch++;
    if (!same)
        s->replaced = true;
    s->seen = *now;
    cmk_sqlite_notice_withdraw(s);
}

static void close_file_connections(cmk_sqlite_store *s)
{
    for (size_t i = 0; i < ROLE_ATTEMPTS; i++)
        if (s->slot[i].conn.db)
            cmk_sqlite_disconnect(&s->slot[i].conn, true);
    s->seen.known = false;
    s->replaced = false;
    cmk_sqlite_notice_retire(s);
}

static bool all_idle(const cmk_sqlite_store *s)
{
    for (size_t i = 0; i < ROLE_ATTEMPTS; i++)
        if (s->slot[i].busy)
            return false;
    return true;
}

static cmk_sqlite_slot *find_free(cmk_sqlite_store *s, cmk_sqlite_role role)
{
    size_t n = role == ROLE_READER ? CMK_SQLITE_READERS : 1;
    cmk_sqlite_slot *closed = NULL;
    for (size_t i = role; i < role + n; i++) {
        if (!s->slot[i].busy && s->slot[i].conn.db)
            return &s->slot[i];
        if (!s->slot[i].busy && !closed)
            closed = &s->slot[i];
    }
    return closed;
}

static void deadline_in(uint32_t ms, struct timespec *at)
{
    clock_gettime(CLOCK_MONOTONIC, at);
    at->tv_sec += ms / 1000;
    at->tv_nsec += (long)(ms % 1000) * 1000000;
    if (at->tv_nsec >= 1000000000) {
        at->tv_sec++;
        at->tv_nsec -= 1000000000;
    }
}

/* The watching connection is lent for microseconds at a time, so a short busy time-out is no reason not to wait. */
static uint32_t wait_ms(const cmk_sqlite_store *s, cmk_sqlite_role role)
{
    enum { WATCH_MS = 1000 };
    uint32_t ms = s->base.options.busy_timeout_ms;
    return role == ROLE_WATCH && ms < WATCH_MS ? WATCH_MS : ms;
}

/* Under the lock: waits for a slot and marks it as lent. */
static cmk_rc wait_for_slot(cmk_sqlite_store *s, cmk_sqlite_role role, cmk_sqlite_slot **out)
{
    struct timespec until = {0, 0};
    for (;;) {
        if (s->replaced && all_idle(s))
            close_file_connections(s);
        bool barred = s->replaced && role != ROLE_ATTEMPTS;
        if (barred && role == ROLE_WATCH)
            return CMK_OK; /* the caller may itself be one of those who use the old file */
        *out = barred ? NULL : find_free(s, role);
        if (*out) {
            (*out)->busy = true;
            return CMK_OK;
        }
        if (until.tv_sec == 0)
            deadline_in(wait_ms(s, role), &until);
        if (pthread_cond_timedwait(&s->idle, &s->lock.m, &until) == ETIMEDOUT)
            return cmk_fail(CMK_E_BUSY, "store %s: all its connections are in use by other threads; try again",
                            s->base.directory);
    }
}

/* Is the file that is open no longer the one of that name? */
static bool has_moved(const cmk_sqlite_conn *c)
{
    int moved = 0;
    return c->db && sqlite3_file_control(c->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved;
}

/* A fresh connection reads the newest state by itself; what is remembered is which file that was. */
static cmk_rc open_slot(cmk_sqlite_store *s, cmk_sqlite_slot *slot, bool attempts)
{
    cmk_sqlite_identity now;
    cmk_rc rc =
        cmk_sqlite_connect(&slot->conn, s->base.directory, attempts ? &cmk_sqlite_attempts : &cmk_sqlite_records,
                           s->base.options.busy_timeout_ms);
    if (rc != CMK_OK || attempts)
        return rc;
    slot->data_version = -1;
    cmk_sqlite_identify(s->path, s->shm_path, &now);
    if (has_moved(&slot->conn)) { /* what was looked at is not what is open */
        cmk_sqlite_disconnect(&slot->conn, false);
        return cmk_fail(CMK_E_BUSY, "store %s: its file was replaced at this moment; try again", s->base.directory);
    }
    CMK_WITH_MUTEX(&s->lock);
    if (!s->seen.known)
        s->seen = now;
    slot->epoch = s->epoch;
    return CMK_OK;
}

cmk_rc cmk_sqlite_lend(cmk_sqlite_store *s, cmk_sqlite_role role, cmk_sqlite_slot **out)
{
    cmk_sqlite_identity now;
    uint32_t epoch = 0;
    cmk_rc rc = CMK_E_INTERNAL;
    *out = NULL;
    if (s->owner != getpid())
        return cmk_fail(CMK_E_FORKED, "store %s was opened before this process was forked; open it again",
                        s->base.directory);
    if (role != ROLE_ATTEMPTS)
        cmk_sqlite_identify(s->path, s->shm_path, &now);
    {
        CMK_WITH_MUTEX(&s->lock);
        if (role != ROLE_ATTEMPTS)
            notice(s, &now);
        rc = wait_for_slot(s, role, out);
        epoch = s->epoch;
    }
    if (rc != CMK_OK || !*out)
        return rc;
    /* The counters, which nobody watches for changes, are asked about each time: a login can afford it. */
    if (role == ROLE_ATTEMPTS && has_moved(&(*out)->conn))
        cmk_sqlite_disconnect(&(*out)->conn, false);
    if (!(*out)->conn.db) {
        rc = open_slot(s, *out, role == ROLE_ATTEMPTS);
    } else if ((*out)->epoch != epoch) {
        sqlite3_db_release_memory((*out)->conn.db);
        (*out)->epoch = epoch;
    }
    if (rc != CMK_OK) {
        cmk_sqlite_return(s, *out);
        *out = NULL;
    }
    return rc;
}

void cmk_sqlite_return(cmk_sqlite_store *s, cmk_sqlite_slot *slot)
{
    cmk_sqlite_conn *c = &slot->conn;
    /* A connection that can't get out of its transaction must not be lent again. */
    if (c->db && !sqlite3_get_autocommit(c->db) && cmk_sqlite_run(c, STMT_ROLLBACK) != CMK_OK &&
        !sqlite3_get_autocommit(c->db))
        cmk_sqlite_disconnect(c, false);
    CMK_WITH_MUTEX(&s->lock);
    slot->busy = false;
    pthread_cond_broadcast(&s->idle);
}

static void pool_free(cmk_sqlite_store *s)
{
    cmk_sqlite_notice_free(s);
    pthread_cond_destroy(&s->idle);
    cmk_mutex_destroy(&s->lock);
    free(s->path);
    free(s->shm_path);
    free(s->base.directory);
    free(s);
}

void cmk_sqlite_pool_close(cmk_sqlite_store *s)
{
    for (size_t i = 0; i < CMK_SQLITE_SLOTS; i++)
        cmk_sqlite_disconnect(&s->slot[i].conn, true);
    pool_free(s);
}

static void remember_forked(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return;
    CMK_WITH_MUTEX(&forked_lock);
    if (forked.count < FORKED_MAX) {
        forked.file[forked.count].device = st.st_dev;
        forked.file[forked.count].inode = st.st_ino;
    }
    forked.count++;
}

/* SQLite keeps one list of open files for the process. As long as the parent's are on it, a connection that the child
 * opens believes that it has the parent's locks, which a child does not inherit. So idle connections are closed here,
 * without touching log, shared memory or (locks are the process's own) any lock of the parent. If another thread was
 * using one at the fork, be it to the counters, it can't be closed, and SQLite may even be stuck at a lock of its own
 * that this thread held: then all are left alone, and the store is not opened again. */
void cmk_sqlite_pool_abandon(cmk_sqlite_store *s)
{
    bool in_use = false;
    for (size_t i = 0; i < CMK_SQLITE_SLOTS; i++)
        in_use = in_use || s->slot[i].busy;
    if (in_use) {
        remember_forked(s->path);
        return;
    }
    for (size_t i = 0; i < CMK_SQLITE_SLOTS; i++)
        cmk_sqlite_disconnect(&s->slot[i].conn, false);
    cmk_sqlite_notice_free(s);
    free(s->path);
    free(s->shm_path);
    free(s->base.directory);
    free(s); /* not its locks: their state at the fork is unknown */
}

cmk_rc cmk_sqlite_check_forked(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return CMK_OK;
    CMK_WITH_MUTEX(&forked_lock);
    bool is_one = forked.count > FORKED_MAX; /* more than are remembered: any may be one */
    for (size_t i = 0; !is_one && i < forked.count; i++)
        is_one = forked.file[i].device == st.st_dev && forked.file[i].inode == st.st_ino;
    if (is_one)
        return cmk_fail(
            CMK_E_FORKED,
            "store %s: this process was forked while another thread was using it; fork when no call is under "
            "way, or execute a new program",
            path);
    return CMK_OK;
}
