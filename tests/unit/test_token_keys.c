/* Keys and versions: creating, naming, finding, listing, undoing, races, tampered rows. */
#include "tests/unit/keys_fixture.h"

typedef struct seen {
    size_t count;
    char last[CMK_KEY_NAME_MAX + 1];
    uint32_t numbers[8];
    bool sorted;
} seen;

static cmk_rc see_key(void *ctx, const cmk_key_info *key)
{
    seen *s = ctx;
    if (s->count++ > 0 && strcmp(s->last, key->name) >= 0)
        s->sorted = false;
    memcpy(s->last, key->name, sizeof s->last);
    return CMK_OK;
}

static cmk_rc see_version_info(void *ctx, const cmk_version_info *v)
{
    seen *s = ctx;
    if (s->count < 8)
        s->numbers[s->count] = v->number;
    s->count++;
    return CMK_OK;
}

static cmk_rc see_version(void *ctx, cmk_version *v)
{
    seen *s = ctx;
    cmk_version_info info;
    s->count++;
    return cmk_version_get_info(v, &info); /* a visitor may use the vault */
}

static void create_and_find(fixture *f)
{
    cmk_version *v = NULL;
    cmk_version *w = NULL;
    cmk_key_info key;
    cmk_version_info info;
    CMK_BUF_AUTO certificate = CMK_BUF_INIT;
    CU_ASSERT_FATAL(create_key(f, "orders", 2048, false, &v) == CMK_OK);
    UNIT_RC(create_key(f, "orders", 2048, false, NULL), CMK_E_EXISTS);
    UNIT_OK(cmk_version_get_info(v, &info));
    CU_ASSERT(info.number == 1 && info.bits == 2048 && info.current && info.enabled && info.key_enabled);
    CU_ASSERT_STRING_EQUAL(info.key_name, "orders");
    CU_ASSERT(info.cka_id_len == CMK_ID_SIZE && memcmp(info.cka_id, info.id.b, CMK_ID_SIZE) == 0);
    UNIT_OK(cmk_key_find(f->vault, B("orders"), false, &key));
    CU_ASSERT(key.current == 1 && key.versions == 1 && key.enabled && cmk_id_equal(&key.id, &info.key_id));
    UNIT_RC(cmk_key_find(f->vault, B("nobody"), true, &key), CMK_E_NOT_FOUND);
    UNIT_RC(cmk_version_find(f->vault, CMK_BY_KEY_NAME, B("nobody"), &w), CMK_E_NOT_FOUND);
    const struct {
        cmk_version_by by;
        cmk_bytes value;
    } ways[] = {{CMK_BY_KEY_NAME, B("orders")},
                {CMK_BY_VERSION_ID, cmk_bytes_of(info.id.b, CMK_ID_SIZE)},
                {CMK_BY_CKA_ID, cmk_bytes_of(info.id.b, CMK_ID_SIZE)},
                {CMK_BY_MODULUS, cmk_version_modulus(v)}};
    for (size_t i = 0; i < 8; i++) {
        UNIT_OK(cmk_version_find(f->vault, ways[i % 4].by, ways[i % 4].value, &w));
        CU_ASSERT_PTR_EQUAL(w, v);
        cmk_version_put(w);
    }
    CU_ASSERT(cmk_version_public_info(v).len > 256 && cmk_version_exponent(v).len == 3);
    UNIT_OK(cmk_version_certificate(v, &certificate));
    CU_ASSERT(certificate.len > 400 && certificate.data[0] == 0x30);
    cmk_version_put(v);
}
BOTH(create_and_find)

static void versions_and_listing(fixture *f)
{
    cmk_version *v1 = NULL;
    cmk_version *v2 = NULL;
    cmk_version *w = NULL;
    cmk_version_info info;
    seen s = {.sorted = true};
    CU_ASSERT_FATAL(create_key(f, "listing", 2048, false, &v1) == CMK_OK);
    CU_ASSERT_FATAL(create_key(f, "listing", 3072, true, &v2) == CMK_OK);
    UNIT_OK(cmk_version_get_info(v1, &info));
    CU_ASSERT_FALSE(info.current);
    UNIT_OK(cmk_version_get_info(v2, &info));
    CU_ASSERT(info.current && info.number == 2 && info.bits == 3072);
    UNIT_OK(cmk_version_find(f->vault, CMK_BY_KEY_NAME, B("listing"), &w));
    CU_ASSERT_PTR_EQUAL(w, v2);
    cmk_version_put(w);
    UNIT_OK(cmk_key_versions(f->vault, &info.key_id, see_version_info, &s));
    CU_ASSERT(s.count == 2 && s.numbers[0] == 2 && s.numbers[1] == 1);
    s = (seen){.sorted = true};
    CU_ASSERT_FATAL(create_key(f, "a-first", 2048, false, NULL) == CMK_OK);
    UNIT_OK(cmk_key_list(f->vault, false, see_key, &s));
    CU_ASSERT(s.count >= 2 && s.sorted);
    size_t keys = s.count;
    s = (seen){.sorted = true};
    UNIT_OK(cmk_version_each(f->vault, false, see_version, &s));
    CU_ASSERT_EQUAL(s.count, keys);
    size_t current = s.count;
    s = (seen){.sorted = true};
    UNIT_OK(cmk_version_each(f->vault, true, see_version, &s));
    CU_ASSERT(s.count > current);
    s = (seen){.sorted = true};
    UNIT_OK(cmk_key_list(f->vault, true, see_key, &s));
    CU_ASSERT_EQUAL(s.count, 0);
    cmk_version_put(v1);
    cmk_version_put(v2);
}
BOTH(versions_and_listing)

static void refused_specs(fixture *f)
{
    const int64_t now = cmk_now();
    const cmk_tag tags[] = {{"env", "test"}, {"env", "again"}};
    static uint8_t long_id[CMK_CKA_ID_MAX + 1];
    const struct {
        cmk_key_spec spec;
        cmk_rc rc;
    } rows[] = {
        {{.name = B("bad/name"), .bits = 2048}, CMK_E_NAME},
        {{.name = B("-bad"), .bits = 2048}, CMK_E_NAME},
        {{.name = B("bad"), .bits = 1024}, CMK_E_KEY_SIZE},
        {{.name = B("bad"), .bits = 2048, .expires = now - 1}, CMK_E_ARGUMENT},
        {{.name = B("bad"), .bits = 2048, .not_before = now + 10, .expires = now + 10}, CMK_E_ARGUMENT},
        {{.name = B("bad"), .bits = 2048, .not_before = -1}, CMK_E_ARGUMENT},
        {{.name = B("bad"), .bits = 2048, .ops = 0x80}, CMK_E_KEY_NOT_PERMITTED},
        {{.name = B("bad"), .bits = 2048, .tags = tags, .tag_count = 2}, CMK_E_ARGUMENT},
        {{.name = B("bad"), .bits = 2048, .cka_id = {long_id, sizeof long_id}}, CMK_E_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        UNIT_RC(cmk_key_create(f->officer, &rows[i].spec, NULL), rows[i].rc);
    UNIT_RC(cmk_key_create(NULL, &rows[0].spec, NULL), CMK_E_NOT_LOGGED_IN);
}
BOTH(refused_specs)

static void cka_ids_and_tags(fixture *f)
{
    cmk_version *v = NULL;
    cmk_version *w = NULL;
    cmk_key_info key;
    const cmk_tag tags[] = {{"env", "test"}, {"owner", ""}};
    cmk_key_spec spec = {.name = B("own-id"), .bits = 2048, .cka_id = B("my-id"), .tags = tags, .tag_count = 2};
    CU_ASSERT_FATAL(cmk_key_create(f->officer, &spec, &v) == CMK_OK);
    UNIT_OK(cmk_version_find(f->vault, CMK_BY_CKA_ID, B("my-id"), &w));
    CU_ASSERT_PTR_EQUAL(w, v);
    cmk_version_put(w);
    spec.name = B("own-id-2");
    UNIT_RC(cmk_key_create(f->officer, &spec, NULL), CMK_E_EXISTS);
    spec.cka_id = cmk_bytes_of(cmk_version_id(v)->b, CMK_ID_SIZE); /* another's version id */
    UNIT_RC(cmk_key_create(f->officer, &spec, NULL), CMK_E_EXISTS);
    UNIT_OK(cmk_key_find(f->vault, B("own-id"), false, &key));
    CU_ASSERT(key.tag_count == 2 && strcmp(key.tags[0].value, "test") == 0 && strcmp(key.tags[1].name, "owner") == 0);
    spec = (cmk_key_spec){.bits = 2048, .expires = cmk_now() + 100};
    cmk_version_info info;
    cmk_version *unnamed = NULL;
    char hex[2 * CMK_ID_SIZE + 1];
    CU_ASSERT_FATAL(cmk_key_create(f->officer, &spec, &unnamed) == CMK_OK);
    UNIT_OK(cmk_version_get_info(unnamed, &info));
    CU_ASSERT_STRING_EQUAL(info.key_name, cmk_id_hex(&info.key_id, hex));
    CU_ASSERT_EQUAL(info.expires, spec.expires);
    cmk_version_put(unnamed);
    cmk_version_put(v);
}
BOTH(cka_ids_and_tags)

static void undo_versions(fixture *f)
{
    cmk_version *v1 = NULL;
    cmk_version *v2 = NULL;
    cmk_version *v3 = NULL;
    cmk_key_info key;
    cmk_version_info info;
    CU_ASSERT_FATAL(create_key(f, "undone", 2048, false, &v1) == CMK_OK);
    CU_ASSERT_FATAL(create_key(f, "undone", 2048, true, &v2) == CMK_OK);
    UNIT_RC(cmk_key_undo_version(f->officer, v1), CMK_E_ACTION_PROHIBITED); /* not the newest */
    UNIT_OK(cmk_key_undo_version(f->officer, v2));
    UNIT_RC(cmk_version_get_info(v2, &info), CMK_E_NOT_FOUND);
    UNIT_OK(cmk_key_find(f->vault, B("undone"), false, &key));
    CU_ASSERT(key.current == 1 && key.versions == 1);
    CU_ASSERT_FATAL(create_key(f, "undone", 2048, true, &v3) == CMK_OK);
    UNIT_OK(cmk_version_get_info(v3, &info));
    CU_ASSERT_EQUAL(info.number, 3); /* no number is given twice */
    UNIT_OK(cmk_key_undo_version(f->officer, v3));
    UNIT_OK(cmk_key_undo_version(f->officer, v1)); /* the key goes with it */
    UNIT_RC(cmk_key_find(f->vault, B("undone"), true, &key), CMK_E_NOT_FOUND);
    cmk_version_put(v1);
    cmk_version_put(v3);
    cmk_version_put(v2);
    CU_ASSERT_FATAL(create_key(f, "undone", 2048, false, &v1) == CMK_OK); /* the name is free again */
    CMK_BUF_AUTO wrapped = CMK_BUF_INIT;
    const cmk_wrap_mech oaep = {.kind = CMK_WRAP_OAEP, .hash = CMK_USE_SHA256, .mgf = CMK_USE_SHA256};
    UNIT_OK(cmk_kek_wrap(f->officer, v1, &oaep, B("dek"), &wrapped));
    UNIT_RC(cmk_key_undo_version(f->officer, v1), CMK_E_ACTION_PROHIBITED); /* used */
    cmk_version_put(v1);
}
BOTH(undo_versions)

static void edit_delete(cmk_key_rec *key, cmk_version_rec *version)
{
    (void)version;
    key->deleted_at = 1000;
}

static void edit_full(cmk_key_rec *key, cmk_version_rec *version)
{
    (void)version;
    key->versions = CMK_VERSIONS_MAX;
}

static void edit_not_full(cmk_key_rec *key, cmk_version_rec *version)
{
    (void)version;
    key->versions = 1;
}

static void limits_and_deleted(fixture *f)
{
    cmk_version *v = NULL;
    cmk_version *w = NULL;
    cmk_key_info key;
    cmk_version_info info;
    seen s = {.sorted = true};
    CU_ASSERT_FATAL(create_key(f, "limits", 2048, false, &v) == CMK_OK);
    change(f, v, edit_full);
    UNIT_RC(create_key(f, "limits", 2048, true, NULL), CMK_E_ACTION_PROHIBITED);
    change(f, v, edit_not_full);
    change(f, v, edit_delete);
    UNIT_RC(create_key(f, "limits", 2048, true, NULL), CMK_E_ACTION_PROHIBITED);
    UNIT_RC(create_key(f, "limits", 2048, false, NULL), CMK_E_ACTION_PROHIBITED);
    UNIT_RC(cmk_version_find(f->vault, CMK_BY_KEY_NAME, B("limits"), &w), CMK_E_NOT_FOUND);
    UNIT_RC(cmk_version_get_info(v, &info), CMK_E_NOT_FOUND);
    UNIT_RC(cmk_key_find(f->vault, B("limits"), false, &key), CMK_E_NOT_FOUND);
    UNIT_OK(cmk_key_find(f->vault, B("limits"), true, &key));
    UNIT_OK(cmk_key_list(f->vault, true, see_key, &s));
    CU_ASSERT_EQUAL(s.count, 1);
    UNIT_OK(cmk_version_each(f->vault, true, see_version, &s)); /* leaves the deleted key's out */
    cmk_version_put(v);
}
BOTH(limits_and_deleted)

static void tampered_rows(fixture *f)
{
    cmk_version *v = NULL;
    CMK_BUF_AUTO der = CMK_BUF_INIT;
    CMK_BUF_AUTO wrapped = CMK_BUF_INIT;
    CMK_SECRET_AUTO plain = CMK_SECRET_INIT;
    const cmk_wrap_mech oaep = {.kind = CMK_WRAP_OAEP, .hash = CMK_USE_SHA256, .mgf = CMK_USE_SHA256};
    CU_ASSERT_FATAL(create_key(f, "tampered", 2048, false, &v) == CMK_OK);
    UNIT_OK(cmk_kek_wrap(f->officer, v, &oaep, B("dek"), &wrapped));
    const cmk_kind kinds[] = {CMK_KIND_MATERIAL, CMK_KIND_KEYKEY};
    for (size_t i = 0; i < 2; i++) {
        cmk_record_key rk = cmk_rkey_numbered(&v->vault->id, kinds[i], &v->key, 1);
        cmk_prepared_drop(f->officer, v);
        tamper(f, &rk, false);
        UNIT_RC(cmk_kek_unwrap(f->officer, v, CMK_ACT_UNWRAP, &oaep, cmk_buf_view(&wrapped), &plain), CMK_E_TAMPERED);
        tamper(f, &rk, false);
        UNIT_OK(cmk_kek_unwrap(f->officer, v, CMK_ACT_UNWRAP, &oaep, cmk_buf_view(&wrapped), &plain));
    }
    cmk_record_key ck = cmk_rkey_numbered(&v->vault->id, CMK_KIND_CERTIFICATE, &v->key, 1);
    tamper(f, &ck, false);
    UNIT_RC(cmk_version_certificate(v, &der), CMK_E_TAMPERED);
    tamper(f, &ck, true);
    UNIT_RC(cmk_version_certificate(v, &der), CMK_E_TAMPERED);
    cmk_version_put(v);
}

static void tampered_state(fixture *f)
{
    cmk_version *v = NULL;
    cmk_version *w = NULL;
    seen s = {.sorted = true};
    CU_ASSERT_FATAL(create_key(f, "zz-state", 2048, false, &v) == CMK_OK);
    cmk_record_key rows[] = {cmk_rkey_id(&v->vault->id, CMK_KIND_KEY, &v->key),
                             cmk_rkey_numbered(&v->vault->id, CMK_KIND_VERSION, &v->key, 1)};
    for (size_t i = 0; i < 2; i++) {
        tamper(f, &rows[i], false);
        UNIT_RC(cmk_version_each(f->vault, true, see_version, &s), CMK_E_TAMPERED);
        tamper(f, &rows[i], false);
        UNIT_OK(cmk_version_each(f->vault, true, see_version, &s));
    }
    tamper(f, &rows[0], true);
    UNIT_RC(cmk_key_list(f->vault, false, see_key, &s), CMK_E_TAMPERED);
    UNIT_RC(create_key(f, "zz-state", 2048, true, &w), CMK_E_TAMPERED);
    cmk_version_put(v);
}

/* Two stores of their own, since what was damaged stays so. */
static void with_own_vault(void (*test)(fixture *f))
{
    fixture f = {.store = NULL};
    cmk_vault_info info;
    cmk_vault_spec spec = {.name = B("own"),
                           .allow_ops = CMK_OP_WRAP | CMK_OP_UNWRAP | CMK_OP_DECRYPT,
                           .so_pin = B("so-pin-12345"),
                           .user_pin = B("user-pin-1234")};
    open_core(&f, false);
    CU_ASSERT_FATAL(cmk_vault_create(f.core, &spec, CMK_SLOT_ANY, &info) == CMK_OK);
    CU_ASSERT_FATAL(cmk_vault_open_name(f.core, B("own"), &f.vault) == CMK_OK);
    log_in(&f);
    test(&f);
    fixture_close(&f);
}

static void tampered_material(void)
{
    with_own_vault(tampered_rows);
}

static void tampered_officer_tree(void)
{
    with_own_vault(tampered_state);
}

typedef struct racer {
    fixture f;
    bool again;
    cmk_rc rc;
} racer;

static void *race(void *ctx)
{
    racer *r = ctx;
    r->rc = create_key(&r->f, r->again ? "race-versions" : "race-one", 2048, r->again, NULL);
    return NULL;
}

/* Two processes make the same key at the same time. */
static void race_of_two(void)
{
    racer r[2];
    pthread_t t[2];
    cmk_key_info key;
    for (size_t i = 0; i < 2; i++)
        second_process(&r[i].f);
    for (int again = 0; again < 2; again++) {
        for (size_t i = 0; i < 2; i++) {
            r[i].again = again;
            CU_ASSERT_FATAL(pthread_create(&t[i], NULL, race, &r[i]) == 0);
        }
        for (size_t i = 0; i < 2; i++)
            pthread_join(t[i], NULL);
        if (again) {
            CU_ASSERT(r[0].rc == CMK_OK && r[1].rc == CMK_OK);
            UNIT_OK(cmk_key_find(fixtures[1].vault, B("race-versions"), false, &key));
            CU_ASSERT(key.versions == 2 && key.current == 2);
        } else {
            CU_ASSERT((r[0].rc == CMK_OK && r[1].rc == CMK_E_EXISTS) || (r[1].rc == CMK_OK && r[0].rc == CMK_E_EXISTS));
        }
    }
    fixture_close(&r[0].f);
    fixture_close(&r[1].f);
}

/* Every call into the store fails once, in turn: the key is there whole, or not at all, and what is said is true. */
static void faults(void)
{
    fixture f = {.store = NULL};
    cmk_config config = {.store = scratch};
    cmk_vault_info info;
    cmk_store *inner = new_store(false);
    cmk_vault_spec spec = {.name = B("faults"), .so_pin = B("so-pin-12345"), .user_pin = B("user-pin-1234")};
    CU_ASSERT_FATAL(cmk_store_fault_wrap(inner, &f.store) == CMK_OK);
    CU_ASSERT_FATAL(cmk_core_open_store(f.store, &config, &f.core) == CMK_OK);
    CU_ASSERT_FATAL(cmk_vault_create(f.core, &spec, CMK_SLOT_ANY, &info) == CMK_OK);
    CU_ASSERT_FATAL(cmk_vault_open_name(f.core, B("faults"), &f.vault) == CMK_OK);
    log_in(&f);
    unsigned total = 0;
    for (unsigned k = 1; k < 400; k += k < 12 ? 1 : 9) {
        char name[32];
        cmk_key_info key;
        cmk_version *v = NULL;
        snprintf(name, sizeof name, "fault-%u", k);
        const cmk_key_spec ks = {.name = B(name), .bits = 2048};
        cmk_store_fault_arm(f.store, k, CMK_E_IO);
        cmk_rc rc = cmk_key_create(f.officer, &ks, &v);
        total = cmk_store_fault_calls(f.store);
        cmk_store_fault_arm(f.store, 0, CMK_OK);
        cmk_rc found = cmk_key_find(f.vault, B(name), false, &key);
        if (rc == CMK_OK) {
            UNIT_OK(found);
        } else {
            CU_ASSERT(found == CMK_E_NOT_FOUND || (found == CMK_OK && rc == CMK_E_IO));
        }
        cmk_version_put(v);
        seen s = {.sorted = true};
        UNIT_OK(cmk_version_each(f.vault, true, see_version, &s));
        if (total < k)
            break;
    }
    CU_ASSERT(total > 0);
    fixture_close(&f);
}

/* Undoing a version puts the one before in its place, and nobody else's choice. */
static void undo_with_gap(fixture *f)
{
    cmk_version *v[3] = {NULL, NULL, NULL};
    cmk_key_info key;
    for (int i = 0; i < 3; i++)
        CU_ASSERT_FATAL(create_key(f, "gap", 2048, i > 0, &v[i]) == CMK_OK);
    CMK_TXN_AUTO *t = NULL;
    CMK_RECORD_AUTO row = {.revision = 0};
    const cmk_record_key rk = cmk_rkey_numbered(&f->vault->id, CMK_KIND_VERSION, &v[1]->key, 2);
    CU_ASSERT_FATAL(cmk_txn_begin(f->store, CMK_TXN_WRITE, &t) == CMK_OK);
    UNIT_OK(cmk_txn_get(t, &rk, &row));
    UNIT_OK(cmk_txn_delete(t, &rk, row.revision));
    UNIT_OK(cmk_txn_commit(&t));
    UNIT_RC(cmk_key_undo_version(f->officer, v[2]), CMK_E_TAMPERED);
    CU_ASSERT_FATAL(cmk_txn_begin(f->store, CMK_TXN_WRITE, &t) == CMK_OK);
    UNIT_OK(cmk_txn_put(t, &row, 0));
    UNIT_OK(cmk_txn_commit(&t));
    UNIT_OK(cmk_key_undo_version(f->officer, v[2]));
    UNIT_OK(cmk_key_find(f->vault, B("gap"), false, &key));
    CU_ASSERT(key.current == 2 && key.versions == 2);
    UNIT_OK(cmk_key_undo_version(f->officer, v[1]));
    UNIT_OK(cmk_key_undo_version(f->officer, v[0]));
    for (int i = 0; i < 3; i++)
        cmk_version_put(v[i]);
}
BOTH(undo_with_gap)

/* Nothing is wrapped with a version that is just going away, and the other way round. */
static void wrap_while_undoing(fixture *f)
{
    cmk_version *v = NULL;
    CMK_BUF_AUTO out = CMK_BUF_INIT;
    const cmk_wrap_mech mech = {.kind = CMK_WRAP_OAEP, .hash = CMK_USE_SHA256, .mgf = CMK_USE_SHA256};
    CU_ASSERT_FATAL(create_key(f, "going", 2048, false, &v) == CMK_OK);
    atomic_store(&v->undoing, true);
    UNIT_RC(cmk_kek_wrap(f->officer, v, &mech, B("0123456789abcdef"), &out), CMK_E_NOT_FOUND);
    CU_ASSERT_EQUAL(out.len, 0);
    UNIT_RC(cmk_key_undo_version(f->officer, v), CMK_E_ACTION_PROHIBITED); /* it might have been wrapped with */
    CU_ASSERT(!atomic_load(&v->undoing));
    UNIT_OK(cmk_kek_wrap(f->officer, v, &mech, B("0123456789abcdef"), &out));
    atomic_store(&v->used, false);
    UNIT_OK(cmk_key_undo_version(f->officer, v));
    cmk_version_put(v);
}
BOTH(wrap_while_undoing)

static int64_t before_1970(void)
{
    return -5;
}

/* A clock that is wrong by half a century must not make a record that nobody can read. */
static void early_clock(fixture *f)
{
    cmk_version *v = NULL;
    cmk_key_info key;
    cmk_clock_set(before_1970);
    cmk_rc rc = create_key(f, "early", 2048, false, &v);
    cmk_clock_set(NULL);
    UNIT_OK(rc);
    UNIT_OK(cmk_key_find(f->vault, B("early"), false, &key));
    CU_ASSERT_EQUAL(key.created, 0);
    if (v)
        UNIT_OK(cmk_key_undo_version(f->officer, v));
    cmk_version_put(v);
}
BOTH(early_clock)

static const unit_test tests[] = {
    ROWS(create_and_find),
    ROWS(versions_and_listing),
    ROWS(refused_specs),
    ROWS(cka_ids_and_tags),
    ROWS(undo_versions),
    ROWS(undo_with_gap),
    ROWS(early_clock),
    ROWS(wrap_while_undoing),
    ROWS(limits_and_deleted),
    {"tampered_material", tampered_material},
    {"tampered_officer_tree", tampered_officer_tree},
    {"race_of_two", race_of_two},
    {"faults", faults},
    {"close", test_close},
};
UNIT_MAIN("token_keys", tests)
