/* What the tests of keys, KEK use and objects share: a vault on a memory store and one on SQLite, made once a program,
 * and hand-written changes of records. */
#ifndef CMK_TESTS_KEYS_FIXTURE_H
#define CMK_TESTS_KEYS_FIXTURE_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/backend.h"
#include "tests/unit/unit.h"
#include "token/key.h"
#include "token/prepared.h"
#include "util/clock.h"

typedef struct fixture {
    cmk_store *store;
    cmk_core *core;
    cmk_vault *vault;
    cmk_login *officer;
} fixture;

static fixture fixtures[2]; /* memory, SQLite */
static char scratch[64];

#define B(text) cmk_bytes_str(text)

static inline cmk_store *new_store(bool sqlite)
{
    cmk_store *s = NULL;
    cmk_store_options options = {.create = true, .busy_timeout_ms = 30000};
    if (!sqlite) {
        CU_ASSERT_FATAL(cmk_store_memory_open(&s) == CMK_OK);
        return s;
    }
    if (!scratch[0]) {
        snprintf(scratch, sizeof scratch, "/tmp/cmk11-keys-XXXXXX");
        CU_ASSERT_FATAL(mkdtemp(scratch) != NULL);
    }
    CU_ASSERT_FATAL(cmk_store_open(scratch, &options, &s) == CMK_OK);
    return s;
}

static inline void log_in(fixture *f)
{
    const cmk_who user = {CMK_WHO_USER, {NULL, 0}};
    cmk_rc rc = cmk_login_open(f->vault, &user, B("user-pin-1234"), &f->officer);
    if (rc != CMK_OK)
        printf("login: %s: %s\n", cmk_rc_name(rc), cmk_fail_detail());
    CU_ASSERT_FATAL(rc == CMK_OK);
}

static inline void open_core(fixture *f, bool sqlite)
{
    cmk_config config = {.store = scratch};
    f->store = new_store(sqlite);
    CU_ASSERT_FATAL(cmk_core_open_store(f->store, &config, &f->core) == CMK_OK);
}

static inline fixture *fixture_get(bool sqlite)
{
    fixture *f = &fixtures[sqlite];
    cmk_vault_info info;
    if (f->core)
        return f;
    cmk_vault_spec spec = {.name = B("vault"),
                           .allow_ops = CMK_OP_WRAP | CMK_OP_UNWRAP | CMK_OP_DECRYPT,
                           .so_pin = B("so-pin-12345"),
                           .user_pin = B("user-pin-1234")};
    open_core(f, sqlite);
    cmk_rc rc = cmk_vault_create(f->core, &spec, CMK_SLOT_ANY, &info);
    if (rc != CMK_OK)
        printf("vault: %s: %s\n", cmk_rc_name(rc), cmk_fail_detail());
    CU_ASSERT_FATAL(rc == CMK_OK);
    CU_ASSERT_FATAL(cmk_vault_open_name(f->core, B("vault"), &f->vault) == CMK_OK);
    log_in(f);
    return f;
}

/* The same SQLite store as another process would have it open. */
static inline void second_process(fixture *f)
{
    (void)fixture_get(true);
    *f = (fixture){.store = NULL};
    open_core(f, true);
    CU_ASSERT_FATAL(cmk_vault_open_name(f->core, B("vault"), &f->vault) == CMK_OK);
    log_in(f);
}

static inline void fixture_close(fixture *f)
{
    if (!f->core)
        return;
    cmk_login_end(f->officer);
    cmk_login_put(f->officer);
    cmk_vault_put(f->vault);
    cmk_core_close(f->core);
    *f = (fixture){.store = NULL};
}

static inline void test_close(void)
{
    char command[100];
    fixture_close(&fixtures[0]);
    fixture_close(&fixtures[1]);
    snprintf(command, sizeof command, "rm -rf %s", scratch);
    if (scratch[0])
        CU_ASSERT_EQUAL(system(command), 0);
}

static inline cmk_rc create_key(fixture *f, const char *name, unsigned bits, bool again, cmk_version **out)
{
    const cmk_key_spec spec = {.name = B(name),
                               .bits = bits,
                               .or_new_version = again,
                               .ops = again ? 0 : CMK_OP_WRAP | CMK_OP_UNWRAP | CMK_OP_DECRYPT};
    cmk_rc rc = cmk_key_create(f->officer, &spec, out);
    if (rc != CMK_OK && rc != CMK_E_EXISTS)
        printf("create %s: %s: %s\n", name, cmk_rc_name(rc), cmk_fail_detail());
    return rc;
}

/* Changes a key's and a version's record, signed, as the life cycle will. */
static inline void change(fixture *f, cmk_version *v, void (*edit)(cmk_key_rec *key, cmk_version_rec *version))
{
    CMK_WRITER_AUTO *w = NULL;
    CMK_VIEW_AUTO *view = NULL;
    CMK_RECORD_AUTO key_row = {.revision = 0};
    CMK_RECORD_AUTO row = {.revision = 0};
    CMK_BUF_AUTO key_body = CMK_BUF_INIT;
    CMK_BUF_AUTO body = CMK_BUF_INIT;
    cmk_key_rec key;
    cmk_version_rec rec;
    CU_ASSERT_FATAL(cmk_writer_open(f->officer, &w) == CMK_OK);
    CU_ASSERT_FATAL(cmk_view_open(f->vault, CMK_TXN_WRITE, &w->signers, &view) == CMK_OK);
    CU_ASSERT_FATAL(cmk_key_read(view, &v->key, &key_row, &key) == CMK_OK);
    CU_ASSERT_FATAL(cmk_version_read(view, &v->key, v->number, &row, &rec) == CMK_OK);
    edit(&key, &rec);
    cmk_key_rec_encode(&key, &key_body);
    cmk_version_rec_encode(&rec, &body);
    UNIT_OK(cmk_view_put_body(view, &key_row.key, cmk_buf_view(&key_body), key_row.revision));
    UNIT_OK(cmk_view_put_body(view, &row.key, cmk_buf_view(&body), row.revision));
    UNIT_OK(cmk_view_commit(&view));
}

/* Flips one bit of the last byte (or removes the row), as somebody with write access to the store could. Calling flip
 * again takes it back. */
static inline void tamper(fixture *f, const cmk_record_key *key, bool remove)
{
    CMK_TXN_AUTO *t = NULL;
    CMK_RECORD_AUTO row = {.revision = 0};
    CU_ASSERT_FATAL(cmk_txn_begin(f->store, CMK_TXN_WRITE, &t) == CMK_OK);
    CU_ASSERT_FATAL(cmk_txn_get(t, key, &row) == CMK_OK);
    row.body.data[row.body.len - 1] ^= 1;
    UNIT_OK(cmk_txn_delete(t, key, row.revision));
    if (!remove)
        UNIT_OK(cmk_txn_put(t, &row, 0));
    UNIT_OK(cmk_txn_commit(&t));
}

/* Every test runs on both backends. */
#define BOTH(test)                                                                                                     \
    static void test##_memory(void)                                                                                    \
    {                                                                                                                  \
        test(fixture_get(false));                                                                                      \
    }                                                                                                                  \
    static void test##_sqlite(void)                                                                                    \
    {                                                                                                                  \
        test(fixture_get(true));                                                                                       \
    }
#define ROWS(test)                                                                                                     \
    {#test "_memory", test##_memory},                                                                                  \
    {                                                                                                                  \
#test "_sqlite", test##_sqlite                                                                                 \
    }

#endif
