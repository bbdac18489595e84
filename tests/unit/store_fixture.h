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

#endif
