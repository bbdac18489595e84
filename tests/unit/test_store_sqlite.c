/* What is special to the SQLite store: several processes, death in the middle, damage, permissions, disks that are full or read-only. */
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

static void remove_all(const char *path)
{
    char sub[512];
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        snprintf(sub, sizeof sub, "%s/%s", path, e->d_name);
        if (unlink(sub) != 0)
            remove_all(sub);
    }
    if (d)
        closedir(d);
    rmdir(path);
}

static cmk_rc open_store(cmk_store **s)
{
    cmk_store_options options = {.create = false, .busy_timeout_ms = 30000};
    return cmk_store_open(dir, &options, s);
}

static cmk_rc put(cmk_store *s, const char *id, uint64_t revision, uint64_t expected, size_t size)
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

static cmk_rc revision_of(cmk_store *s, const char *id, uint64_t *revision)
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
static void make_store(void)
{
    cmk_store *s = NULL;
    cmk_store_options options = {.create = true, .busy_timeout_ms = 30000};
    snprintf(dir, sizeof dir, "/tmp/cmk11-sqlite-XXXXXX");
    CU_ASSERT_FATAL(mkdtemp(dir) != NULL);
    CU_ASSERT_FATAL(cmk_store_open(dir, &options, &s) == CMK_OK);
    CU_ASSERT_FATAL(put(s, "n", 1, 0, 100) == CMK_OK);
    cmk_store_close(s);
}

static const char *file(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* Runs n children; true if each ended with status 0. */
static bool run_children(int n, int (*child)(int))
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

static int child_increments(int i)
{
    cmk_store *s = NULL;
    uint64_t n = 0;
    (void)i;
    if (open_store(&s) != CMK_OK)
        return 1;
    for (int done = 0; done < 20;) {
        if (revision_of(s, "n", &n) != CMK_OK)
            return 2;
        cmk_rc rc = put(s, "n", n + 1, n, 100);
        if (rc == CMK_OK)
            done++;
        else if (rc != CMK_E_CONFLICT)
            return 3;
    }
    cmk_store_close(s);
    return 0;
}

static void test_processes(void)
{
    cmk_store *s = NULL;
    uint64_t n = 0;
    make_store();
    CU_ASSERT(run_children(6, child_increments));
    UNIT_OK(open_store(&s));
    UNIT_OK(revision_of(s, "n", &n));
    CU_ASSERT_EQUAL(n, 121);
    cmk_store_close(s);
    remove_all(dir);
}

static int child_fails_login(int i)
{
    cmk_store *s = NULL;
    cmk_attempts a;
    uint64_t ticket = 0;
    (void)i;
    if (open_store(&s) != CMK_OK)
        return 1;
    cmk_rc rc = cmk_attempt_reserve(s, &vault, &principal, 10, &ticket);
    if (rc != CMK_OK)
        return rc == CMK_E_PIN_LOCKED ? 0 : 2;
    usleep(20000);
    if (cmk_attempts_read(s, &vault, &principal, &a) != CMK_OK || a.failures + a.under_way > 10)
        return 3;
    if (cmk_attempt_settle(s, &vault, &principal, ticket, CMK_ATTEMPT_FAILED, 0) != CMK_OK)
        return 4;
    int fd = open(file("tried"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ssize_t w = write(fd, "x", 1);
    close(fd);
    cmk_store_close(s);
    return w == 1 ? 0 : 5;
}

static void test_threshold(void)
{
    cmk_store *s = NULL;
    cmk_attempts a = {0};
    struct stat st = {0};
    make_store();
    CU_ASSERT(run_children(50, child_fails_login));
    CU_ASSERT_EQUAL(stat(file("tried"), &st), 0);
    CU_ASSERT_EQUAL(st.st_size, 10); /* ten looked at the PIN, not one more */
    UNIT_OK(open_store(&s));
    UNIT_OK(cmk_attempts_read(s, &vault, &principal, &a));
    CU_ASSERT(a.failures == 10 && a.under_way == 0);
    cmk_store_close(s);
    remove_all(dir);
}

static int child_logs_in(int i)
{
    cmk_store *s = NULL;
    uint64_t ticket = 0;
    (void)i;
    if (open_store(&s) != CMK_OK || cmk_attempt_reserve(s, &vault, &principal, 10, &ticket) != CMK_OK)
        return 1;
    usleep(200000);
    if (cmk_attempt_settle(s, &vault, &principal, ticket, CMK_ATTEMPT_SUCCEEDED, 1) != CMK_OK)
        return 2;
    cmk_store_close(s);
    return 0;
}

static void test_eleven_right(void)
{
    make_store();
    CU_ASSERT(run_children(11, child_logs_in));
    remove_all(dir);
}

static int child_dies_trying(int i)
{
    cmk_store *s = NULL;
    uint64_t ticket = 0;
    (void)i;
    if (open_store(&s) != CMK_OK || cmk_attempt_reserve(s, &vault, &principal, 3, &ticket) != CMK_OK)
        return 1;
    kill(getpid(), SIGKILL);
    return 2;
}

static void test_dead_attempt(void)
{
    cmk_store *s = NULL;
    cmk_attempts a = {0};
    uint64_t ticket = 0;
    make_store();
    for (int i = 0; i < 3; i++)
        CU_ASSERT_FALSE(run_children(1, child_dies_trying));
    UNIT_OK(open_store(&s));
    UNIT_OK(cmk_attempts_read(s, &vault, &principal, &a));
    CU_ASSERT(a.failures == 3 && a.under_way == 0);
    UNIT_RC(cmk_attempt_reserve(s, &vault, &principal, 3, &ticket), CMK_E_PIN_LOCKED);
    UNIT_OK(cmk_attempts_reset(s, &vault, &principal, 0));
    UNIT_OK(cmk_attempt_reserve(s, &vault, &principal, 3, &ticket));
    UNIT_OK(cmk_attempt_settle(s, &vault, &principal, ticket, CMK_ATTEMPT_VOID, 0));
    cmk_store_close(s);
    remove_all(dir);
}

static int child_killed_in_transaction(int i)
{
    cmk_store *s = NULL;
    cmk_txn *t = NULL;
    CMK_RECORD_AUTO r = {.key = {vault, KIND, 1, {'n'}}, .revision = 50};
    (void)i;
    cmk_buf_extend(&r.body, 500000);
    if (open_store(&s) == CMK_OK && cmk_txn_begin(s, CMK_TXN_WRITE, &t) == CMK_OK && cmk_txn_put(t, &r, 1) == CMK_OK)
        kill(getpid(), SIGKILL);
    return 1;
}

static void test_killed(void)
{
    cmk_store *s = NULL;
    uint64_t n = 0;
    make_store();
    CU_ASSERT_FALSE(run_children(1, child_killed_in_transaction));
    UNIT_OK(open_store(&s));
    UNIT_OK(revision_of(s, "n", &n));
    CU_ASSERT_EQUAL(n, 1);
    UNIT_OK(put(s, "n", 2, 1, 10));
    cmk_store_close(s);
    remove_all(dir);
}

static int child_puts(int revision)
{
    cmk_store *s = NULL;
    return open_store(&s) == CMK_OK && put(s, "n", (uint64_t)revision + 2, (uint64_t)revision + 1, 10) == CMK_OK ? 0 : 1;
}

static void test_other_process_noticed(void)
{
    cmk_store *s = NULL;
    cmk_txn *t = NULL;
    CMK_RECORD_AUTO r = {0};
    cmk_record_key k = {vault, KIND, 1, {'n'}};
    uint64_t before = 0;
    uint64_t after = 0;
    uint64_t n = 0;
    make_store();
    pid_t pid = fork(); /* before the store is open here */
    if (pid == 0) {
        usleep(300000);
        _exit(child_puts(0));
    }
    UNIT_OK(open_store(&s));
    UNIT_OK(cmk_store_generation(s, &before));
    UNIT_OK(cmk_txn_begin(s, CMK_TXN_READ, &t));
    waitpid(pid, NULL, 0);
    UNIT_OK(cmk_store_generation(s, &after));
    CU_ASSERT_NOT_EQUAL(before, after);
    UNIT_OK(cmk_txn_get(t, &k, &r));
    CU_ASSERT_EQUAL(r.revision, 1);
    cmk_txn_rollback(&t);
    UNIT_OK(revision_of(s, "n", &n));
    CU_ASSERT_EQUAL(n, 2);
    cmk_store_close(s);
    remove_all(dir);
}

static bool copy_file(const char *from, const char *to)
{
    char cmd[512];
    snprintf(cmd, sizeof cmd, "cp %s/%s %s/%s", dir, from, dir, to);
    return system(cmd) == 0;
}

static void test_replaced(void)
{
    cmk_store *s = NULL;
    char old[128];
    uint64_t before = 0;
    uint64_t after = 0;
    uint64_t n = 0;
    make_store();
    CU_ASSERT(copy_file("cmk11.db", "copy"));
    UNIT_OK(open_store(&s));
    UNIT_OK(put(s, "n", 2, 1, 10));
    UNIT_OK(cmk_store_generation(s, &before));
    snprintf(old, sizeof old, "%s", file("copy"));
    unlink(file("cmk11.db-wal"));
    unlink(file("cmk11.db-shm"));
    CU_ASSERT_EQUAL(rename(old, file("cmk11.db")), 0);
    UNIT_OK(cmk_store_generation(s, &after));
    CU_ASSERT_NOT_EQUAL(before, after);
    UNIT_OK(revision_of(s, "n", &n));
    CU_ASSERT_EQUAL(n, 1);
    UNIT_OK(put(s, "n", 9, 1, 10));
    UNIT_OK(revision_of(s, "n", &n));
    CU_ASSERT_EQUAL(n, 9);
    CU_ASSERT_EQUAL(truncate(file("cmk11.db"), 0), 0);
    unlink(file("cmk11.db"));
    close(open(file("cmk11.db"), O_WRONLY | O_CREAT, 0600));
    UNIT_RC(cmk_store_generation(s, &after), CMK_E_STORE_DAMAGED);
    UNIT_RC(revision_of(s, "n", &n), CMK_E_STORE_DAMAGED);
    cmk_store_close(s);
    remove_all(dir);
}

static int child_opens_and_reads(int i)
{
    cmk_store *s = NULL;
    cmk_attempts a;
    uint64_t n = 0;
    (void)i;
    if (open_store(&s) != CMK_OK)
        return 0;
    if (revision_of(s, "n", &n) == CMK_OK && put(s, "n", n + 1, n, 5000) != CMK_OK)
        n = 0;
    if (cmk_attempts_read(s, &vault, &principal, &a) != CMK_OK)
        n = 0;
    cmk_store_close(s);
    return 0;
}

static void expect_damaged(const char *what)
{
    cmk_store *s = NULL;
    struct stat before = {0};
    struct stat after = {0};
    stat(file("cmk11.db"), &before);
    cmk_store_options create = {.create = true, .busy_timeout_ms = 100};
    cmk_rc rc = cmk_store_open(dir, &create, &s);
    CU_ASSERT_EQUAL(rc, CMK_E_STORE_DAMAGED);
    if (rc != CMK_E_STORE_DAMAGED)
        printf("  %s: %s %s\n", what, cmk_rc_name(rc), cmk_fail_detail());
    stat(file("cmk11.db"), &after);
    CU_ASSERT(before.st_size == after.st_size && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
    if (rc == CMK_OK)
        cmk_store_close(s);
}

static void flip(off_t at, int bit)
{
    uint8_t b = 0;
    int fd = open(file("cmk11.db"), O_RDWR);
    CU_ASSERT(pread(fd, &b, 1, at) == 1);
    b ^= (uint8_t)(1 << bit);
    CU_ASSERT(pwrite(fd, &b, 1, at) == 1);
    close(fd);
}

static void test_damaged(void)
{
    struct stat st = {0};
    make_store();
    CU_ASSERT(copy_file("cmk11.db", "copy"));
    CU_ASSERT_EQUAL(stat(file("copy"), &st), 0);
    CU_ASSERT_EQUAL(truncate(file("cmk11.db"), st.st_size - 4096), 0);
    expect_damaged("truncated by a page");
    CU_ASSERT_EQUAL(truncate(file("cmk11.db"), 50), 0);
    expect_damaged("truncated");
    CU_ASSERT_EQUAL(truncate(file("cmk11.db"), 0), 0);
    expect_damaged("empty");
    CU_ASSERT_EQUAL(truncate(file("cmk11.db"), st.st_size), 0);
    expect_damaged("zeros");
    unlink(file("cmk11.db"));
    sqlite3 *db = NULL;
    CU_ASSERT_EQUAL(sqlite3_open(file("cmk11.db"), &db), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_exec(db, "CREATE TABLE t(a)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    CU_ASSERT_EQUAL(chmod(file("cmk11.db"), 0600), 0);
    expect_damaged("somebody else's database");
    srandom(11);
    for (int i = 0; i < 60; i++) { /* no crash, whatever it answers */
        unlink(file("cmk11.db-wal"));
        unlink(file("cmk11.db-shm"));
        CU_ASSERT(copy_file("copy", "cmk11.db"));
        flip(i < 20 ? random() % 100 : random() % st.st_size, (int)(random() % 8));
        CU_ASSERT(run_children(1, child_opens_and_reads));
    }
    remove_all(dir);
}

static void run_sql(const char *name, const char *sql)
{
    sqlite3 *db = NULL;
    CU_ASSERT_EQUAL(sqlite3_open(file(name), &db), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_newer_schema(void)
{
    cmk_store *s = NULL;
    make_store();
    run_sql("cmk11.db", "PRAGMA user_version = 99");
    UNIT_RC(open_store(&s), CMK_E_SCHEMA_NEWER);
    remove_all(dir);
}

static void test_counters_damaged(void)
{
    cmk_store *s = NULL;
    uint64_t ticket = 0;
    cmk_attempts a;
    make_store();
    CU_ASSERT_EQUAL(truncate(file("attempts.db"), 0), 0);
    UNIT_OK(open_store(&s));
    UNIT_RC(cmk_attempt_reserve(s, &vault, &principal, 3, &ticket), CMK_E_STORE_DAMAGED);
    UNIT_RC(cmk_attempts_read(s, &vault, &principal, &a), CMK_E_STORE_DAMAGED);
    cmk_store_close(s);
    unlink(file("attempts.db"));
    UNIT_OK(open_store(&s)); /* with a warning */
    UNIT_OK(cmk_attempt_reserve(s, &vault, &principal, 3, &ticket));
    cmk_store_close(s);
    unlink(file("cmk11.db"));
    UNIT_RC(open_store(&s), CMK_E_NOT_FOUND);
    remove_all(dir);
}

static int child_fills_disk(int i)
{
    cmk_store *s = NULL;
    uint64_t n = 0;
    struct rlimit limit = {400000, 400000};
    (void)i;
    signal(SIGXFSZ, SIG_IGN);
    if (open_store(&s) != CMK_OK || setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 1;
    if (put(s, "n", 2, 1, 900000) != CMK_E_FULL)
        return 2;
    if (revision_of(s, "n", &n) != CMK_OK || n != 1)
        return 3;
    if (put(s, "n", 2, 1, 10) != CMK_OK || revision_of(s, "n", &n) != CMK_OK || n != 2)
        return 4;
    cmk_store_close(s);
    return 0;
}

static void test_full(void)
{
    make_store();
    CU_ASSERT(run_children(1, child_fills_disk));
    remove_all(dir);
}

static int child_without_rights(int i)
{
    cmk_store *s = NULL;
    uint64_t n = 0;
    uint64_t ticket = 0;
    (void)i;
    if (geteuid() == 0 && (chown(dir, 65534, 65534) || chown(file("cmk11.db"), 65534, 65534) ||
                           chown(file("attempts.db"), 65534, 65534)))
        return 1;
    if (chmod(file("cmk11.db"), 0400) || chmod(file("attempts.db"), 0400) || chmod(dir, 0500))
        return 1;
    if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
        return 1;
    if (open_store(&s) != CMK_OK)
        return 2;
    if (revision_of(s, "n", &n) != CMK_OK || n != 1 || cmk_store_generation(s, &n) != CMK_OK)
        return 3;
    if (put(s, "n", 2, 1, 10) != CMK_E_READ_ONLY)
        return 4;
    if (cmk_attempt_reserve(s, &vault, &principal, 3, &ticket) != CMK_E_READ_ONLY)
        return 5;
    cmk_store_close(s);
    return chmod(dir, 0700);
}

static void test_read_only(void)
{
    make_store();
    CU_ASSERT(run_children(1, child_without_rights));
    remove_all(dir);
}

static void test_permissions(void)
{
    static const mode_t bad[] = {0702, 0720, 0777};
    cmk_store *s = NULL;
    struct stat st = {0};
    make_store();
    CU_ASSERT(stat(dir, &st) == 0 && (st.st_mode & 07777) == 0700);
    CU_ASSERT(stat(file("cmk11.db"), &st) == 0 && (st.st_mode & 07777) == 0600);
    CU_ASSERT(stat(file("attempts.db"), &st) == 0 && (st.st_mode & 07777) == 0600);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        chmod(dir, bad[i]);
        UNIT_RC(open_store(&s), CMK_E_PERMISSION);
    }
    chmod(dir, 0700);
    chmod(file("cmk11.db"), 0620);
    UNIT_RC(open_store(&s), CMK_E_PERMISSION);
    chmod(file("cmk11.db"), 0600);
    chmod(file("attempts.db"), 0602);
    UNIT_RC(open_store(&s), CMK_E_PERMISSION);
    chmod(file("attempts.db"), 0600);
    if (geteuid() == 0) {
        CU_ASSERT_EQUAL(chown(file("cmk11.db"), 65534, 65534), 0); /* not the directory's owner */
        UNIT_RC(open_store(&s), CMK_E_PERMISSION);
        CU_ASSERT_EQUAL(chown(file("cmk11.db"), 0, 0), 0);
    }
    CU_ASSERT_EQUAL(rename(file("cmk11.db"), "/tmp/cmk11-elsewhere.db"), 0);
    CU_ASSERT_EQUAL(symlink("/tmp/cmk11-elsewhere.db", file("cmk11.db")), 0);
    UNIT_RC(open_store(&s), CMK_E_PERMISSION);
    unlink("/tmp/cmk11-elsewhere.db");
    remove_all(dir);
}

static int child_member_of_group(int i)
{
    cmk_store *s = NULL;
    (void)i;
    umask(077);
    if (geteuid() == 0 && (setgid(12345) || setuid(23456)))
        return 1;
    if (open_store(&s) != CMK_OK)
        return 2;
    if (put(s, "n", 2, 1, 10) != CMK_OK)
        return 3;
    struct stat st;
    if (stat(file("cmk11.db-wal"), &st) || (st.st_mode & 0777) != 0660 || (geteuid() != 0 && st.st_gid != 12345))
        return 4;
    cmk_store_close(s);
    return 0;
}

static void test_group(void)
{
    cmk_store *s = NULL;
    struct stat st = {0};
    if (geteuid() != 0)
        return; /* changing groups needs root */
    make_store();
    UNIT_OK(open_store(&s));
    UNIT_OK(cmk_store_set_group(s, 12345));
    CU_ASSERT(stat(dir, &st) == 0 && (st.st_mode & 07777) == 02770 && st.st_gid == 12345);
    CU_ASSERT(stat(file("cmk11.db-wal"), &st) == 0 && (st.st_mode & 07777) == 0660 && st.st_gid == 12345);
    cmk_store_close(s);
    CU_ASSERT(run_children(1, child_member_of_group));
    UNIT_OK(open_store(&s));
    UNIT_OK(cmk_store_set_group(s, (gid_t)-1));
    cmk_store_close(s);
    CU_ASSERT(stat(dir, &st) == 0 && (st.st_mode & 07777) == 0700);
    CU_ASSERT(stat(file("cmk11.db"), &st) == 0 && (st.st_mode & 07777) == 0600);
    chmod(dir, 02770); /* opened by hand, without the setting */
    UNIT_RC(open_store(&s), CMK_E_PERMISSION);
    remove_all(dir);
}

/* The parent's connections are left in peace, and the child's own have locks of their own. */
static void test_fork(void)
{
    cmk_store *s = NULL;
    uint64_t n = 0;
    int status = 1;
    make_store();
    UNIT_OK(open_store(&s));
    UNIT_OK(put(s, "n", 2, 1, 10));
    pid_t pid = fork();
    if (pid == 0) {
        cmk_store *own = NULL;
        cmk_store_abandon(s);
        if (open_store(&own) != CMK_OK || put(own, "n", 3, 2, 10) != CMK_OK)
            _exit(1);
        usleep(400000); /* the parent closes meanwhile: the log must stay */
        _exit(put(own, "n", 4, 3, 10) == CMK_OK && access(file("cmk11.db-wal"), F_OK) == 0 ? 0 : 2);
    }
    usleep(150000);
    UNIT_OK(revision_of(s, "n", &n));
    CU_ASSERT_EQUAL(n, 3);
    cmk_store_close(s);
    waitpid(pid, &status, 0);
    CU_ASSERT_EQUAL(status, 0);
    UNIT_OK(open_store(&s));
    UNIT_OK(revision_of(s, "n", &n));
    CU_ASSERT_EQUAL(n, 4);
    cmk_store_close(s);
    remove_all(dir);
}

static int child_forked_in_transaction(int i)
{
    cmk_store *s = NULL;
    cmk_txn *t = NULL;
    (void)i;
    if (open_store(&s) != CMK_OK || cmk_txn_begin(s, CMK_TXN_WRITE, &t) != CMK_OK)
        return 1;
    pid_t pid = fork();
    if (pid == 0) {
        cmk_store *own = NULL;
        cmk_store_abandon(s);
        _exit(open_store(&own) == CMK_E_FORKED ? 0 : 1);
    }
    int status = 1;
    waitpid(pid, &status, 0);
    cmk_txn_rollback(&t);
    if (put(s, "n", 2, 1, 10) != CMK_OK)
        return 2;
    cmk_store_close(s);
    return status ? 3 : 0;
}

static void test_fork_in_transaction(void)
{
    make_store();
    CU_ASSERT(run_children(1, child_forked_in_transaction));
    remove_all(dir);
}

static bool contains(const char *name, const char *needle, size_t n)
{
    static char data[1 << 20];
    FILE *f = fopen(file(name), "rb");
    size_t len = f ? fread(data, 1, sizeof data, f) : 0;
    if (f)
        fclose(f);
    return memmem(data, len, needle, n) != NULL;
}

static void test_deleted_is_gone(void)
{
    cmk_store *s = NULL;
    CMK_TXN_AUTO *t = NULL;
    cmk_record_key k = {vault, KIND, 1, {'n'}};
    make_store();
    CU_ASSERT(contains("cmk11.db", "SSSSSSSSSSSSSSSS", 16));
    UNIT_OK(open_store(&s));
    UNIT_OK(put(s, "n", 2, 1, 5000));
    UNIT_OK(cmk_txn_begin(s, CMK_TXN_WRITE, &t));
    UNIT_OK(cmk_txn_delete(t, &k, 2));
    UNIT_OK(cmk_txn_commit(&t));
    cmk_store_close(s);
    CU_ASSERT_FALSE(contains("cmk11.db", "SSSSSSSSSSSSSSSS", 16));
    CU_ASSERT_FALSE(contains("cmk11.db-wal", "SSSSSSSSSSSSSSSS", 16));
    remove_all(dir);
}

static double now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* Printed for whoever looks; far bounds only, since machines and sanitizers differ. */
static void test_speed(void)
{
    enum { ROUNDS = 5000 };
    cmk_store *s = NULL;
    uint64_t n = 0;
    make_store();
    double t0 = now_us();
    UNIT_OK(open_store(&s));
    double t1 = now_us();
    UNIT_OK(put(s, "n", 2, 1, 8193));
    UNIT_OK(cmk_store_generation(s, &n));
    UNIT_OK(revision_of(s, "n", &n));
    double t2 = now_us();
    for (int i = 0; i < ROUNDS; i++)
        if (cmk_store_generation(s, &n) != CMK_OK)
            CU_FAIL("generation");
    double t3 = now_us();
    for (int i = 0; i < ROUNDS; i++)
        if (revision_of(s, "n", &n) != CMK_OK)
            CU_FAIL("get");
    double t4 = now_us();
    printf("  open %.0f us, generation %.2f us, get in a transaction %.2f us\n", t1 - t0, (t3 - t2) / ROUNDS,
           (t4 - t3) / ROUNDS);
    CU_ASSERT((t4 - t2) / ROUNDS < 1000);
    cmk_store_close(s);
    remove_all(dir);
}

static const unit_test tests[] = {
    {"processes", test_processes},
    {"threshold", test_threshold},
    {"eleven-right", test_eleven_right},
    {"dead-attempt", test_dead_attempt},
    {"killed", test_killed},
    {"other-process-noticed", test_other_process_noticed},
    {"replaced", test_replaced},
    {"damaged", test_damaged},
    {"newer-schema", test_newer_schema},
    {"counters-damaged", test_counters_damaged},
    {"full", test_full},
    {"read-only", test_read_only},
    {"permissions", test_permissions},
    {"group", test_group},
    {"fork", test_fork},
    {"fork-in-transaction", test_fork_in_transaction},
    {"deleted-is-gone", test_deleted_is_gone},
    {"speed", test_speed},
};
UNIT_MAIN("store-sqlite", tests)
