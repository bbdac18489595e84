/* What is special to the SQLite store: several processes, death in the middle, forks, speed. */
#include "tests/unit/store_fixture.h"

#include <pthread.h>
#include <time.h>

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

/* A process that has ended and whose parent has not asked yet can settle nothing any more. */
static void test_zombie_attempt(void)
{
    cmk_store *s = NULL;
    cmk_attempts a = {0};
    siginfo_t info;
    make_store();
    pid_t pid = fork();
    if (pid == 0)
        _exit(child_dies_trying(0));
    CU_ASSERT_EQUAL(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    UNIT_OK(open_store(&s));
    UNIT_OK(cmk_attempts_read(s, &vault, &principal, &a));
    CU_ASSERT(a.failures == 1 && a.under_way == 0);
    cmk_store_close(s);
    waitpid(pid, NULL, 0);
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
    return open_store(&s) == CMK_OK && put(s, "n", (uint64_t)revision + 2, (uint64_t)revision + 1, 10) == CMK_OK ? 0
                                                                                                                 : 1;
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

static void *reserves(void *store)
{
    uint64_t ticket = 0;
    if (cmk_attempt_reserve(store, &vault, &principal, 3, &ticket) != CMK_OK ||
        cmk_attempt_settle(store, &vault, &principal, ticket, CMK_ATTEMPT_VOID, 0) != CMK_OK)
        return store;
    return NULL;
}

static int child_forked_while_counting(int i)
{
    cmk_store *s = NULL;
    sqlite3 *other = NULL;
    pthread_t thread;
    void *failed = NULL;
    int status = 1;
    (void)i;
    if (open_store(&s) != CMK_OK || reserves(s) || sqlite3_open(file("attempts.db"), &other) != SQLITE_OK ||
        sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK ||
        pthread_create(&thread, NULL, reserves, s) != 0)
        return 1;
    usleep(100000); /* the thread waits for the lock of the counters now */
    pid_t pid = fork();
    if (pid == 0) {
        cmk_store *own = NULL;
        cmk_store_abandon(s);
        _exit(open_store(&own) == CMK_E_FORKED ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_close(other);
    pthread_join(thread, &failed);
    cmk_store_close(s);
    return failed || status ? 2 : 0;
}

static void test_fork_while_counting(void)
{
    make_store();
    CU_ASSERT(run_children(1, child_forked_while_counting));
    remove_all(dir);
}

/* A child that forgets to abandon gets an error, and its close leaves the parent's files alone. */
static void test_inherited(void)
{
    cmk_store *s = NULL;
    int status = 1;
    make_store();
    UNIT_OK(open_store(&s));
    UNIT_OK(put(s, "n", 2, 1, 10));
    pid_t pid = fork();
    if (pid == 0) {
        uint64_t n = 0;
        bool refused = cmk_store_generation(s, &n) == CMK_E_FORKED && revision_of(s, "n", &n) == CMK_E_FORKED &&
                       put(s, "n", 3, 2, 10) == CMK_E_FORKED && reserves(s) != NULL;
        cmk_store_close(s);
        _exit(refused && access(file("cmk11.db-wal"), F_OK) == 0 ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    CU_ASSERT_EQUAL(status, 0);
    UNIT_OK(put(s, "n", 3, 2, 10));
    cmk_store_close(s);
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
    {"zombie-attempt", test_zombie_attempt},
    {"killed", test_killed},
    {"other-process-noticed", test_other_process_noticed},
    {"fork", test_fork},
    {"fork-in-transaction", test_fork_in_transaction},
    {"fork-while-counting", test_fork_while_counting},
    {"inherited", test_inherited},
    {"speed", test_speed},
};
UNIT_MAIN("store-sqlite", tests)
