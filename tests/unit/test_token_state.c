/* The state of a vault: records, trees, principals, logins. */
#include <pthread.h>
#include <sys/wait.h>

#include "tests/unit/token_fixture.h"
#include "token/object.h"

/* ---- codec ---- */

typedef struct codec_row {
    const char *name;
    size_t size;
    void (*encode)(const void *rec, cmk_buf *out);
    cmk_rc (*decode)(cmk_bytes body, void *rec);
    void (*fill)(void *rec);
} codec_row;

#define CODEC_WRAP(name)                                                                                               \
    static void name##_enc(const void *rec, cmk_buf *out)                                                              \
    {                                                                                                                  \
        cmk_##name##_encode((const struct cmk_##name *)rec, out);                                                      \
    }                                                                                                                  \
    static cmk_rc name##_dec(cmk_bytes body, void *rec)                                                                \
    {                                                                                                                  \
        return cmk_##name##_decode(body, (struct cmk_##name *)rec);                                                    \
    }
CODEC_WRAP(vault_rec)
CODEC_WRAP(principal_rec)
CODEC_WRAP(credential_rec)
CODEC_WRAP(key_rec)
CODEC_WRAP(version_rec)
CODEC_WRAP(object_rec)

static void fill_vault(void *p)
{
    cmk_vault_rec *r = p;
    *r = (cmk_vault_rec){.name = text("payments"),
                         .serial = text("0123456789abcdef"),
                         .slot = 3,
                         .state = 1,
                         .created = 5,
                         .retention_days = 90,
                         .allow_ops = 3,
                         .pin_attempts = 10,
                         .admin_generation = 1,
                         .officer_generation = 1,
                         .vault_key_generation = 1,
                         .object_key_generation = 1};
}

static void fill_principal(void *p)
{
    cmk_principal_rec *r = p;
    *r = (cmk_principal_rec){
        .name = text("user"), .role = CMK_ROLE_OFFICER, .state = CMK_PRINCIPAL_ACTIVE, .min_credential = 7};
}

static void fill_credential(void *p)
{
    static const uint8_t blob[160] = {1, 2, 3};
    cmk_credential_rec *r = p;
    *r =
        (cmk_credential_rec){.kdf = {.log2n = 16, .r = 8, .p = 1}, .host_secret_kind = 1, .blob = {blob, sizeof(blob)}};
}

static void fill_key(void *p)
{
    cmk_key_rec *r = p;
    *r = (cmk_key_rec){.name = text("orders"),
                       .enabled = 1,
                       .current = 2,
                       .versions = 2,
                       .last_number = 2,
                       .ops = 3,
                       .keykey_generation = 1,
                       .tags = text("tags")};
}

static void fill_version(void *p)
{
    static const uint8_t modulus[256] = {0x80};
    cmk_version_rec *r = p;
    *r = (cmk_version_rec){.number = 1,
                           .origin = CMK_ORIGIN_GENERATED,
                           .enabled = 1,
                           .bits = 2048,
                           .modulus = {modulus, sizeof(modulus)},
                           .exponent = text("\1"),
                           .cka_id = text("id"),
                           .mechanisms = 3,
                           .keykey_generation = 1};
}

static void fill_object(void *p)
{
    cmk_object_rec *r = p;
    *r = (cmk_object_rec){.is_private = 1, .object_key_generation = 1, .blob = text("blob"), .signature = text("s")};
}

static const codec_row codecs[] = {
    {"vault", sizeof(cmk_vault_rec), vault_rec_enc, vault_rec_dec, fill_vault},
    {"principal", sizeof(cmk_principal_rec), principal_rec_enc, principal_rec_dec, fill_principal},
    {"credential", sizeof(cmk_credential_rec), credential_rec_enc, credential_rec_dec, fill_credential},
    {"key", sizeof(cmk_key_rec), key_rec_enc, key_rec_dec, fill_key},
    {"version", sizeof(cmk_version_rec), version_rec_enc, version_rec_dec, fill_version},
    {"object", sizeof(cmk_object_rec), object_rec_enc, object_rec_dec, fill_object},
};

static void codec_round_trip(const codec_row *row)
{
    union {
        cmk_vault_rec v;
        cmk_version_rec n;
        uint8_t raw[1024];
    } one, two;
    CMK_BUF_AUTO body = CMK_BUF_INIT;
    CMK_BUF_AUTO again = CMK_BUF_INIT;
    CU_ASSERT(row->size <= sizeof(one));
    row->fill(&one);
    row->encode(&one, &body);
    UNIT_OK(row->decode(cmk_buf_view(&body), &two));
    row->encode(&two, &again);
    CU_ASSERT(cmk_bytes_equal(cmk_buf_view(&body), cmk_buf_view(&again)));
    bool has_rest = strcmp(row->name, "credential") == 0; /* its blob is the rest, so a shorter one is well-formed */
    for (size_t n = 0; n < body.len; n++) {
        uint8_t *cut = malloc(n + 1); /* exact size, so that a sanitizer sees a read beyond */
        if (!cut)
            return;
        memcpy(cut, body.data, n);
        uint8_t *exact = realloc(cut, n > 0 ? n : 1);
        cmk_rc rc = row->decode(cmk_bytes_of(exact ? exact : cut, n), &two);
        if (!has_rest || n + 160 < body.len)
            UNIT_RC(rc, CMK_E_FORMAT);
        free(exact ? exact : cut);
    }
    cmk_buf_u8(&body, 0);
    if (!has_rest)
        UNIT_RC(row->decode(cmk_buf_view(&body), &two), CMK_E_FORMAT);
    body.data[0] = 2;
    UNIT_RC(row->decode(cmk_buf_view(&body), &two), CMK_E_FORMAT);
}

static void test_codec(void)
{
    for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++)
        codec_round_trip(&codecs[i]);
}

/* ---- ordinary life ---- */

static void life(bool sqlite)
{
    world w;
    size_t n[3] = {0};
    uint32_t slot = 99;
    cmk_vault *other = NULL;
    if (!world_begin(&w, sqlite, true))
        return;
    CU_ASSERT_STRING_EQUAL(w.info.name, "payments");
    CU_ASSERT_EQUAL(strlen(w.info.serial), CMK_SERIAL_SIZE);
    CU_ASSERT(w.info.user_pin_set);
    CU_ASSERT_EQUAL(w.info.slot, 0);
    CU_ASSERT_EQUAL(w.info.retention_days, 90);
    CU_ASSERT_EQUAL(strncmp(w.info.fingerprint, "SHA256:", 7), 0);
    UNIT_OK(cmk_core_free_slot(w.core, &slot));
    CU_ASSERT_EQUAL(slot, 1);
    cmk_vault_spec spec = spec_of("payments", false);
    UNIT_RC(cmk_vault_create(w.core, &spec, CMK_SLOT_ANY, &w.info), CMK_E_EXISTS);
    spec.name = text("orders");
    UNIT_RC(cmk_vault_create(w.core, &spec, 0, &w.info), CMK_E_EXISTS);
    UNIT_OK(cmk_vault_create(w.core, &spec, 1, &w.info));
    CU_ASSERT(!w.info.user_pin_set);
    UNIT_OK(cmk_vault_list(w.core, true, count_vaults, n));
    CU_ASSERT(n[0] == 2 && n[1] == 0 && n[2] == 0);
    UNIT_OK(cmk_vault_open_slot(w.core, 1, &other));
    UNIT_RC(login_once(other, &USER, USER_PIN), CMK_E_PIN_NOT_SET);
    UNIT_OK(login_once(other, &SO, SO_PIN));
    cmk_vault_put(other);
    UNIT_RC(cmk_vault_open_name(w.core, text("nothing"), &other), CMK_E_NOT_FOUND);
    UNIT_OK(login_once(w.vault, &USER, USER_PIN));
    UNIT_RC(login_once(w.vault, &USER, "wrong"), CMK_E_PIN_INCORRECT);
    UNIT_RC(login_once(w.vault, &(cmk_who){.kind = CMK_WHO_NAMED, .name = text("nobody")}, "wrong"),
            CMK_E_PIN_INCORRECT);
    UNIT_RC(login_once(w.vault, &(cmk_who){.kind = CMK_WHO_NAMED, .name = text("so")}, SO_PIN), CMK_E_PIN_INCORRECT);
    world_end(&w);
}

static void test_life_memory(void)
{
    life(false);
}

static void test_life_sqlite(void)
{
    life(true);
}

static void test_lock_out(void)
{
    world w;
    cmk_login *so = NULL;
    cmk_pin_status status;
    if (!world_begin(&w, true, true))
        return;
    for (int i = 0; i < 10; i++)
        UNIT_RC(login_once(w.vault, &USER, "wrong"), CMK_E_PIN_INCORRECT);
    UNIT_RC(login_once(w.vault, &USER, USER_PIN), CMK_E_PIN_LOCKED);
    UNIT_OK(cmk_pin_get_status(w.vault, &USER, &status));
    CU_ASSERT(status.set && status.failures == 10 && status.threshold == 10);
    UNIT_OK(login(w.vault, &SO, SO_PIN, &so));
    UNIT_OK(cmk_pin_init_user(so, text("another-user-pin")));
    UNIT_OK(cmk_login_check(so));
    UNIT_RC(login_once(w.vault, &USER, USER_PIN), CMK_E_PIN_INCORRECT);
    UNIT_OK(login_once(w.vault, &USER, "another-user-pin"));
    cmk_login_put(so);
    world_end(&w);
}

static void test_pin_change(void)
{
    world w;
    cmk_login *user = NULL;
    cmk_login *so = NULL;
    if (!world_begin(&w, false, true))
        return;
    UNIT_OK(login(w.vault, &USER, USER_PIN, &user));
    UNIT_RC(cmk_pin_change(w.vault, &USER, text("wrong"), text("new-user-secret")), CMK_E_PIN_INCORRECT);
    UNIT_RC(cmk_pin_change(w.vault, &USER, text(USER_PIN), text("new:secret")), CMK_E_PIN_INVALID);
    UNIT_RC(cmk_pin_change(w.vault, &USER, text(USER_PIN), text("abc")), CMK_E_PIN_LENGTH);
    const cmk_who by_name = {.kind = CMK_WHO_NAMED, .name = text("user")};
    UNIT_RC(cmk_pin_change(w.vault, &by_name, text(USER_PIN), text("new:secret")), CMK_E_PIN_INVALID);
    UNIT_OK(cmk_pin_change(w.vault, &USER, text(USER_PIN), text("new-user-secret")));
    UNIT_OK(cmk_login_check(user)); /* one's own change ends nobody's login */
    UNIT_RC(login_once(w.vault, &USER, USER_PIN), CMK_E_PIN_INCORRECT);
    UNIT_OK(login_once(w.vault, &USER, "new-user-secret"));
    UNIT_RC(cmk_pin_init_user(user, text("reset-by-user")), CMK_E_FORBIDDEN);
    UNIT_OK(login(w.vault, &SO, SO_PIN, &so));
    UNIT_OK(cmk_pin_init_user(so, text("reset-by-so")));
    UNIT_RC(cmk_login_check(user), CMK_E_NOT_LOGGED_IN); /* a reset does */
    CU_ASSERT_PTR_NULL(user->unlocked);
    UNIT_OK(login_once(w.vault, &USER, "reset-by-so"));
    UNIT_OK(cmk_pin_change(w.vault, &SO, text(SO_PIN), text("new-so-secret")));
    UNIT_OK(login_once(w.vault, &SO, "new-so-secret"));
    cmk_login_put(user);
    cmk_login_put(so);
    world_end(&w);
}

static void test_reinit(void)
{
    world w;
    cmk_vault_info again;
    size_t n[3] = {0};
    cmk_login *user = NULL;
    if (!world_begin(&w, false, true))
        return;
    UNIT_OK(login(w.vault, &USER, USER_PIN, &user));
    UNIT_RC(cmk_vault_reinit(w.vault, text("fresh"), text("wrong"), &again), CMK_E_PIN_INCORRECT);
    UNIT_OK(cmk_vault_reinit(w.vault, text("fresh"), text(SO_PIN), &again));
    CU_ASSERT(again.slot == w.info.slot && strcmp(again.serial, w.info.serial) == 0 && !again.user_pin_set);
    UNIT_OK(cmk_vault_list(w.core, true, count_vaults, n));
    CU_ASSERT(n[0] == 1 && n[1] == 0); /* it never held an object: gone at once */
    UNIT_RC(cmk_login_check(user), CMK_E_NOT_LOGGED_IN);
    cmk_login_put(user);
    world_end(&w);
}

/* Puts a record into the officer tree, and none into the admin tree. */
static void use_once(cmk_vault *v, cmk_login *officer)
{
    cmk_view *view = NULL;
    cmk_signers signers;
    const cmk_id key_id = {{1}};
    const cmk_record_key key = cmk_rkey_id(&v->id, CMK_KIND_KEY, &key_id);
    const cmk_record_key vault = cmk_rkey(&v->id, CMK_KIND_VAULT, NULL, 0);
    cmk_rwlock_read(&officer->lock);
    cmk_login_signers(officer, &signers);
    UNIT_OK(cmk_view_open(v, CMK_TXN_WRITE, &signers, &view));
    UNIT_OK(cmk_view_put_body(view, &key, text("body"), 0));
    UNIT_RC(cmk_view_put_body(view, &vault, text("body"), 1), CMK_E_FORBIDDEN);
    UNIT_OK(cmk_view_commit(&view));
    cmk_rwlock_unlock(&officer->lock);
}

/* With a record in the officer tree the old vault stays, deleted. */
static void test_reinit_used(void)
{
    world w;
    cmk_vault_info again;
    size_t n[3] = {0};
    cmk_login *user = NULL;
    if (!world_begin(&w, false, true))
        return;
    UNIT_OK(login(w.vault, &USER, USER_PIN, &user));
    use_once(w.vault, user);
    UNIT_OK(cmk_vault_reinit(w.vault, text("payments"), text(SO_PIN), &again));
    CU_ASSERT_STRING_EQUAL(again.name, "payments");
    UNIT_OK(cmk_vault_list(w.core, false, count_vaults, n));
    CU_ASSERT(n[0] == 1);
    UNIT_OK(cmk_vault_list(w.core, true, count_vaults, n));
    CU_ASSERT(n[0] == 3 && n[2] == 1 && n[1] == 0);
    UNIT_RC(login_once(w.vault, &SO, SO_PIN), CMK_E_NOT_FOUND);
    cmk_login_put(user);
    world_end(&w);
}

/* What was right when a writer looked may be wrong once it is its turn to write. */
static void test_overtaken(void)
{
    world w;
    cmk_vault_info again;
    cmk_login *user = NULL;
    cmk_login *so = NULL;
    cmk_view *view = NULL;
    if (!world_begin(&w, false, true))
        return;
    UNIT_OK(login(w.vault, &USER, USER_PIN, &user));
    UNIT_OK(login(w.vault, &SO, SO_PIN, &so));
    UNIT_OK(cmk_view_open(w.vault, CMK_TXN_WRITE, NULL, &view));
    UNIT_OK(cmk_login_check_in(user, view));
    cmk_view_close(&view);
    UNIT_OK(cmk_pin_init_user(so, text("reset-by-so")));
    UNIT_OK(cmk_view_open(w.vault, CMK_TXN_WRITE, NULL, &view));
    UNIT_OK(cmk_login_check_in(so, view));
    UNIT_RC(cmk_login_check_in(user, view), CMK_E_NOT_LOGGED_IN);
    cmk_view_close(&view);
    cmk_login_put(user);
    UNIT_OK(login(w.vault, &USER, "reset-by-so", &user));
    use_once(w.vault, user);
    UNIT_OK(cmk_vault_reinit(w.vault, text("fresh"), text(SO_PIN), &again));
    UNIT_RC(cmk_view_open(w.vault, CMK_TXN_WRITE, NULL, &view), CMK_E_NOT_FOUND);
    cmk_view_close(&view);
    cmk_login_put(user);
    cmk_login_put(so);
    world_end(&w);
}

/* An object tree's root that was read without its key must not make an older one that was verified pass for fresh. */
static void test_object_root_fresh(void)
{
    world w;
    cmk_login *user = NULL;
    cmk_view *view = NULL;
    uint8_t mac[CMK_KEY_SIZE];
    const cmk_id id = {{7}};
    if (!world_begin(&w, false, true))
        return;
    UNIT_OK(login(w.vault, &USER, USER_PIN, &user));
    UNIT_OK(cmk_login_check(user));
    memcpy(mac, user->unlocked->object_mac, sizeof(mac));
    const cmk_signers signers = {.object_mac = mac, .principal = user->principal};
    cmk_login_end(user);
    cmk_login_put(user);
    CU_ASSERT_PTR_NULL(w.vault->object_mac);
    const cmk_record_key key = cmk_rkey_id(&w.vault->id, CMK_KIND_OBJECT, &id);
    cmk_core other = {.store = w.core->store, .config = w.core->config}; /* another process */
    cmk_vault *theirs = NULL;
    cmk_mutex_init(&other.lock, CMK_RANK_CORE, "test");
    UNIT_OK(cmk_vault_by_id(&other, &w.vault->id, &theirs));
    UNIT_OK(cmk_view_open(theirs, CMK_TXN_WRITE, &signers, &view));
    UNIT_OK(cmk_view_put_body(view, &key, text("body"), 0));
    UNIT_OK(cmk_view_commit(&view));
    UNIT_OK(cmk_vault_refresh(w.vault)); /* without the key */
    CMK_RECORD_AUTO row = {0};
    UNIT_OK(cmk_view_open(w.vault, CMK_TXN_READ, &signers, &view));
    UNIT_OK(cmk_view_get(view, &key, &row));
    cmk_view_close(&view);
    cmk_vault_put(theirs);
    cmk_vault_put(other.vaults);
    cmk_mutex_destroy(&other.lock);
    world_end(&w);
}

/* A child that was forked while other threads of its parent held locks gets rid of what it inherited all the same. */
static atomic_bool stop_busy;
static void *busy(void *vault)
{
    const cmk_id id = {{1}};
    while (!atomic_load(&stop_busy))
        cmk_object_forget(vault, &id);
    return NULL;
}

static void test_abandon(void)
{
    world w;
    pthread_t thread;
    if (!world_begin(&w, true, true))
        return;
    atomic_store(&stop_busy, false);
    CU_ASSERT_EQUAL(pthread_create(&thread, NULL, busy, w.vault), 0);
    for (int i = 0; i < 200; i++) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0) {
            cmk_lock_forked();
            (void)alarm(5);
            cmk_vault_put(w.vault); /* so that the last reference is the core's */
            cmk_core_abandon(w.core);
            _exit(0);
        }
        CU_ASSERT(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
        if (status != 0)
            break;
    }
    atomic_store(&stop_busy, true);
    (void)pthread_join(thread, NULL);
    world_end(&w);
}

/* A commit that takes place and says CMK_E_IO, as a disk that fails late may make it. */
static const cmk_store_ops *honest;
static bool lie;
static cmk_rc lying_commit(cmk_txn *t)
{
    cmk_rc rc = honest->commit(t);
    return rc == CMK_OK && lie ? CMK_E_IO : rc;
}

static void test_late_io_error(void)
{
    world w;
    cmk_vault_info info;
    cmk_login *so = NULL;
    if (!world_begin(&w, false, true))
        return;
    honest = w.core->store->ops;
    cmk_store_ops ops = *honest;
    ops.commit = lying_commit;
    w.core->store->ops = &ops;
    lie = true;
    const cmk_vault_spec spec = spec_of("late", true);
    UNIT_OK(cmk_vault_create(w.core, &spec, CMK_SLOT_ANY, &info));
    UNIT_OK(login(w.vault, &SO, SO_PIN, &so));
    UNIT_OK(cmk_pin_init_user(so, text("reset-by-so-late")));
    UNIT_OK(cmk_pin_change(w.vault, &USER, text("reset-by-so-late"), text(USER_PIN)));
    UNIT_OK(cmk_vault_reinit(w.vault, text("fresh"), text(SO_PIN), &info));
    lie = false;
    w.core->store->ops = honest;
    cmk_login_put(so);
    world_end(&w);
}

static void test_policy(void)
{
    CU_ASSERT(cmk_policy_allows(CMK_ROLE_OFFICER, CMK_ACT_KEY_CREATE));
    CU_ASSERT(!cmk_policy_allows(CMK_ROLE_ADMIN, CMK_ACT_UNWRAP));
    CU_ASSERT(!cmk_policy_allows(CMK_ROLE_ENCRYPTION_USER, CMK_ACT_KEY_ROTATE));
    CU_ASSERT(!cmk_policy_allows(CMK_ROLE_COUNT, CMK_ACT_LIST) && !cmk_policy_allows(CMK_ROLE_OFFICER, CMK_ACT_COUNT));
    for (int a = 0; a < CMK_ACT_COUNT; a++)
        CU_ASSERT(!cmk_policy_allows(CMK_ROLE_NONE, (cmk_action)a));
    uint32_t ops = 0;
    UNIT_OK(cmk_ops_parse("wrapKey,decrypt", &ops));
    CU_ASSERT_EQUAL(ops, CMK_OP_WRAP | CMK_OP_DECRYPT);
    UNIT_RC(cmk_ops_parse("wrapKey,", &ops), CMK_E_ARGUMENT);
}

/* A pinned fingerprint, right and wrong. */
static void test_pinned(void)
{
    world w;
    char name[] = "payments";
    char wrong[] = "SHA256:00";
    cmk_vault *v = NULL;
    if (!world_begin(&w, false, false))
        return;
    cmk_vault_pin pin = {name, w.info.fingerprint};
    w.core->config->pins = &pin;
    w.core->config->pin_count = 1;
    UNIT_OK(cmk_vault_open_name(w.core, text("payments"), &v));
    cmk_vault_put(v);
    pin.fingerprint = wrong;
    atomic_store(&w.vault->generation, 0);
    UNIT_RC(cmk_vault_open_name(w.core, text("payments"), &v), CMK_E_TAMPERED);
    w.core->config->pins = NULL;
    w.core->config->pin_count = 0;
    world_end(&w);
}

/* ---- many leaves ---- */

static void test_many_records(void)
{
    enum { KEYS = 3000 };
    world w;
    cmk_login *user = NULL;
    cmk_view *view = NULL;
    cmk_signers signers;
    if (!world_begin(&w, true, true))
        return;
    UNIT_OK(login(w.vault, &USER, USER_PIN, &user));
    cmk_rwlock_read(&user->lock);
    cmk_login_signers(user, &signers);
    UNIT_OK(cmk_view_open(w.vault, CMK_TXN_WRITE, &signers, &view));
    for (uint32_t i = 0; i < KEYS && view; i++) {
        cmk_id id = {{(uint8_t)(i >> 8), (uint8_t)i, 9}};
        char name[16];
        const cmk_record_key key = cmk_rkey_id(&w.vault->id, CMK_KIND_KEY, &id);
        (void)snprintf(name, sizeof(name), "key-%u", i);
        UNIT_OK(cmk_view_put_body(view, &key, text(name), 0));
        UNIT_OK(cmk_view_index(view, CMK_INDEX_KEY_NAME, text(name), id.b, CMK_ID_SIZE));
        if (i % 3 == 0)
            UNIT_RC(cmk_view_index(view, CMK_INDEX_KEY_NAME, text(name), id.b, CMK_ID_SIZE), CMK_E_EXISTS);
    }
    UNIT_OK(cmk_view_commit(&view));
    UNIT_OK(cmk_view_open(w.vault, CMK_TXN_WRITE, &signers, &view));
    for (uint32_t i = 0; i < KEYS && view; i += 2) {
        cmk_id id = {{(uint8_t)(i >> 8), (uint8_t)i, 9}};
        const cmk_record_key key = cmk_rkey_id(&w.vault->id, CMK_KIND_KEY, &id);
        UNIT_OK(cmk_view_delete(view, &key, 1));
    }
    UNIT_OK(cmk_view_commit(&view));
    cmk_rwlock_unlock(&user->lock);
    UNIT_OK(cmk_view_open(w.vault, CMK_TXN_READ, NULL, &view));
    CU_ASSERT_EQUAL(cmk_view_count(view, CMK_KIND_KEY), KEYS / 2);
    for (uint32_t i = 0; i < KEYS && view; i += 7) {
        CMK_RECORD_AUTO row = {0};
        cmk_id id = {{(uint8_t)(i >> 8), (uint8_t)i, 9}};
        uint8_t found[CMK_RECORD_ID_MAX];
        size_t len = 0;
        char name[16];
        const cmk_record_key key = cmk_rkey_id(&w.vault->id, CMK_KIND_KEY, &id);
        (void)snprintf(name, sizeof(name), "key-%u", i);
        UNIT_RC(cmk_view_get(view, &key, &row), i % 2 ? CMK_OK : CMK_E_NOT_FOUND);
        UNIT_OK(cmk_view_lookup(view, CMK_INDEX_KEY_NAME, text(name), found, &len));
        CU_ASSERT(len == CMK_ID_SIZE && memcmp(found, id.b, len) == 0);
    }
    cmk_view_close(&view);
    cmk_login_put(user);
    world_end(&w);
}

/* ---- several threads: readers with older transactions than the writer's state see no roll-back ---- */

typedef struct reader {
    pthread_t thread;
    world *w;
    cmk_login *so;
    atomic_bool *stop;
    unsigned looks;
    cmk_rc rc;
} reader;

static void *read_on(void *ctx)
{
    reader *r = ctx;
    r->rc = CMK_OK;
    while (r->rc == CMK_OK && (!atomic_load(r->stop) || r->looks < 10)) {
        CMK_PRINCIPAL_AUTO user = {0};
        cmk_view *view = NULL;
        r->rc = cmk_login_check(r->so);
        if (r->rc == CMK_OK)
            r->rc = cmk_view_open(r->w->vault, CMK_TXN_READ, NULL, &view);
        if (r->rc == CMK_OK)
            r->rc = cmk_principal_read(view, text("user"), false, &user);
        cmk_view_close(&view);
        r->looks++;
    }
    return NULL;
}

static void threads(bool sqlite)
{
    enum { READERS = 3 };
    world w;
    reader readers[READERS];
    atomic_bool stop;
    cmk_login *so = NULL;
    atomic_init(&stop, false);
    if (!world_begin(&w, sqlite, true))
        return;
    UNIT_OK(login(w.vault, &SO, SO_PIN, &so));
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = (reader){.w = &w, .so = so, .stop = &stop};
        CU_ASSERT_EQUAL(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]), 0);
    }
    for (int i = 0; i < 30; i++) {
        UNIT_OK(cmk_pin_init_user(so, text(USER_PIN)));
        UNIT_OK(login_once(w.vault, &USER, USER_PIN));
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < READERS; i++) {
        (void)pthread_join(readers[i].thread, NULL);
        UNIT_OK(readers[i].rc);
    }
    cmk_login_put(so);
    world_end(&w);
}

static void test_threads_memory(void)
{
    threads(false);
}

static void test_threads_sqlite(void)
{
    threads(true);
}

static const unit_test tests[] = {
    {"codec", test_codec},
    {"policy", test_policy},
    {"overtaken", test_overtaken},
    {"late-io-error", test_late_io_error},
    {"object-root-fresh", test_object_root_fresh},
    {"abandon", test_abandon},
    {"life-memory", test_life_memory},
    {"life-sqlite", test_life_sqlite},
    {"lock-out", test_lock_out},
    {"pin-change", test_pin_change},
    {"reinit", test_reinit},
    {"reinit-used", test_reinit_used},
    {"many-records", test_many_records},
    {"pinned", test_pinned},
    {"threads-memory", test_threads_memory},
    {"threads-sqlite", test_threads_sqlite},
};
UNIT_MAIN("token-state", tests)
