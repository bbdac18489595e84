/* Every rule of storage/store.h, on every backend: SQLite, memory, and SQLite behind the fault injector. */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/backend.h"
#include "tests/unit/unit.h"

#define KIND 32

typedef enum backend { SQLITE, MEMORY, FAULT, BACKENDS } backend;

static char scratch[64];

static void clean_scratch(void)
{
    char path[400];
    DIR *d = opendir(scratch);
    for (struct dirent *e; d && (e = readdir(d));) {
        snprintf(path, sizeof path, "%s/%s", scratch, e->d_name);
        unlink(path);
    }
    if (d)
        closedir(d);
    rmdir(scratch);
}

static cmk_store *open_backend(backend b)
{
    cmk_store *s = NULL;
    cmk_store *outer = NULL;
    cmk_store_options options = {.create = true, .busy_timeout_ms = 300};
    if (b == MEMORY) {
        CU_ASSERT_FATAL(cmk_store_memory_open(&s) == CMK_OK);
        return s;
    }
    snprintf(scratch, sizeof scratch, "/tmp/cmk11-contract-XXXXXX");
    CU_ASSERT_FATAL(mkdtemp(scratch) != NULL);
    CU_ASSERT_FATAL(cmk_store_open(scratch, &options, &s) == CMK_OK);
    if (b == FAULT && cmk_store_fault_wrap(s, &outer) == CMK_OK)
        s = outer;
    return s;
}

static void close_backend(cmk_store *s, backend b)
{
    cmk_store_close(s);
    if (b != MEMORY)
        clean_scratch();
}

static void on_every_backend(void (*rule)(cmk_store *))
{
    for (backend b = SQLITE; b < BACKENDS; b++) {
        cmk_store *s = open_backend(b);
        rule(s);
        close_backend(s, b);
    }
}

static cmk_record_key key_of(uint8_t vault, const char *id)
{
    cmk_record_key k = {.vault = {{vault}}, .kind = KIND, .id_len = (uint8_t)strlen(id)};
    memcpy(k.id, id, strlen(id));
    return k;
}

static cmk_rc put_in(cmk_txn *t, uint8_t vault, const char *id, uint64_t revision, uint64_t expected, const char *body,
                     const char *index)
{
    CMK_RECORD_AUTO r = {.key = key_of(vault, id), .revision = revision};
    cmk_buf_add(&r.body, body, strlen(body));
    for (; index && *index; index++) { /* a letter is an entry with number 1 and that value */
        r.index[r.index_count].number = 1;
        r.index[r.index_count].len = 1;
        r.index[r.index_count++].value[0] = (uint8_t)*index;
    }
    return cmk_txn_put(t, &r, expected);
}

static cmk_rc put(cmk_store *s, uint8_t vault, const char *id, uint64_t revision, uint64_t expected, const char *body,
                  const char *index)
{
    CMK_TXN_AUTO *t = NULL;
    cmk_rc rc = cmk_txn_begin(s, CMK_TXN_WRITE, &t);
    if (rc == CMK_OK)
        rc = put_in(t, vault, id, revision, expected, body, index);
    return rc == CMK_OK ? cmk_txn_commit(&t) : rc;
}

/* "" when there is no such record; "!" when reading failed. */
static const char *body_in(cmk_txn *t, uint8_t vault, const char *id)
{
    static _Thread_local char text[64];
    CMK_RECORD_AUTO r = {0};
    cmk_record_key k = key_of(vault, id);
    cmk_rc rc = cmk_txn_get(t, &k, &r);
    if (rc != CMK_OK)
        return rc == CMK_E_NOT_FOUND ? "" : "!";
    snprintf(text, sizeof text, "%.*s@%llu", (int)r.body.len, r.body.data ? (const char *)r.body.data : "",
             (unsigned long long)r.revision);
    return text;
}

static const char *body(cmk_store *s, uint8_t vault, const char *id)
{
    CMK_TXN_AUTO *t = NULL;
    return cmk_txn_begin(s, CMK_TXN_READ, &t) == CMK_OK ? body_in(t, vault, id) : "!";
}

typedef struct collected {
    char text[200];
    size_t stop_after, seen;
    cmk_txn *txn;
} collected;

static cmk_rc collect(void *ctx, const cmk_record *r)
{
    collected *c = ctx;
    size_t n = strlen(c->text);
    snprintf(c->text + n, sizeof c->text - n, "%u%.*s ", r->key.vault.b[0], r->key.id_len, (const char *)r->key.id);
    if (c->txn) { /* a visitor may get */
        CMK_RECORD_AUTO again = {0};
        UNIT_OK(cmk_txn_get(c->txn, &r->key, &again));
        CU_ASSERT(again.revision == r->revision && again.body.len == r->body.len);
    }
    return c->stop_after && ++c->seen == c->stop_after ? CMK_E_LIMIT : CMK_OK;
}

static void rule_atomic(cmk_store *s)
{
    CMK_TXN_AUTO *t = NULL;
    UNIT_OK(cmk_txn_begin(s, CMK_TXN_WRITE, &t));
    UNIT_OK(put_in(t, 1, "a", 1, 0, "x", NULL));
    UNIT_OK(put_in(t, 1, "b", 1, 0, "y", NULL));
    CU_ASSERT_STRING_EQUAL(body_in(t, 1, "b"), "y@1");
    CU_ASSERT_STRING_EQUAL(body(s, 1, "a"), "");
    cmk_txn_rollback(&t);
    CU_ASSERT_PTR_NULL(t);
    CU_ASSERT_STRING_EQUAL(body(s, 1, "a"), "");
    UNIT_OK(cmk_txn_begin(s, CMK_TXN_WRITE, &t));
    UNIT_OK(put_in(t, 1, "a", 1, 0, "x", NULL));
    UNIT_OK(put_in(t, 1, "b", 1, 0, "", NULL));
    UNIT_OK(cmk_txn_commit(&t));
    CU_ASSERT_PTR_NULL(t);
    CU_ASSERT_STRING_EQUAL(body(s, 1, "a"), "x@1");
    CU_ASSERT_STRING_EQUAL(body(s, 1, "b"), "@1");
    cmk_txn_rollback(&t);
    cmk_txn_rollback(NULL);
}

static void test_atomic(void)
{
    on_every_backend(rule_atomic);
}

static void rule_snapshot(cmk_store *s)
{
    CMK_TXN_AUTO *old = NULL;
    UNIT_OK(put(s, 1, "a", 1, 0, "one", "p"));
    UNIT_OK(cmk_txn_begin(s, CMK_TXN_READ, &old));
    UNIT_OK(put(s, 1, "a", 2, 1, "two", "q"));
    UNIT_OK(put(s, 1, "b", 1, 0, "new", "p"));
    CU_ASSERT_STRING_EQUAL(body_in(old, 1, "a"), "one@1");
    CU_ASSERT_STRING_EQUAL(body_in(old, 1, "b"), "");
    cmk_id vault = {{1}};
    collected c = {0};
    UNIT_OK(cmk_txn_find(old, &vault, KIND, 1, cmk_bytes_str("p"), collect, &c));
    CU_ASSERT_STRING_EQUAL(c.text, "1a ");
    UNIT_OK(cmk_txn_commit(&old));
    CU_ASSERT_STRING_EQUAL(body(s, 1, "a"), "two@2");
}

static void test_snapshot(void)
{
    on_every_backend(rule_snapshot);
}

static void rule_compare_and_swap(cmk_store *s)
{
    cmk_record_key k = key_of(1, "a");
    CMK_TXN_AUTO *t = NULL;
    UNIT_RC(put(s, 1, "a", 6, 5, "x", NULL), CMK_E_CONFLICT);
    UNIT_OK(put(s, 1, "a", 5, 0, "x", NULL));
    UNIT_RC(put(s, 1, "a", 6, 0, "y", NULL), CMK_E_CONFLICT);
    UNIT_RC(put(s, 1, "a", 7, 6, "y", NULL), CMK_E_CONFLICT);
    CU_ASSERT_STRING_EQUAL(body(s, 1, "a"), "x@5");
    UNIT_OK(put(s, 1, "a", 9, 5, "z", NULL));
    CU_ASSERT_STRING_EQUAL(body(s, 1, "a"), "z@9");
    UNIT_OK(cmk_txn_begin(s, CMK_TXN_WRITE, &t));
    UNIT_RC(cmk_txn_delete(t, &k, 5), CMK_E_CONFLICT);
    UNIT_OK(cmk_txn_delete(t, &k, 9));
    UNIT_RC(cmk_txn_delete(t, &k, 9), CMK_E_NOT_FOUND);
    UNIT_OK(cmk_txn_commit(&t));
    CU_ASSERT_STRING_EQUAL(body(s, 1, "a"), "");
    UNIT_OK(put(s, 1, "a", INT64_MAX, 0, "last", NULL));
}

static void test_compare_and_swap(void)
{
    on_every_backend(rule_compare_and_swap);
}

static void expect_found(cmk_store *s, const cmk_id *vault, const char *value, const char *expected)
{
    CMK_TXN_AUTO *t = NULL;
    collected c = {0};
    UNIT_OK(cmk_txn_begin(s, CMK_TXN_READ, &t));
    UNIT_OK(cmk_txn_find(t, vault, KIND, 1, cmk_bytes_str(value), collect, &c));
    CU_ASSERT_STRING_EQUAL(c.text, expected);
}

static void rule_index(cmk_store *s)
{
    cmk_id one = {{1}};
    cmk_record_key k = key_of(1, "b");
    CMK_TXN_AUTO *t = NULL;
    UNIT_OK(put(s, 1, "a", 1, 0, "", "pq"));
    UNIT_OK(put(s, 1, "b", 1, 0, "", "pp")); /* the same entry twice is one */
    UNIT_OK(put(s, 2, "c", 1, 0, "", "p"));
    expect_found(s, &one, "p", "1a 1b ");
    expect_found(s, NULL, "p", "1a 1b 2c ");
    expect_found(s, &one, "r", "");
    UNIT_OK(put(s, 1, "a", 2, 1, "", "r"));
    expect_found(s, &one, "p", "1b ");
    expect_found(s, &one, "q", "");
    expect_found(s, &one, "r", "1a ");
    UNIT_OK(cmk_txn_begin(s, CMK_TXN_WRITE, &t));
    UNIT_OK(cmk_txn_delete(t, &k, 1));
    UNIT_OK(cmk_txn_commit(&t));
    expect_found(s, NULL, "p", "2c ");
}

static void test_index(void)
{
    on_every_backend(rule_index);
}

static void expect_list(cmk_store *s, const cmk_id *vault, const char *prefix, const char *after, size_t limit,
                        const char *expected)
{
    CMK_TXN_AUTO *t = NULL;
    UNIT_OK(cmk_txn_begin(s, CMK_TXN_READ, &t));
    collected c = {.txn = t};
    UNIT_OK(prefix ? cmk_txn_list(t, vault, KIND, cmk_bytes_str(prefix), collect, &c)
                   : cmk_txn_list_after(t, vault, KIND, cmk_bytes_str(after), limit, collect, &c));
    CU_ASSERT_STRING_EQUAL(c.text, expected);
}

static void rule_listing(cmk_store *s)
{
    static const char *const ids[] = {"b", "a\xff\xff", "aa", "a", "a\xff", "ab", "\xff\xff", "\xff"};
    cmk_id one = {{1}};
    uint64_t n = 0;
    CMK_TXN_AUTO *t = NULL;
    UNIT_OK(put(s, 2, "a", 1, 0, "", NULL));
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        UNIT_OK(put(s, 1, ids[i], 1, 0, "body", NULL));
    expect_list(s, &one, "", NULL, 0, "1a 1aa 1ab 1a\xff 1a\xff\xff 1b 1\xff 1\xff\xff ");
    expect_list(s, NULL, "a", NULL, 0, "1a 1aa 1ab 1a\xff 1a\xff\xff 2a ");
    expect_list(s, &one, "a\xff", NULL, 0, "1a\xff 1a\xff\xff ");
    expect_list(s, &one, "\xff", NULL, 0, "1\xff 1\xff\xff ");
    expect_list(s, &one, "aaa", NULL, 0, "");
    expect_list(s, &one, NULL, "", 3, "1a 1aa 1ab ");
    expect_list(s, &one, NULL, "ab", 2, "1a\xff 1a\xff\xff ");
    expect_list(s, &one, NULL, "a", 1, "1aa ");
    expect_list(s, &one, NULL, "\xff\xff", 0, "");
    UNIT_OK(cmk_txn_begin(s, CMK_TXN_READ, &t));
    UNIT_OK(cmk_txn_count(t, &one, KIND, &n));
    CU_ASSERT_EQUAL(n, 8);
    UNIT_OK(cmk_txn_count(t, &one, KIND + 1, &n));
    CU_ASSERT_EQUAL(n, 0);
    collected c = {.stop_after = 2};
    UNIT_RC(cmk_txn_list(t, &one, KIND, cmk_bytes_str(""), collect, &c), CMK_E_LIMIT);
    CU_ASSERT_STRING_EQUAL(c.text, "1a 1aa ");
    c = (collected){0}; /* and the statement is good again */
    UNIT_OK(cmk_txn_list(t, &one, KIND, cmk_bytes_str("b"), collect, &c));
    CU_ASSERT_STRING_EQUAL(c.text, "1b ");
}

static void test_listing(void)
{
    on_every_backend(rule_listing);
}

static void rule_generation(cmk_store *s)
{
    uint64_t before = 0;
    uint64_t after = 0;
    UNIT_OK(cmk_store_generation(s, &before));
    UNIT_OK(cmk_store_generation(s, &after));
    CU_ASSERT_EQUAL(before, after);
    for (uint64_t i = 0; i < 20; i++) {
        UNIT_OK(put(s, 1, "a", i + 1, i, "x", NULL));
        UNIT_OK(cmk_store_generation(s, &after));
        CU_ASSERT_NOT_EQUAL(before, after);
        before = after;
    }
    CMK_TXN_AUTO *t = NULL;
    UNIT_OK(cmk_txn_begin(s, CMK_TXN_WRITE, &t));
    UNIT_OK(put_in(t, 1, "b", 1, 0, "x", NULL));
    UNIT_OK(cmk_store_generation(s, &after)); /* takes no lock that a transaction holds */
    CU_ASSERT_EQUAL(before, after);
    cmk_txn_rollback(&t);
}

static void test_generation(void)
{
    on_every_backend(rule_generation);
}

static void rule_limits(cmk_store *s)
{
    CMK_RECORD_AUTO r = {.key = key_of(1, "a"), .revision = 1};
    CMK_TXN_AUTO *t = NULL;
    CMK_TXN_AUTO *reader = NULL;
    UNIT_OK(cmk_txn_begin(s, CMK_TXN_READ, &reader));
    UNIT_RC(cmk_txn_put(reader, &r, 0), CMK_E_ARGUMENT);
    UNIT_RC(cmk_txn_delete(reader, &r.key, 1), CMK_E_ARGUMENT);
    cmk_txn_rollback(&reader);
    UNIT_OK(cmk_txn_begin(s, CMK_TXN_WRITE, &t));
    UNIT_RC(cmk_txn_put(t, &r, 1), CMK_E_ARGUMENT); /* revisions grow */
    CU_ASSERT_PTR_NOT_NULL(cmk_buf_extend(&r.body, CMK_RECORD_BODY_MAX));
    r.key.id_len = CMK_RECORD_ID_MAX;
    r.index_count = CMK_INDEX_ENTRIES_MAX;
    for (uint8_t i = 0; i < CMK_INDEX_ENTRIES_MAX; i++)
        r.index[i] = (cmk_index_entry){.number = i, .len = CMK_INDEX_VALUE_MAX};
    UNIT_OK(cmk_txn_put(t, &r, 0));
    CMK_RECORD_AUTO back = {0};
    UNIT_OK(cmk_txn_get(t, &r.key, &back));
    CU_ASSERT(back.body.len == CMK_RECORD_BODY_MAX && back.index_count == 0);
    r.revision = 2;
    r.index[0].len = CMK_INDEX_VALUE_MAX + 1;
    UNIT_RC(cmk_txn_put(t, &r, 1), CMK_E_ARGUMENT);
    r.index[0].len = 1;
    r.index_count = CMK_INDEX_ENTRIES_MAX + 1;
    UNIT_RC(cmk_txn_put(t, &r, 1), CMK_E_ARGUMENT);
    r.index_count = 0;
    r.key.id_len = CMK_RECORD_ID_MAX + 1;
    UNIT_RC(cmk_txn_put(t, &r, 0), CMK_E_ARGUMENT);
    r.key.id_len = 1;
    r.key.kind = 0;
    UNIT_RC(cmk_txn_put(t, &r, 0), CMK_E_ARGUMENT);
    r.key.kind = KIND;
    cmk_buf_u8(&r.body, 0);
    UNIT_RC(cmk_txn_put(t, &r, 0), CMK_E_ARGUMENT);
    cmk_buf_reset(&r.body);
    r.revision = (uint64_t)INT64_MAX + 1;
    UNIT_RC(cmk_txn_put(t, &r, 0), CMK_E_ARGUMENT);
}

static void test_limits(void)
{
    on_every_backend(rule_limits);
}

static void rule_one_writer(cmk_store *s)
{
    CMK_TXN_AUTO *t = NULL;
    cmk_txn *second = NULL;
    UNIT_OK(cmk_txn_begin(s, CMK_TXN_WRITE, &t));
    UNIT_RC(cmk_txn_begin(s, CMK_TXN_WRITE, &second), CMK_E_BUSY);
    CU_ASSERT_PTR_NULL(second);
    CU_ASSERT_STRING_EQUAL(body(s, 1, "a"), ""); /* readers go on */
    UNIT_OK(cmk_txn_commit(&t));
    UNIT_OK(cmk_txn_begin(s, CMK_TXN_WRITE, &second));
    cmk_txn_rollback(&second);
}

static void test_one_writer(void)
{
    on_every_backend(rule_one_writer);
}

static void *increment(void *arg)
{
    cmk_store *s = arg;
    for (int i = 0; i < 25; i++) {
        CMK_TXN_AUTO *t = NULL;
        CMK_RECORD_AUTO r = {0};
        cmk_record_key k = key_of(1, "n");
        if (cmk_txn_begin(s, CMK_TXN_WRITE, &t) != CMK_OK || cmk_txn_get(t, &k, &r) != CMK_OK)
            return arg;
        r.revision++;
        if (cmk_txn_put(t, &r, r.revision - 1) != CMK_OK || cmk_txn_commit(&t) != CMK_OK)
            return arg;
        if (*body(s, 1, "n") == '!')
            return arg;
    }
    return NULL;
}

static void rule_threads(cmk_store *s)
{
    pthread_t thread[16];
    void *failed = NULL;
    s->options.busy_timeout_ms = 20000;
    UNIT_OK(put(s, 1, "n", 1, 0, "", NULL));
    for (size_t i = 0; i < 16; i++)
        CU_ASSERT_EQUAL(pthread_create(&thread[i], NULL, increment, s), 0);
    for (size_t i = 0; i < 16; i++) {
        pthread_join(thread[i], &failed);
        CU_ASSERT_PTR_NULL(failed);
    }
    CU_ASSERT_STRING_EQUAL(body(s, 1, "n"), "@401");
}

static void test_threads(void)
{
    for (backend b = SQLITE; b < FAULT; b++) {
        cmk_store *s = open_backend(b);
        if (b == SQLITE) { /* threads that wait here must be patient enough for slow disks */
            cmk_store_close(s);
            cmk_store_options options = {.create = true, .busy_timeout_ms = 20000};
            CU_ASSERT_FATAL(cmk_store_open(scratch, &options, &s) == CMK_OK);
        }
        rule_threads(s);
        close_backend(s, b);
    }
}

static void rule_attempts(cmk_store *s)
{
    cmk_id v = {{1}};
    cmk_id p = {{2}};
    cmk_attempts a = {9, 9, 9};
    uint64_t ticket[3] = {0};
    UNIT_OK(cmk_attempts_read(s, &v, &p, &a));
    CU_ASSERT(a.failures == 0 && a.under_way == 0 && a.credential_revision == 0);
    UNIT_OK(cmk_attempt_reserve(s, &v, &p, 3, &ticket[0]));
    UNIT_OK(cmk_attempt_reserve(s, &v, &p, 3, &ticket[1]));
    UNIT_OK(cmk_attempt_reserve(s, &v, &p, 3, &ticket[2]));
    UNIT_OK(cmk_attempt_settle(s, &v, &p, ticket[0], CMK_ATTEMPT_FAILED, 7));
    UNIT_OK(cmk_attempt_settle(s, &v, &p, ticket[0], CMK_ATTEMPT_FAILED, 7)); /* once is once */
    UNIT_OK(cmk_attempt_settle(s, &v, &p, ticket[1], CMK_ATTEMPT_VOID, 7));
    UNIT_OK(cmk_attempts_read(s, &v, &p, &a));
    CU_ASSERT(a.failures == 1 && a.under_way == 1 && a.credential_revision == 0);
    UNIT_OK(cmk_attempt_settle(s, &v, &p, ticket[2], CMK_ATTEMPT_SUCCEEDED, 7));
    UNIT_OK(cmk_attempts_read(s, &v, &p, &a));
    CU_ASSERT(a.failures == 0 && a.under_way == 0 && a.credential_revision == 7);
    UNIT_OK(cmk_attempt_reserve(s, &v, &p, 3, &ticket[0]));
    UNIT_OK(cmk_attempt_settle(s, &v, &p, ticket[0], CMK_ATTEMPT_SUCCEEDED, 6));
    for (int i = 0; i < 3; i++) {
        UNIT_OK(cmk_attempt_reserve(s, &v, &p, 3, &ticket[0]));
        UNIT_OK(cmk_attempt_settle(s, &v, &p, ticket[0], CMK_ATTEMPT_FAILED, 0));
    }
    UNIT_RC(cmk_attempt_reserve(s, &v, &p, 3, &ticket[0]), CMK_E_PIN_LOCKED);
    UNIT_OK(cmk_attempts_read(s, &v, &p, &a));
    CU_ASSERT(a.failures == 3 && a.credential_revision == 7);
    UNIT_OK(cmk_attempts_reset(s, &v, &p, 3));
    UNIT_OK(cmk_attempts_read(s, &v, &p, &a));
    CU_ASSERT(a.failures == 0 && a.credential_revision == 3);
    UNIT_OK(cmk_attempt_reserve(s, &v, &p, 1, &ticket[0]));
    cmk_id other = {{3}};
    UNIT_OK(cmk_attempt_reserve(s, &v, &other, 1, &ticket[1])); /* each has counters of its own */
    uint64_t before = 0;
    uint64_t after = 0;
    UNIT_OK(cmk_store_generation(s, &before));
    UNIT_OK(cmk_attempt_settle(s, &v, &p, ticket[0], CMK_ATTEMPT_SUCCEEDED, 3));
    UNIT_OK(cmk_store_generation(s, &after));
    CU_ASSERT_EQUAL(before, after); /* a login wakes nobody */
}

static void test_attempts(void)
{
    on_every_backend(rule_attempts);
}

/* Whatever call fails, the transaction changes nothing, and afterwards all is well. */
static void test_faults(void)
{
    cmk_store *s = open_backend(FAULT);
    unsigned calls = 0;
    for (unsigned k = 1; k <= 4; k++) {
        cmk_store_fault_arm(s, k, CMK_E_FULL);
        cmk_rc rc = put(s, 1, "a", 1, 0, "x", NULL);
        calls = cmk_store_fault_calls(s);
        cmk_store_fault_arm(s, 0, CMK_OK);
        UNIT_RC(rc, k <= 3 ? CMK_E_FULL : CMK_OK);
        CU_ASSERT_STRING_EQUAL(body(s, 1, "a"), k <= 3 ? "" : "x@1");
    }
    CU_ASSERT_EQUAL(calls, 3);
    close_backend(s, FAULT);
}

static void test_urls(void)
{
    cmk_store *s = NULL;
    cmk_store_options options = {.create = false, .busy_timeout_ms = 100};
    UNIT_RC(cmk_store_open("sqlite:", &options, &s), CMK_E_CONFIG);
    UNIT_RC(cmk_store_open("", &options, &s), CMK_E_CONFIG);
    UNIT_RC(cmk_store_open("etcd://localhost", &options, &s), CMK_E_CONFIG);
    UNIT_RC(cmk_store_open("somewhere", &options, &s), CMK_E_CONFIG);
    UNIT_RC(cmk_store_open("/nonexistent/store", &options, &s), CMK_E_NOT_FOUND);
    UNIT_RC(cmk_store_open(NULL, &options, &s), CMK_E_ARGUMENT);
    CU_ASSERT_PTR_NULL(s);
    cmk_store_close(NULL);
    cmk_store_abandon(NULL);
    cmk_record_clear(NULL);
    CU_ASSERT_STRING_EQUAL(cmk_store_directory(NULL), "");
}

static const unit_test tests[] = {
    {"atomic", test_atomic},     {"snapshot", test_snapshot},     {"compare-and-swap", test_compare_and_swap},
    {"index", test_index},       {"listing", test_listing},       {"generation", test_generation},
    {"limits", test_limits},     {"one-writer", test_one_writer}, {"threads", test_threads},
    {"attempts", test_attempts}, {"faults", test_faults},         {"urls", test_urls},
};
UNIT_MAIN("store-contract", tests)
