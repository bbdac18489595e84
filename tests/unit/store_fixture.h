/* What the tests of the SQLite store share: a scratch store with one record, and child processes. */
#ifndef CMK_TESTS_STORE_FIXTURE_H
#define CMK_TESTS_STORE_FIXTURE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "storage/backend.h"
#include "tests/unit/unit.h"

#define KIND 32

static char dir[64];
static const cmk_id vault = {{1}};
static const cmk_id principal = {{2}};

static inline void remove_all(const char *path)
{
    char sub[1024];
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        if (snprintf(sub, sizeof sub, "%s/%s", path, e->d_name) >= (int)sizeof sub)
            continue;
        if (unlink(sub) != 0)
            remove_all(sub);
    }
    if (d)
        closedir(d);
    rmdir(path);
}

static inline cmk_rc open_store(cmk_store **s)
{
    cmk_store_options options = {.create = false, .busy_timeout_ms = 30000};
    return cmk_store_open(dir, &options, s);
}

static inline cmk_rc put(cmk_store *s, const char *id, uint64_t revision, uint64_t expected, size_t size)
{
    CMK_TXN_AUTO *t = NULL;
    CMK_RECORD_AUTO r = {.key = {vault, KIND, (uint8_t)strlen(id), {0}}, .revision = revision};
    memcpy(r.key.id, id, strlen(id));
    uint8_t *p = cmk_buf_extend(&r.body, size);
    if (p)
        memset(p, 'S', size);
    cmk_rc rc = cmk_txn_begin(s, CMK_TXN_WRITE, &t);
    if (rc == CMK_OK)
        rc = cmk_txn_put(t, &r, expected);
    return rc == CMK_OK ? cmk_txn_commit(&t) : rc;
}

static inline cmk_rc revision_of(cmk_store *s, const char *id, uint64_t *revision)
{
    CMK_TXN_AUTO *t = NULL;
    CMK_RECORD_AUTO r = {0};
    cmk_record_key k = {vault, KIND, (uint8_t)strlen(id), {0}};
    memcpy(k.id, id, strlen(id));
    cmk_rc rc = cmk_txn_begin(s, CMK_TXN_READ, &t);
    if (rc == CMK_OK)
        rc = cmk_txn_get(t, &k, &r);
    *revision = r.revision;
    return rc;
}

/* A new store with record "n" at revision 1; closed again. */
static inline void make_store(void)
{
    cmk_store *s = NULL;
    cmk_store_options options = {.create = true, .busy_timeout_ms = 30000};
    snprintf(dir, sizeof dir, "/tmp/cmk11-sqlite-XXXXXX");
    CU_ASSERT_FATAL(mkdtemp(dir) != NULL);
    CU_ASSERT_FATAL(cmk_store_open(dir, &options, &s) == CMK_OK);
    CU_ASSERT_FATAL(put(s, "n", 1, 0, 100) == CMK_OK);
    cmk_store_close(s);
}

static inline const char *file(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* Runs n children; true if each ended with status 0. */
static inline bool run_children(int n, int (*child)(int))
{
    pid_t pid[64];
    bool good = true;
    int status = 0;
    for (int i = 0; i < n; i++)
        if ((pid[i] = fork()) == 0)
            _exit(child(i));
    for (int i = 0; i < n; i++)
        good = waitpid(pid[i], &status, 0) == pid[i] && WIFEXITED(status) && WEXITSTATUS(status) == 0 && good;
    return good;
}

/* ---- a process that changes the store when told to, and says when it has ---- */

typedef struct worker {
    pid_t pid;
    int to, from;
} worker;

static inline bool work(cmk_store *s, sqlite3 *db, char what, uint64_t *revision)
{
    uint64_t is = 0;
    switch (what) {
    case 'c': /* commit */
        if (revision_of(s, "n", &is) != CMK_OK || put(s, "n", is + 1, is, 100) != CMK_OK)
            return false;
        *revision = is + 1;
        return true;
    case 'p': /* checkpoint, as far as readers allow */
        return sqlite3_exec(db, "PRAGMA wal_checkpoint(PASSIVE)", NULL, NULL, NULL) == SQLITE_OK;
    case 't':
        return sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL) == SQLITE_OK;
    case 'b': /* begin and undo */
        return sqlite3_exec(db, "BEGIN IMMEDIATE; DELETE FROM record; ROLLBACK", NULL, NULL, NULL) == SQLITE_OK;
    default:
        return false;
    }
}

static inline int worker_main(int in, int out)
{
    cmk_store *s = NULL;
    sqlite3 *db = NULL;
    uint64_t revision = 0;
    char c = 0;
    if (open_store(&s) != CMK_OK || sqlite3_open(file("cmk11.db"), &db) != SQLITE_OK)
        return 1;
    sqlite3_exec(db, "PRAGMA wal_autocheckpoint = 0", NULL, NULL, NULL);
    while (read(in, &c, 1) == 1) {
        c = work(s, db, c, &revision) ? 'y' : 'n';
        if (write(out, &c, 1) != 1)
            return 2;
    }
    sqlite3_close(db);
    cmk_store_close(s);
    return 0;
}

/* Before the store is open here: a child must not inherit it. */
static inline void worker_start(worker *w)
{
    int to[2];
    int from[2];
    CU_ASSERT_FATAL(pipe(to) == 0 && pipe(from) == 0);
    w->pid = fork();
    if (w->pid == 0) {
        close(to[1]);
        close(from[0]);
        _exit(worker_main(to[0], from[1]));
    }
    close(to[0]);
    close(from[1]);
    w->to = to[1];
    w->from = from[0];
}

static inline bool worker_do(const worker *w, char what)
{
    char c = 0;
    return write(w->to, &what, 1) == 1 && read(w->from, &c, 1) == 1 && c == 'y';
}

static inline void worker_end(const worker *w)
{
    int status = 1;
    close(w->to);
    waitpid(w->pid, &status, 0);
    close(w->from);
    CU_ASSERT_EQUAL(status, 0);
}

#endif
