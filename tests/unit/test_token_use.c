/* Using KEKs: every mechanism, what is refused, the fall-back over versions, threads. */
#include "tests/unit/keys_fixture.h"

static const cmk_wrap_mech oaep = {.kind = CMK_WRAP_OAEP, .hash = CMK_USE_SHA256, .mgf = CMK_USE_SHA256};
static const uint8_t dek[32] = {1, 2, 3, 4, 5};

static cmk_version *key_of(fixture *f, const char *name, unsigned bits, bool again)
{
    cmk_version *v = NULL;
    CU_ASSERT_FATAL(create_key(f, name, bits, again, &v) == CMK_OK);
    return v;
}

static cmk_rc wrap(fixture *f, cmk_version *v, const cmk_wrap_mech *m, cmk_buf *out)
{
    cmk_buf_reset(out);
    return cmk_kek_wrap(f->officer, v, m, cmk_bytes_of(dek, sizeof dek), out);
}

static cmk_rc unwrap(fixture *f, cmk_version *v, const cmk_wrap_mech *m, const cmk_buf *wrapped)
{
    CMK_SECRET_AUTO plain = CMK_SECRET_INIT;
    cmk_rc rc = cmk_kek_unwrap(f->officer, v, CMK_ACT_UNWRAP, m, cmk_buf_view(wrapped), &plain);
    if (rc == CMK_OK && (plain.len != sizeof dek || memcmp(plain.data, dek, sizeof dek) != 0))
        return CMK_E_INTERNAL;
    return rc;
}

static void every_mechanism(fixture *f)
{
    cmk_version *v = key_of(f, "mechanisms", 2048, false);
    CMK_BUF_AUTO wrapped = CMK_BUF_INIT;
    size_t size = 0;
    for (int kind = 0; kind < 2; kind++)
        for (int hash = CMK_USE_SHA1; hash <= CMK_USE_SHA512; hash++)
            for (unsigned i = 0; i < 3; i++) {
                cmk_wrap_mech m = {.kind = kind ? CMK_WRAP_RSA_AES : CMK_WRAP_OAEP,
                                   .hash = (cmk_hash_id)hash,
                                   .mgf = (cmk_hash_id)(1 + (hash + (int)i) % 5),
                                   .aes_bits = 128 + 64 * i};
                m.label = i == 1 ? B("a label") : (cmk_bytes){NULL, 0};
                UNIT_OK(wrap(f, v, &m, &wrapped));
                UNIT_OK(cmk_kek_wrapped_size(v, &m, sizeof dek, &size));
                CU_ASSERT_EQUAL(size, wrapped.len);
                UNIT_OK(unwrap(f, v, &m, &wrapped));
                m.label = B("another label");
                UNIT_RC(unwrap(f, v, &m, &wrapped), CMK_E_WRAPPED_KEY);
            }
    UNIT_OK(wrap(f, v, &oaep, &wrapped));
    CMK_SECRET_AUTO plain = CMK_SECRET_INIT;
    UNIT_OK(cmk_kek_unwrap(f->officer, v, CMK_ACT_DECRYPT, &oaep, cmk_buf_view(&wrapped), &plain));
    cmk_version_put(v);
}
BOTH(every_mechanism)

static void wrong_input(fixture *f)
{
    cmk_version *v = key_of(f, "wrong", 2048, false);
    CMK_BUF_AUTO wrapped = CMK_BUF_INIT;
    CMK_SECRET_AUTO plain = CMK_SECRET_INIT;
    static const uint8_t big[66000];
    size_t size = 0;
    const cmk_wrap_mech aes = {.kind = CMK_WRAP_RSA_AES, .hash = CMK_USE_SHA1, .mgf = CMK_USE_SHA1, .aes_bits = 256};
    cmk_wrap_mech bad = aes;
    bad.aes_bits = 100;
    UNIT_RC(wrap(f, v, &bad, &wrapped), CMK_E_MECHANISM_PARAM);
    bad = oaep;
    bad.mgf = (cmk_hash_id)9;
    UNIT_RC(wrap(f, v, &bad, &wrapped), CMK_E_MECHANISM_PARAM);
    UNIT_RC(cmk_kek_wrapped_size(v, &oaep, 191, &size), CMK_E_DATA_LENGTH);
    UNIT_RC(cmk_kek_wrap(f->officer, v, &oaep, cmk_bytes_of(big, 191), &wrapped), CMK_E_DATA_LENGTH);
    UNIT_RC(cmk_kek_wrap(f->officer, v, &aes, cmk_bytes_of(big, sizeof big), &wrapped), CMK_E_DATA_LENGTH);
    CU_ASSERT_EQUAL(wrapped.len, 0);
    const struct {
        const cmk_wrap_mech *m;
        size_t len;
        cmk_rc rc;
    } rows[] = {{&oaep, 0, CMK_E_WRAPPED_KEY_LENGTH},        {&oaep, 255, CMK_E_WRAPPED_KEY_LENGTH},
                {&oaep, 384, CMK_E_WRAPPED_KEY_LENGTH},      {&oaep, 256, CMK_E_WRAPPED_KEY},
                {&aes, 256, CMK_E_WRAPPED_KEY_LENGTH},       {&aes, 264, CMK_E_WRAPPED_KEY_LENGTH},
                {&aes, 273, CMK_E_WRAPPED_KEY_LENGTH},       {&aes, 272, CMK_E_WRAPPED_KEY},
                {&aes, sizeof big, CMK_E_WRAPPED_KEY_LENGTH}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        UNIT_RC(cmk_kek_unwrap(f->officer, v, CMK_ACT_UNWRAP, rows[i].m, cmk_bytes_of(big, rows[i].len), &plain),
                rows[i].rc);
    for (int i = 0; i < 2; i++) {
        UNIT_OK(wrap(f, v, i ? &aes : &oaep, &wrapped));
        wrapped.data[i ? wrapped.len - 1 : 5] ^= 1; /* in either part */
        UNIT_RC(unwrap(f, v, i ? &aes : &oaep, &wrapped), CMK_E_WRAPPED_KEY);
    }
    UNIT_RC(cmk_kek_unwrap(f->officer, v, CMK_ACT_WRAP, &oaep, cmk_buf_view(&wrapped), &plain), CMK_E_ARGUMENT);
    UNIT_RC(cmk_kek_unwrap(NULL, v, CMK_ACT_UNWRAP, &oaep, cmk_bytes_of(big, 256), &plain), CMK_E_NOT_LOGGED_IN);
    UNIT_RC(cmk_kek_wrap(NULL, v, &oaep, B("x"), &wrapped), CMK_E_NOT_LOGGED_IN);
    cmk_version_put(v);
}
BOTH(wrong_input)

static void edit_disable(cmk_key_rec *key, cmk_version_rec *version)
{
    (void)key;
    version->enabled = 0;
}

static void edit_enable(cmk_key_rec *key, cmk_version_rec *version)
{
    key->enabled = version->enabled = 1;
    key->deleted_at = 0;
}

static void edit_key_disable(cmk_key_rec *key, cmk_version_rec *version)
{
    (void)version;
    key->enabled = 0;
}

static void edit_key_delete(cmk_key_rec *key, cmk_version_rec *version)
{
    (void)version;
    key->deleted_at = 1000;
}

static void edit_unwrap_only(cmk_key_rec *key, cmk_version_rec *version)
{
    (void)version;
    key->ops = CMK_OP_UNWRAP;
}

static void fall_back(fixture *f)
{
    CMK_BUF_AUTO old = CMK_BUF_INIT;
    CMK_BUF_AUTO big = CMK_BUF_INIT;
    CMK_BUF_AUTO aes = CMK_BUF_INIT;
    const cmk_wrap_mech rsa_aes = {
        .kind = CMK_WRAP_RSA_AES, .hash = CMK_USE_SHA256, .mgf = CMK_USE_SHA256, .aes_bits = 256};
    cmk_version *v1 = key_of(f, "rotated", 2048, false);
    UNIT_OK(wrap(f, v1, &oaep, &old));
    UNIT_OK(wrap(f, v1, &rsa_aes, &aes));
    cmk_version *v2 = key_of(f, "rotated", 2048, true);
    cmk_version *v3 = key_of(f, "rotated", 3072, true);
    UNIT_OK(wrap(f, v3, &oaep, &big));
    CU_ASSERT_EQUAL(big.len, 384);
    cmk_version *all[] = {v1, v2, v3};
    for (size_t round = 0; round < 2; round++)
        for (size_t i = 0; i < 3; i++) {
            UNIT_OK(unwrap(f, all[i], &oaep, &old));
            UNIT_OK(unwrap(f, all[i], &oaep, &big));
            UNIT_OK(unwrap(f, all[i], &rsa_aes, &aes));
        }
    CU_ASSERT_TRUE(atomic_load(&v2->fell_back)); /* repeated unwraps ask the hint first */
    change(f, v1, edit_disable);                 /* felt by the next operation, whatever the hint says */
    UNIT_RC(unwrap(f, v3, &oaep, &old), CMK_E_WRAPPED_KEY);
    UNIT_RC(unwrap(f, v2, &rsa_aes, &aes), CMK_E_WRAPPED_KEY);
    UNIT_RC(unwrap(f, v1, &oaep, &big), CMK_E_KEY_NOT_PERMITTED); /* the handle's own version decides */
    UNIT_RC(unwrap(f, v1, &oaep, &old), CMK_E_KEY_NOT_PERMITTED);
    change(f, v1, edit_enable);
    UNIT_OK(unwrap(f, v3, &oaep, &old));
    cmk_version_put(v1);
    cmk_version_put(v2);
    cmk_version_put(v3);
}
BOTH(fall_back)

static void refused_states(fixture *f)
{
    static const struct {
        void (*edit)(cmk_key_rec *key, cmk_version_rec *version);
        cmk_rc wraps, unwraps;
    } rows[] = {{edit_disable, CMK_E_KEY_NOT_PERMITTED, CMK_E_KEY_NOT_PERMITTED},
                {edit_key_disable, CMK_E_KEY_NOT_PERMITTED, CMK_E_KEY_NOT_PERMITTED},
                {edit_key_delete, CMK_E_KEY_NOT_PERMITTED, CMK_E_KEY_NOT_PERMITTED},
                {edit_unwrap_only, CMK_E_KEY_NOT_PERMITTED, CMK_OK}};
    CMK_BUF_AUTO wrapped = CMK_BUF_INIT;
    CMK_BUF_AUTO again = CMK_BUF_INIT;
    cmk_version *v = key_of(f, "states", 2048, false);
    UNIT_OK(wrap(f, v, &oaep, &wrapped));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        change(f, v, rows[i].edit);
        UNIT_RC(wrap(f, v, &oaep, &again), rows[i].wraps);
        UNIT_RC(cmk_kek_check(f->officer, v, CMK_ACT_WRAP), rows[i].wraps);
        UNIT_RC(unwrap(f, v, &oaep, &wrapped), rows[i].unwraps);
        change(f, v, edit_enable);
        UNIT_OK(unwrap(f, v, &oaep, &wrapped));
    }
    cmk_version_put(v);
}
BOTH(refused_states)

static int64_t pretended;
static int64_t fake_clock(void)
{
    return pretended;
}

static void validity(fixture *f)
{
    CMK_BUF_AUTO wrapped = CMK_BUF_INIT;
    CMK_BUF_AUTO again = CMK_BUF_INIT;
    cmk_version *v = NULL;
    int64_t now = cmk_now();
    const cmk_key_spec spec = {.name = B("valid"), .bits = 2048, .not_before = now + 1000, .expires = now + 2000};
    CU_ASSERT_FATAL(cmk_key_create(f->officer, &spec, &v) == CMK_OK);
    const struct {
        int64_t at;
        cmk_rc rc;
    } rows[] = {{1000, CMK_OK},
                {0, CMK_E_KEY_NOT_PERMITTED},
                {999, CMK_E_KEY_NOT_PERMITTED},
                {1999, CMK_OK},
                {2000, CMK_E_KEY_NOT_PERMITTED}};
    cmk_clock_set(fake_clock);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        pretended = now + rows[i].at;
        UNIT_RC(wrap(f, v, &oaep, i ? &again : &wrapped), rows[i].rc);
        UNIT_OK(unwrap(f, v, &oaep, &wrapped)); /* always unwraps */
    }
    cmk_clock_set(NULL);
    cmk_version_put(v);
}
BOTH(validity)

static void ended_login(fixture *f)
{
    CMK_BUF_AUTO wrapped = CMK_BUF_INIT;
    cmk_version *v = key_of(f, "logout", 2048, false);
    UNIT_OK(wrap(f, v, &oaep, &wrapped));
    UNIT_OK(unwrap(f, v, &oaep, &wrapped));
    cmk_login *old = f->officer;
    cmk_login_end(old);
    UNIT_RC(unwrap(f, v, &oaep, &wrapped), CMK_E_NOT_LOGGED_IN);
    log_in(f);
    cmk_login_put(old);
    UNIT_OK(unwrap(f, v, &oaep, &wrapped));
    cmk_version_put(v);
}
BOTH(ended_login)

/* A change by another process is felt by the next operation. */
static void other_process(void)
{
    fixture *f = fixture_get(true);
    fixture other;
    CMK_BUF_AUTO wrapped = CMK_BUF_INIT;
    second_process(&other);
    cmk_version *v = key_of(f, "shared", 2048, false);
    cmk_version *w = NULL;
    UNIT_OK(wrap(f, v, &oaep, &wrapped));
    UNIT_OK(unwrap(f, v, &oaep, &wrapped));
    CU_ASSERT_FATAL(cmk_version_find(other.vault, CMK_BY_KEY_NAME, B("shared"), &w) == CMK_OK);
    UNIT_OK(unwrap(&other, w, &oaep, &wrapped));
    change(&other, w, edit_disable);
    UNIT_RC(unwrap(f, v, &oaep, &wrapped), CMK_E_KEY_NOT_PERMITTED);
    change(f, v, edit_enable);
    UNIT_OK(unwrap(&other, w, &oaep, &wrapped));
    cmk_version_put(w);
    cmk_version *v2 = key_of(f, "shared", 2048, true);
    CU_ASSERT_FATAL(cmk_version_find(other.vault, CMK_BY_KEY_NAME, B("shared"), &w) == CMK_OK);
    CU_ASSERT(cmk_id_equal(cmk_version_id(w), cmk_version_id(v2)));
    UNIT_OK(unwrap(&other, w, &oaep, &wrapped));
    cmk_version_put(w);
    cmk_version_put(v);
    cmk_version_put(v2);
    fixture_close(&other);
}

#define THREADS 8
typedef struct worker {
    fixture *f;
    cmk_version *v;
    const cmk_buf *wrapped;
    atomic_bool *stop;
    unsigned done, failed;
} worker;

static void *work(void *ctx)
{
    worker *w = ctx;
    while (!atomic_load(w->stop) || w->done < 5) {
        cmk_rc rc = unwrap(w->f, w->v, &oaep, w->wrapped);
        if (rc != CMK_OK && w->failed++ == 0)
            printf("thread: %s: %s\n", cmk_rc_name(rc), cmk_fail_detail());
        w->done++;
    }
    return NULL;
}

/* Many threads unwrap with one version, which is loaded once, while others are added and what opens them changes. */
static void many_threads(fixture *f)
{
    pthread_t t[THREADS];
    worker w[THREADS];
    atomic_bool stop = false;
    CMK_BUF_AUTO wrapped = CMK_BUF_INIT;
    cmk_version *v = key_of(f, "threads", 2048, false);
    cmk_version *newest = NULL;
    UNIT_OK(wrap(f, v, &oaep, &wrapped));
    cmk_version *second = key_of(f, "threads", 2048, true);
    for (size_t i = 0; i < THREADS; i++) {
        w[i] = (worker){f, i % 2 ? v : second, &wrapped, &stop, 0, 0};
        CU_ASSERT_FATAL(pthread_create(&t[i], NULL, work, &w[i]) == 0);
    }
    for (size_t i = 0; i < 4; i++) {
        cmk_version_put(newest);
        newest = key_of(f, "threads", 2048, true);
        change(f, second, edit_enable);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
        CU_ASSERT_EQUAL(w[i].failed, 0);
    }
    UNIT_OK(unwrap(f, newest, &oaep, &wrapped));
    cmk_version_put(newest);
    cmk_version_put(second);
    cmk_version_put(v);
}
BOTH(many_threads)

static const unit_test tests[] = {
    ROWS(every_mechanism),
    ROWS(wrong_input),
    ROWS(fall_back),
    ROWS(refused_states),
    ROWS(validity),
    ROWS(ended_login),
    {"other_process", other_process},
    ROWS(many_threads),
    {"close", test_close},
};
UNIT_MAIN("token_use", tests)
