/* Failed logins: counters and attempts under way, in a database of their own, so that a login does not look like a
 * change of the vault.
 *
 * An attempt under way is a row that names the process. A row whose process is gone counts as a failure: killing the
 * process while the PIN is looked at gains nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/sqlite.h"
#include "util/clock.h"

#define WAIT_MIN_MS 5000
/* How long an attempt from another container, whose processes can't be seen, is believed. */
#define FOREIGN_MAX_US (60 * 1000000ULL)
#define BOOT_ID_LEN 36

/* What tells a process from all others, also from a later one with its number. */
typedef struct process {
    char boot[BOOT_ID_LEN]; /* zeros when unknown */
    int64_t space;          /* PID namespace */
    int64_t pid;
    int64_t started; /* clock ticks since boot; NOT_SEEN when /proc is not there */
} process;

static size_t read_small(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, out, size - 1);
    close(fd);
    out[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

#define NOT_SEEN 0
#define HAS_ENDED (-1)

/* Field 22 of /proc/PID/stat; the second, in parentheses, may hold anything. NOT_SEEN without /proc, or where it hides
 * other users' processes; HAS_ENDED for a process that only waits for its parent to notice. */
static int64_t start_time(int64_t pid)
{
    char path[64];
    char text[1024];
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    if (read_small(path, text, sizeof text) == 0)
        return NOT_SEEN;
    char *p = strrchr(text, ')');
    if (p && (strncmp(p, ") Z", 3) == 0 || strncmp(p, ") X", 3) == 0))
        return HAS_ENDED;
    for (int field = 2; p && field < 22; field++)
        p = strchr(p + 1, ' ');
    return p ? strtoll(p, NULL, 10) : NOT_SEEN;
}

static void identify_self(process *me)
{
    char text[64];
    struct stat st;
    memset(me, 0, sizeof *me);
    if (read_small("/proc/sys/kernel/random/boot_id", text, sizeof text) >= BOOT_ID_LEN)
        memcpy(me->boot, text, BOOT_ID_LEN);
    if (stat("/proc/self/ns/pid", &st) == 0)
        me->space = (int64_t)st.st_ino;
    me->pid = getpid();
    me->started = start_time(me->pid);
}

static bool is_alive(const process *p, const process *me, uint64_t began)
{
    if (memcmp(p->boot, me->boot, BOOT_ID_LEN) != 0)
        return false;
    if (p->space != me->space)
        return cmk_monotonic_us() - began < FOREIGN_MAX_US;
    int64_t started = p->pid > 0 ? start_time(p->pid) : HAS_ENDED;
    if (started == NOT_SEEN || p->started == NOT_SEEN)
        return started != HAS_ENDED && (kill((pid_t)p->pid, 0) == 0 || errno == EPERM);
    return started == p->started;
}

/* One principal's state within a transaction. */
typedef struct tally {
    int64_t failures, credential_revision;
    uint32_t live;
    int64_t dead[32]; /* tickets of attempts whose process is gone; more of them are found the next time */
    size_t dead_count;
} tally;

static void bind_who(sqlite3_stmt *st, const cmk_id *vault, const cmk_id *principal)
{
    cmk_sqlite_bind(st, 1, cmk_bytes_of(vault->b, CMK_ID_SIZE));
    cmk_sqlite_bind(st, 2, cmk_bytes_of(principal->b, CMK_ID_SIZE));
}

static cmk_rc read_counter(cmk_sqlite_conn *c, const cmk_id *vault, const cmk_id *principal, tally *out)
{
    sqlite3_stmt *st = NULL;
    cmk_rc rc = cmk_sqlite_take(c, STMT_ATT_COUNTER, &st);
    if (rc != CMK_OK)
        return rc;
    bind_who(st, vault, principal);
    int res = sqlite3_step(st);
    if (res == SQLITE_ROW) {
        out->failures = sqlite3_column_int64(st, 0);
        out->credential_revision = sqlite3_column_int64(st, 1);
    } else if (res != SQLITE_DONE) {
        rc = cmk_sqlite_fail(c, res);
    }
    if (rc == CMK_OK && (out->failures < 0 || out->failures > UINT32_MAX || out->credential_revision < 0))
        rc = cmk_fail(CMK_E_STORE_DAMAGED, "store file %s holds a counter that can't be one; restore it", c->path);
    cmk_sqlite_give(c, STMT_ATT_COUNTER, st);
    return rc;
}

static void read_process(sqlite3_stmt *st, process *p)
{
    const void *boot = sqlite3_column_blob(st, 1);
    memset(p, 0, sizeof *p);
    if (boot && sqlite3_column_bytes(st, 1) == BOOT_ID_LEN)
        memcpy(p->boot, boot, BOOT_ID_LEN);
    p->space = sqlite3_column_int64(st, 2);
    p->pid = sqlite3_column_int64(st, 3);
    p->started = sqlite3_column_int64(st, 4);
}

static cmk_rc read_tally(cmk_sqlite_conn *c, const cmk_id *vault, const cmk_id *principal, tally *out)
{
    sqlite3_stmt *st = NULL;
    process me;
    process p;
    int res;
    memset(out, 0, sizeof *out);
    identify_self(&me);
    cmk_rc rc = read_counter(c, vault, principal, out);
    if (rc == CMK_OK)
        rc = cmk_sqlite_take(c, STMT_ATT_LIVE, &st);
    if (rc != CMK_OK)
        return rc;
    bind_who(st, vault, principal);
    while ((res = sqlite3_step(st)) == SQLITE_ROW) {
        read_process(st, &p);
        if (out->dead_count == sizeof out->dead / sizeof out->dead[0] ||
            is_alive(&p, &me, (uint64_t)sqlite3_column_int64(st, 5)))
            out->live++;
        else
            out->dead[out->dead_count++] = sqlite3_column_int64(st, 0);
    }
    if (res != SQLITE_DONE)
        rc = cmk_sqlite_fail(c, res);
    cmk_sqlite_give(c, STMT_ATT_LIVE, st);
    out->failures += (int64_t)out->dead_count;
    return rc;
}

static cmk_rc store_counter(cmk_sqlite_conn *c, const cmk_id *vault, const cmk_id *principal, const tally *t)
{
    sqlite3_stmt *st = NULL;
    cmk_rc rc = cmk_sqlite_take(c, STMT_ATT_STORE, &st);
    if (rc == CMK_OK) {
        bind_who(st, vault, principal);
        sqlite3_bind_int64(st, 3, t->failures);
        sqlite3_bind_int64(st, 4, t->credential_revision);
        rc = cmk_sqlite_finish(c, st);
    }
    cmk_sqlite_give(c, STMT_ATT_STORE, st);
    return rc;
}

static cmk_rc drop_attempt(cmk_sqlite_conn *c, const cmk_id *vault, const cmk_id *principal, int64_t ticket,
                           bool *found)
{
    sqlite3_stmt *st = NULL;
    cmk_rc rc = cmk_sqlite_take(c, STMT_ATT_DROP, &st);
    if (rc == CMK_OK) {
        bind_who(st, vault, principal);
        sqlite3_bind_int64(st, 3, ticket);
        rc = cmk_sqlite_finish(c, st);
        *found = rc == CMK_OK && sqlite3_changes(c->db) > 0;
    }
    cmk_sqlite_give(c, STMT_ATT_DROP, st);
    return rc;
}

/* Makes failures of the attempts whose process is gone. */
static cmk_rc bury_dead(cmk_sqlite_conn *c, const cmk_id *vault, const cmk_id *principal, const tally *t)
{
    bool found = false;
    cmk_rc rc = CMK_OK;
    for (size_t i = 0; rc == CMK_OK && i < t->dead_count; i++)
        rc = drop_attempt(c, vault, principal, t->dead[i], &found);
    return rc == CMK_OK && t->dead_count ? store_counter(c, vault, principal, t) : rc;
}

static cmk_rc add_attempt(cmk_sqlite_conn *c, const cmk_id *vault, const cmk_id *principal, uint64_t *ticket)
{
    sqlite3_stmt *st = NULL;
    process me;
    identify_self(&me);
    cmk_rc rc = cmk_sqlite_take(c, STMT_ATT_ADD, &st);
    if (rc == CMK_OK) {
        bind_who(st, vault, principal);
        cmk_sqlite_bind(st, 3, cmk_bytes_of(me.boot, BOOT_ID_LEN));
        sqlite3_bind_int64(st, 4, me.space);
        sqlite3_bind_int64(st, 5, me.pid);
        sqlite3_bind_int64(st, 6, me.started);
        sqlite3_bind_int64(st, 7, (int64_t)cmk_monotonic_us());
        rc = cmk_sqlite_finish(c, st);
        *ticket = (uint64_t)sqlite3_last_insert_rowid(c->db);
    }
    cmk_sqlite_give(c, STMT_ATT_ADD, st);
    return rc;
}

/* A transaction on the counters: lends the connection and begins. */
static cmk_rc begin(cmk_store *base, bool write, cmk_sqlite_slot **out)
{
    cmk_sqlite_store *s = (cmk_sqlite_store *)base;
    cmk_rc rc = cmk_sqlite_lend(s, ROLE_ATTEMPTS, out);
    if (rc != CMK_OK)
        return rc;
    cmk_sqlite_conn *c = &(*out)->conn;
    if (write && c->access != CMK_SQLITE_WRITABLE)
        rc = cmk_sqlite_no_write(c->path, ", so no login can be counted");
    else
        rc = cmk_sqlite_run(c, write ? STMT_BEGIN_WRITE : STMT_BEGIN);
    if (rc != CMK_OK) {
        cmk_sqlite_return(s, *out);
        *out = NULL;
    }
    return rc;
}

/* Commits if rc is CMK_OK and rolls back otherwise; returns the first failure. */
static cmk_rc end(cmk_store *base, cmk_sqlite_slot *slot, cmk_rc rc)
{
    if (rc == CMK_OK)
        rc = cmk_sqlite_run(&slot->conn, STMT_COMMIT);
    cmk_sqlite_return((cmk_sqlite_store *)base, slot);
    return rc;
}

static cmk_rc locked(int64_t failures)
{
    return cmk_fail(CMK_E_PIN_LOCKED, "locked after %lld failed logins; the security officer can unlock it",
                    (long long)failures);
}

/* *full: attempts under way stand in the way. */
static cmk_rc try_reserve(cmk_store *s, const cmk_id *vault, const cmk_id *principal, uint32_t threshold,
                          uint64_t *ticket, bool *full)
{
    cmk_sqlite_slot *slot = NULL;
    tally t;
    *full = false;
    cmk_rc rc = begin(s, true, &slot);
    if (rc != CMK_OK)
        return rc;
    rc = read_tally(&slot->conn, vault, principal, &t);
    if (rc == CMK_OK)
        rc = bury_dead(&slot->conn, vault, principal, &t);
    bool is_locked = rc == CMK_OK && t.failures >= threshold;
    *full = rc == CMK_OK && !is_locked && t.failures + t.live >= threshold;
    if (rc == CMK_OK && !is_locked && !*full)
        rc = add_attempt(&slot->conn, vault, principal, ticket);
    rc = end(s, slot, rc);
    return rc == CMK_OK && is_locked ? locked(t.failures) : rc;
}

cmk_rc cmk_sqlite_attempt_reserve(cmk_store *s, const cmk_id *vault, const cmk_id *principal, uint32_t threshold,
                                  uint64_t *ticket)
{
    uint32_t wait = s->options.busy_timeout_ms > WAIT_MIN_MS ? s->options.busy_timeout_ms : WAIT_MIN_MS;
    uint64_t start = cmk_monotonic_us();
    for (;;) {
        bool full = false;
        cmk_rc rc = try_reserve(s, vault, principal, threshold, ticket, &full);
        if (rc != CMK_OK || !full)
            return rc;
        uint64_t now = cmk_monotonic_us();
        if (now - start >= (uint64_t)wait * 1000)
            return cmk_fail(CMK_E_BUSY, "too many logins are under way at the same time; try again");
        usleep(3000 + (unsigned)(now % 7000));
    }
}

cmk_rc cmk_sqlite_attempt_settle(cmk_store *s, const cmk_id *vault, const cmk_id *principal, uint64_t ticket,
                                 cmk_attempt_result result, uint64_t credential_revision)
{
    cmk_sqlite_slot *slot = NULL;
    tally t = {0};
    bool found = false;
    cmk_rc rc = begin(s, true, &slot);
    if (rc != CMK_OK)
        return rc;
    rc = drop_attempt(&slot->conn, vault, principal, (int64_t)ticket, &found);
    if (rc == CMK_OK)
        rc = read_counter(&slot->conn, vault, principal, &t);
    /* not found: taken for dead and counted already, or unlocked since */
    if (result == CMK_ATTEMPT_FAILED && found)
        t.failures++;
    if (result == CMK_ATTEMPT_SUCCEEDED) {
        t.failures = 0;
        if ((int64_t)credential_revision > t.credential_revision)
            t.credential_revision = (int64_t)credential_revision;
    }
    if (rc == CMK_OK && result != CMK_ATTEMPT_VOID)
        rc = store_counter(&slot->conn, vault, principal, &t);
    return end(s, slot, rc);
}

cmk_rc cmk_sqlite_attempts_read(cmk_store *s, const cmk_id *vault, const cmk_id *principal, cmk_attempts *out)
{
    cmk_sqlite_slot *slot = NULL;
    tally t;
    cmk_rc rc = begin(s, false, &slot);
    if (rc != CMK_OK)
        return rc;
    rc = end(s, slot, read_tally(&slot->conn, vault, principal, &t));
    if (rc == CMK_OK)
        *out = (cmk_attempts){(uint32_t)t.failures, t.live, (uint64_t)t.credential_revision};
    return rc;
}

cmk_rc cmk_sqlite_attempts_reset(cmk_store *s, const cmk_id *vault, const cmk_id *principal,
                                 uint64_t credential_revision)
{
    cmk_sqlite_slot *slot = NULL;
    tally t;
    cmk_rc rc = begin(s, true, &slot);
    if (rc != CMK_OK)
        return rc;
    rc = read_tally(&slot->conn, vault, principal, &t);
    if (rc == CMK_OK)
        rc = bury_dead(&slot->conn, vault, principal, &t);
    t.failures = 0;
    if (credential_revision)
        t.credential_revision = (int64_t)credential_revision;
    if (rc == CMK_OK)
        rc = store_counter(&slot->conn, vault, principal, &t);
    return end(s, slot, rc);
}
