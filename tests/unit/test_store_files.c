/* The SQLite store and its files: replaced, damaged, full, read-only, shared, wiped. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "tests/unit/store_fixture.h"

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

/* Counters that were put back from a copy count for a process that runs, too. */
static void test_counters_replaced(void)
{
    cmk_store *s = NULL;
    cmk_store *other = NULL;
    cmk_attempts a = {0};
    char old[128];
    uint64_t ticket = 0;
    make_store();
    CU_ASSERT(copy_file("attempts.db", "copy"));
    UNIT_OK(open_store(&s));
    UNIT_OK(cmk_attempt_reserve(s, &vault, &principal, 5, &ticket));
    UNIT_OK(cmk_attempt_settle(s, &vault, &principal, ticket, CMK_ATTEMPT_FAILED, 0));
    snprintf(old, sizeof old, "%s", file("copy"));
    unlink(file("attempts.db-wal"));
    unlink(file("attempts.db-shm"));
    CU_ASSERT_EQUAL(rename(old, file("attempts.db")), 0);
    UNIT_OK(cmk_attempt_reserve(s, &vault, &principal, 5, &ticket));
    UNIT_OK(open_store(&other));
    UNIT_OK(cmk_attempts_read(other, &vault, &principal, &a));
    CU_ASSERT(a.failures == 0 && a.under_way == 1);
    cmk_store_close(other);
    cmk_store_close(s);
    remove_all(dir);
}

/* A copy that a tool made (VACUUM INTO) has a rollback journal, with which readers would stop writers. */
static void test_journal_mode(void)
{
    cmk_store *s = NULL;
    sqlite3 *db = NULL;
    make_store();
    CU_ASSERT_EQUAL(sqlite3_open(file("cmk11.db"), &db), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_exec(db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    UNIT_OK(open_store(&s));
    UNIT_OK(put(s, "n", 2, 1, 10));
    CU_ASSERT_EQUAL(access(file("cmk11.db-wal"), F_OK), 0);
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
    if (geteuid() == 0 &&
        (chown(dir, 65534, 65534) || chown(file("cmk11.db"), 65534, 65534) || chown(file("attempts.db"), 65534, 65534)))
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

static const unit_test tests[] = {
    {"replaced", test_replaced},
    {"counters-replaced", test_counters_replaced},
    {"journal-mode", test_journal_mode},
    {"damaged", test_damaged},
    {"newer-schema", test_newer_schema},
    {"counters-damaged", test_counters_damaged},
    {"full", test_full},
    {"read-only", test_read_only},
    {"permissions", test_permissions},
    {"group", test_group},
    {"deleted-is-gone", test_deleted_is_gone},
};
UNIT_MAIN("store-files", tests)
