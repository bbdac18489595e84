/* The change notice of the SQLite store: nothing is missed, nothing is made up, nothing is left behind. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <pthread.h>
#include <stdatomic.h>

#include "storage/sqlite.h"
#include "tests/unit/store_fixture.h"

enum { SETTLED = 20000 };

static uint64_t generation_of(cmk_store *s)
{
    uint64_t n = 0;
    UNIT_OK(cmk_store_generation(s, &n));
    return n;
}

/* Opens a store and asks it once, so that there is something to compare with. */
static cmk_store *opened(void)
{
    cmk_store *s = NULL;
    CU_ASSERT_FATAL(open_store(&s) == CMK_OK);
    (void)generation_of(s);
    return s;
}

/* True if the next call, and only that, answers another number. */
static bool noticed(cmk_store *s, uint64_t *last)
{
    uint64_t now = generation_of(s);
    bool changed = now != *last;
    *last = now;
    return changed && generation_of(s) == now;
}

static void test_by_process(void)
{
    enum { ROUNDS = 3000 };
    worker w;
    int missed = 0;
    make_store();
    worker_start(&w);
    CU_ASSERT(worker_do(&w, 'p'));
    cmk_store *s = opened();
    uint64_t last = generation_of(s);
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 7 == 0 && !worker_do(&w, i % 2 ? 'p' : 't'))
            CU_FAIL("checkpoint");
        if (i % 3 == 0)
            last = generation_of(s); /* else several changes at once */
        if (!worker_do(&w, 'c'))
            CU_FAIL("commit");
        if (i % 11 == 0 && !worker_do(&w, i % 2 ? 't' : 'p'))
            CU_FAIL("checkpoint");
        missed += !noticed(s, &last);
    }
    CU_ASSERT_EQUAL(missed, 0);
    cmk_store_close(s);
    worker_end(&w);
    remove_all(dir);
}

static void test_undone(void)
{
    worker w;
    int invented = 0;
    make_store();
    worker_start(&w);
    CU_ASSERT(worker_do(&w, 'c'));
    cmk_store *s = opened();
    uint64_t last = generation_of(s);
    for (int i = 0; i < 300; i++)
        invented += !worker_do(&w, 'b') || generation_of(s) != last;
    CU_ASSERT_EQUAL(invented, 0);
    cmk_store_close(s);
    worker_end(&w);
    remove_all(dir);
}

/* A commit through the same handle, through another one, and through a connection of somebody else in this process. */
static void test_by_connection(void)
{
    enum { ROUNDS = 1000 };
    cmk_store *other = NULL;
    sqlite3 *db = NULL;
    uint64_t is = 0;
    int missed = 0;
    make_store();
    cmk_store *s = opened();
    UNIT_OK(open_store(&other));
    CU_ASSERT_EQUAL(sqlite3_open(file("cmk11.db"), &db), SQLITE_OK);
    uint64_t last = generation_of(s);
    UNIT_OK(revision_of(s, "n", &is));
    for (int i = 0; i < ROUNDS; i++, is++) {
        if (put(i % 2 ? s : other, "n", is + 1, is, 10) != CMK_OK)
            CU_FAIL("put");
        missed += !noticed(s, &last);
        if (i % 5 == 0 && sqlite3_exec(db,
                                       "UPDATE setting SET value = value + 1 WHERE name = 'x'; DELETE FROM setting;"
                                       "INSERT INTO setting (name, value) VALUES ('x', 1)",
                                       NULL, NULL, NULL) != SQLITE_OK)
            CU_FAIL("update");
        missed += i % 5 == 0 && !noticed(s, &last);
    }
    CU_ASSERT_EQUAL(missed, 0);
    sqlite3_close(db);
    cmk_store_close(other); /* what it drops must not be what the first one needs */
    UNIT_OK(put(s, "n", is + 1, is, 10));
    CU_ASSERT(noticed(s, &last));
    cmk_store_close(s);
    remove_all(dir);
}

/* ---- what SQLite is asked ---- */

typedef struct traced {
    const worker *commits; /* does so once, as soon as a statement begins or ends */
    unsigned statements;
} traced;

static int trace(unsigned event, void *ctx, void *statement, void *more)
{
    traced *x = ctx;
    (void)statement;
    (void)more;
    x->statements += event == SQLITE_TRACE_STMT;
    if (x->commits && !worker_do(x->commits, 'c'))
        CU_FAIL("commit");
    x->commits = NULL;
    return 0;
}

static void trace_watch(cmk_store *s, unsigned events, traced *x)
{
    sqlite3 *db = ((cmk_sqlite_store *)s)->slot[ROLE_WATCH].conn.db;
    CU_ASSERT_FATAL(db != NULL);
    CU_ASSERT_EQUAL(sqlite3_trace_v2(db, events, trace, x), SQLITE_OK);
}

/* A commit just before SQLite is asked, and one just after it has answered. */
static void test_in_between(void)
{
    static const unsigned moments[] = {SQLITE_TRACE_STMT, SQLITE_TRACE_PROFILE};
    worker w;
    make_store();
    worker_start(&w);
    CU_ASSERT(worker_do(&w, 'p'));
    cmk_store *s = opened();
    for (size_t i = 0; i < 2; i++) {
        traced x = {&w, 0};
        uint64_t known = 0;
        uint64_t is = 0;
        (void)generation_of(s);
        CU_ASSERT(worker_do(&w, 'c'));
        trace_watch(s, moments[i], &x);
        uint64_t last = generation_of(s);
        CU_ASSERT(x.commits == NULL);
        trace_watch(s, 0, &x);
        if (i == 0)
            continue; /* it may be counted in this answer already */
        UNIT_OK(revision_of(s, "n", &known));
        CU_ASSERT(noticed(s, &last));
        UNIT_OK(revision_of(s, "n", &is));
        CU_ASSERT_EQUAL(is, known);
    }
    cmk_store_close(s);
    worker_end(&w);
    remove_all(dir);
}

/* As long as nothing happens SQLite is not asked, except once a second. */
static void test_not_asked(void)
{
    enum { CALLS = 10000 };
    traced x = {NULL, 0};
    struct timespec from;
    struct timespec to;
    make_store();
    cmk_store *s = opened();
    (void)generation_of(s);
    trace_watch(s, SQLITE_TRACE_STMT, &x);
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 0; i < CALLS; i++)
        (void)generation_of(s);
    clock_gettime(CLOCK_MONOTONIC, &to);
    CU_ASSERT(x.statements <= (unsigned)(to.tv_sec - from.tv_sec) + 1);
    usleep(1100000);
    x.statements = 0;
    (void)generation_of(s);
    (void)generation_of(s);
    CU_ASSERT_EQUAL(x.statements, 1);
    cmk_store_close(s);
    remove_all(dir);
}

/* ---- threads ---- */

typedef struct shared {
    cmk_store *store;
    atomic_uint_fast64_t committed; /* revision that has been committed for certain */
    atomic_bool stop;
    atomic_int wrong;
} shared;

/* Whoever finds the number unchanged may go on with what was read after it was first seen. */
static void *watches(void *ctx)
{
    shared *x = ctx;
    uint64_t last = 0;
    uint64_t known = 0;
    while (!atomic_load(&x->stop)) {
        uint64_t now = 0;
        uint64_t committed = atomic_load(&x->committed);
        if (cmk_store_generation(x->store, &now) != CMK_OK)
            atomic_fetch_add(&x->wrong, 1);
        if (now != last && revision_of(x->store, "n", &known) != CMK_OK)
            atomic_fetch_add(&x->wrong, 1);
        last = now;
        if (known < committed)
            atomic_fetch_add(&x->wrong, 1);
    }
    return NULL;
}

static void test_by_thread(void)
{
    enum { THREADS = 8, ROUNDS = 400 };
    pthread_t thread[THREADS];
    worker w;
    uint64_t is = 0;
    make_store();
    worker_start(&w);
    CU_ASSERT(worker_do(&w, 'p'));
    shared x = {.store = opened()};
    for (int i = 0; i < THREADS; i++)
        CU_ASSERT_FATAL(pthread_create(&thread[i], NULL, watches, &x) == 0);
    UNIT_OK(revision_of(x.store, "n", &is));
    for (int i = 0; i < ROUNDS; i++, is++) {
        bool done = i % 2 ? worker_do(&w, 'c') : put(x.store, "n", is + 1, is, 100) == CMK_OK;
        if (!done)
            CU_FAIL("commit");
        atomic_store(&x.committed, is + 1);
        if (i % 16 == 0)
            (void)worker_do(&w, 'p');
        if (i % 4 == 0)
            usleep(500);
    }
    atomic_store(&x.stop, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    CU_ASSERT_EQUAL(atomic_load(&x.wrong), 0);
    cmk_store_close(x.store);
    worker_end(&w);
    remove_all(dir);
}

static void *asks(void *ctx)
{
    shared *x = ctx;
    uint64_t n = 0;
    while (!atomic_load(&x->stop))
        if (cmk_store_generation(x->store, &n) != CMK_OK)
            atomic_fetch_add(&x->wrong, 1);
    return NULL;
}

/* With a busy time-out of nothing, threads that all have to ask SQLite still wait for each other. */
static void test_impatient(void)
{
    enum { THREADS = 8, ROUNDS = 300 };
    pthread_t thread[THREADS];
    cmk_store_options options = {.create = false, .busy_timeout_ms = 0};
    shared x = {0};
    sqlite3 *db = NULL;
    make_store();
    CU_ASSERT_FATAL(cmk_store_open(dir, &options, &x.store) == CMK_OK);
    CU_ASSERT_EQUAL(sqlite3_open(file("cmk11.db"), &db), SQLITE_OK);
    for (int i = 0; i < THREADS; i++)
        CU_ASSERT_FATAL(pthread_create(&thread[i], NULL, asks, &x) == 0);
    for (int i = 0; i < ROUNDS; i++)
        if (sqlite3_exec(db, "REPLACE INTO setting (name, value) VALUES ('x', 1)", NULL, NULL, NULL) != SQLITE_OK)
            CU_FAIL("replace");
    atomic_store(&x.stop, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    CU_ASSERT_EQUAL(atomic_load(&x.wrong), 0);
    sqlite3_close(db);
    cmk_store_close(x.store);
    remove_all(dir);
}

/* Threads go on asking while the file under them is replaced, again and again, beyond the number of windows. */
static void test_replaced_under_threads(void)
{
    enum { THREADS = 4, ROUNDS = 80 };
    pthread_t thread[THREADS];
    char cmd[512];
    int missed = 0;
    make_store();
    shared x = {.store = opened()};
    uint64_t last = generation_of(x.store);
    for (int i = 0; i < THREADS; i++)
        CU_ASSERT_FATAL(pthread_create(&thread[i], NULL, asks, &x) == 0);
    snprintf(cmd, sizeof cmd, "cd %s && cp cmk11.db new && rm -f cmk11.db-wal cmk11.db-shm && mv new cmk11.db", dir);
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t is = 0;
        uint64_t now = 0;
        CU_ASSERT_EQUAL(system(cmd), 0);
        /* an opening that falls into the moment between rm and mv says so */
        while (cmk_store_generation(x.store, &now) == CMK_E_BUSY)
            usleep(100);
        missed += now == last;
        last = now;
        if (revision_of(x.store, "n", &is) != CMK_OK || put(x.store, "n", is + 1, is, 10) != CMK_OK)
            CU_FAIL("use");
        missed += generation_of(x.store) == last;
        last = generation_of(x.store);
    }
    CU_ASSERT_EQUAL(missed, 0);
    atomic_store(&x.stop, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    cmk_store_close(x.store);
    remove_all(dir);
}

/* ---- files ---- */

static void shell(const char *command)
{
    char cmd[512];
    snprintf(cmd, sizeof cmd, "cd %s && %s", dir, command);
    CU_ASSERT_EQUAL(system(cmd), 0);
}

static int child_commits(int unused)
{
    cmk_store *s = NULL;
    uint64_t is = 0;
    (void)unused;
    if (open_store(&s) != CMK_OK || revision_of(s, "n", &is) != CMK_OK || put(s, "n", is + 1, is, 10) != CMK_OK)
        return 1;
    cmk_store_close(s);
    return 0;
}

static void test_files(void)
{
    uint64_t is = 0;
    sqlite3 *db = NULL;
    make_store();
    shell("cp cmk11.db copy");
    cmk_store *s = opened();
    uint64_t last = generation_of(s);
    shell("cp cmk11.db-shm shm && mv shm cmk11.db-shm"); /* only the index: another file with the same bytes */
    CU_ASSERT_NOT_EQUAL(generation_of(s), last);
    UNIT_OK(revision_of(s, "n", &is));
    last = generation_of(s);
    UNIT_OK(put(s, "n", is + 1, is, 10));
    CU_ASSERT(noticed(s, &last));
    shell("rm cmk11.db-shm");
    CU_ASSERT_NOT_EQUAL(generation_of(s), last);
    UNIT_OK(revision_of(s, "n", &is));
    last = generation_of(s);
    shell("sleep 0.02; rm -f cmk11.db-wal; cat copy > cmk11.db"); /* in place */
    CU_ASSERT_NOT_EQUAL(generation_of(s), last);
    last = generation_of(s);
    shell("rm -f cmk11.db-wal cmk11.db-shm; cp copy new && mv new cmk11.db");
    CU_ASSERT_NOT_EQUAL(generation_of(s), last);
    UNIT_OK(revision_of(s, "n", &is));
    CU_ASSERT_EQUAL(is, 1);
    last = generation_of(s);
    /* nobody can take the log away from under an open store */
    CU_ASSERT_EQUAL(sqlite3_open(file("cmk11.db"), &db), SQLITE_OK);
    CU_ASSERT_NOT_EQUAL(sqlite3_exec(db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    CU_ASSERT_EQUAL(generation_of(s), last);
    UNIT_OK(put(s, "n", 2, 1, 10));
    CU_ASSERT(noticed(s, &last));
    cmk_store_close(s);
    remove_all(dir);
}

static void without_log(const char *name)
{
    sqlite3 *db = NULL;
    CU_ASSERT_EQUAL(sqlite3_open(file(name), &db), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_exec(db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* The file comes back with a rollback journal: the store turns it into one with a log, and notices commits. */
static void test_journal_mode(void)
{
    worker w;
    make_store();
    shell("cp cmk11.db copy");
    without_log("copy");
    cmk_store *s = opened();
    uint64_t last = generation_of(s);
    shell("rm -f cmk11.db-wal cmk11.db-shm; chmod 600 copy; mv copy cmk11.db");
    CU_ASSERT_NOT_EQUAL(generation_of(s), last);
    cmk_store_close(s);
    without_log("cmk11.db");
    worker_start(&w);
    CU_ASSERT(worker_do(&w, 'c'));
    s = opened();
    last = generation_of(s);
    for (int i = 0; i < 50; i++)
        CU_ASSERT(worker_do(&w, 'c') && noticed(s, &last));
    cmk_store_close(s);
    worker_end(&w);
    remove_all(dir);
}

/* ---- nothing made up, nothing left behind ---- */

static void test_quiet(void)
{
    struct timespec start;
    struct timespec now;
    int changed = 0;
    make_store();
    cmk_store *s = opened();
    uint64_t last = generation_of(s);
    clock_gettime(CLOCK_MONOTONIC, &start);
    do { /* long enough for the full check to come twice */
        for (int i = 0; i < SETTLED; i++)
            changed += generation_of(s) != last;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - start.tv_sec < 3);
    CU_ASSERT_EQUAL(changed, 0);
    cmk_store_close(s);
    remove_all(dir);
}

static int lines_of(const char *path)
{
    int n = 0;
    FILE *f = fopen(path, "re");
    for (int c; f && (c = fgetc(f)) != EOF;)
        n += c == '\n';
    if (f)
        fclose(f);
    return n;
}

static int descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

static void test_left_behind(void)
{
    int fds = 0;
    int maps = 0;
    make_store();
    for (int i = 0; i < 1100; i++) {
        cmk_store *s = opened();
        cmk_store_close(s);
        if (i == 100) {
            fds = descriptors();
            maps = lines_of("/proc/self/maps");
        }
    }
    CU_ASSERT_EQUAL(descriptors(), fds);
    CU_ASSERT(lines_of("/proc/self/maps") <= maps + 20); /* the allocator's, a sanitizer's */
    remove_all(dir);
}

/* A child has nothing of the parent's to go by, whatever the parent has published. */
static void test_child(void)
{
    int status = 1;
    uint64_t n = 0;
    make_store();
    cmk_store *s = opened();
    uint64_t last = generation_of(s);
    pid_t pid = fork();
    if (pid == 0) {
        bool refused = cmk_store_generation(s, &n) == CMK_E_FORKED;
        cmk_store_abandon(s);
        _exit(refused && child_commits(0) == 0 ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_NOT_EQUAL(generation_of(s), last);
    UNIT_OK(revision_of(s, "n", &n));
    CU_ASSERT_EQUAL(n, 2);
    last = generation_of(s);
    UNIT_OK(put(s, "n", 3, 2, 10));
    CU_ASSERT(noticed(s, &last));
    cmk_store_close(s);
    remove_all(dir);
}

/* ---- speed, printed for whoever looks ---- */

typedef struct timed {
    cmk_store *store;
    double us;
} timed;

static void *measure(void *ctx)
{
    enum { ROUNDS = 200000 };
    timed *t = ctx;
    struct timespec a;
    struct timespec b;
    uint64_t n = 0;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    for (int i = 0; i < ROUNDS; i++)
        if (cmk_store_generation(t->store, &n) != CMK_OK)
            return NULL;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
    t->us = ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / 1e3 / ROUNDS;
    return NULL;
}

static void test_speed(void)
{
    pthread_t thread;
    make_store();
    timed one = {opened(), 0};
    timed two = one;
    measure(&one);
    printf("  one thread %.2f us, ", one.us);
    CU_ASSERT_FATAL(pthread_create(&thread, NULL, measure, &two) == 0);
    measure(&one);
    pthread_join(thread, NULL);
    printf("two threads %.2f and %.2f us of processor time\n", one.us, two.us);
    CU_ASSERT(one.us > 0 && one.us < 100);
    cmk_store_close(one.store);
    remove_all(dir);
}

static const unit_test tests[] = {
    {"by-process", test_by_process},
    {"undone", test_undone},
    {"by-connection", test_by_connection},
    {"in-between", test_in_between},
    {"not-asked", test_not_asked},
    {"by-thread", test_by_thread},
    {"impatient", test_impatient},
    {"replaced-under-threads", test_replaced_under_threads},
    {"files", test_files},
    {"journal-mode", test_journal_mode},
    {"quiet", test_quiet},
    {"left-behind", test_left_behind},
    {"child", test_child},
    {"speed", test_speed},
};
UNIT_MAIN("store-notice", tests)
