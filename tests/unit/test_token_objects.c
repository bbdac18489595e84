/* Token objects: private and public, with and without a login, looked up, changed by others, tampered with. */
#include "tests/unit/keys_fixture.h"
#include "token/object.h"

typedef struct seen {
    size_t count;
    cmk_object *last;
} seen;

static cmk_rc see(void *ctx, cmk_object *o)
{
    seen *s = ctx;
    cmk_object_put(s->last);
    s->last = cmk_object_take(o);
    s->count++;
    return CMK_OK;
}

static size_t count(fixture *f, cmk_login *login, const cmk_object_by *by, cmk_rc expected)
{
    seen s = {0, NULL};
    UNIT_RC(cmk_object_each(f->vault, login, by, see, &s), expected);
    cmk_object_put(s.last);
    return s.count;
}

static bool attributes_are(cmk_login *login, cmk_object *o, const char *text)
{
    CMK_BUF_AUTO b = CMK_BUF_INIT;
    cmk_rc rc = cmk_object_attributes(login, o, &b);
    return rc == CMK_OK && cmk_bytes_equal(cmk_buf_view(&b), B(text));
}

static bool value_is(cmk_login *login, cmk_object *o, const char *text)
{
    CMK_SECRET_AUTO s = CMK_SECRET_INIT;
    cmk_rc rc = cmk_object_value(login, o, &s);
    return rc == CMK_OK && cmk_bytes_equal(cmk_secret_view(&s), B(text));
}

static cmk_object *make(fixture *f, bool is_private, const char *label, const char *id)
{
    cmk_object *o = NULL;
    const cmk_object_spec spec = {.is_private = is_private,
                                  .label = B(label),
                                  .cka_id = B(id),
                                  .attributes = B("attributes"),
                                  .value = B("value")};
    cmk_rc rc = cmk_object_create(f->officer, &spec, &o);
    if (rc != CMK_OK)
        printf("object: %s: %s\n", cmk_rc_name(rc), cmk_fail_detail());
    CU_ASSERT_FATAL(rc == CMK_OK);
    return o;
}

static void life(fixture *f)
{
    CMK_BUF_AUTO b = CMK_BUF_INIT;
    CMK_SECRET_AUTO s = CMK_SECRET_INIT;
    size_t all = count(f, f->officer, NULL, CMK_OK);
    size_t open = count(f, NULL, NULL, CMK_OK);
    cmk_object *secret = make(f, true, "life-secret", "id-1");
    cmk_object *public = make(f, false, "life-public", "id-1");
    CU_ASSERT_EQUAL(count(f, f->officer, NULL, CMK_OK), all + 2);
    CU_ASSERT_EQUAL(count(f, NULL, NULL, CMK_OK), open + 1);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT(attributes_are(f->officer, secret, "attributes") && value_is(f->officer, secret, "value"));
        CU_ASSERT(attributes_are(f->officer, public, "attributes") && value_is(f->officer, public, "value"));
        CU_ASSERT(attributes_are(NULL, public, "attributes"));
    }
    UNIT_RC(cmk_object_attributes(NULL, secret, &b), CMK_E_NOT_LOGGED_IN);
    UNIT_RC(cmk_object_value(NULL, public, &s), CMK_E_NOT_LOGGED_IN);
    const cmk_object_by label = {true, B("life-secret")};
    const cmk_object_by public_label = {true, B("life-public")};
    const cmk_object_by id = {false, B("id-1")};
    CU_ASSERT_EQUAL(count(f, f->officer, &label, CMK_OK), 1);
    CU_ASSERT_EQUAL(count(f, NULL, &label, CMK_OK), 0);
    CU_ASSERT_EQUAL(count(f, NULL, &public_label, CMK_OK), 1);
    CU_ASSERT_EQUAL(count(f, f->officer, &id, CMK_OK), 2);
    CU_ASSERT_EQUAL(count(f, NULL, &id, CMK_OK), 1);
    const cmk_object_spec changed = {
        .is_private = true, .label = B("life-new"), .cka_id = B("id-2"), .attributes = B("other attributes")};
    UNIT_OK(cmk_object_update(f->officer, secret, &changed));
    CU_ASSERT(attributes_are(f->officer, secret, "other attributes") && value_is(f->officer, secret, "value"));
    CU_ASSERT_EQUAL(count(f, f->officer, &label, CMK_OK), 0);
    UNIT_RC(cmk_object_update(f->officer, public, &changed), CMK_E_ARGUMENT);
    UNIT_RC(cmk_object_update(NULL, secret, &changed), CMK_E_NOT_LOGGED_IN);
    UNIT_OK(cmk_object_destroy(f->officer, secret));
    UNIT_RC(cmk_object_destroy(f->officer, secret), CMK_E_NOT_FOUND);
    UNIT_RC(cmk_object_attributes(f->officer, secret, &b), CMK_E_NOT_FOUND);
    UNIT_OK(cmk_object_destroy(f->officer, public));
    UNIT_RC(cmk_object_attributes(NULL, public, &b), CMK_E_NOT_FOUND);
    CU_ASSERT_EQUAL(count(f, f->officer, NULL, CMK_OK), all);
    cmk_object_put(secret);
    cmk_object_put(public);
}
BOTH(life)

static void limits(fixture *f)
{
    static uint8_t big[CMK_OBJECT_VALUE_MAX + 1];
    cmk_object *o = NULL;
    cmk_object_spec spec = {.is_private = true, .value = {big, sizeof big}};
    CMK_SECRET_AUTO s = CMK_SECRET_INIT;
    UNIT_RC(cmk_object_create(f->officer, &spec, &o), CMK_E_LIMIT);
    spec.value.len--;
    UNIT_OK(cmk_object_create(f->officer, &spec, &o));
    UNIT_OK(cmk_object_value(f->officer, o, &s));
    CU_ASSERT_EQUAL(s.len, CMK_OBJECT_VALUE_MAX);
    UNIT_OK(cmk_object_destroy(f->officer, o));
    cmk_object_put(o);
    UNIT_RC(cmk_object_create(NULL, &spec, &o), CMK_E_NOT_LOGGED_IN);
}
BOTH(limits)

static void tampered(fixture *f)
{
    CMK_BUF_AUTO b = CMK_BUF_INIT;
    for (int is_private = 0; is_private < 2; is_private++) {
        cmk_object *o = make(f, is_private, "tampered", "t");
        cmk_record_key rk = cmk_rkey_id(&f->vault->id, CMK_KIND_OBJECT, cmk_object_id(o));
        const cmk_object_by by = {true, B("tampered")};
        tamper(f, &rk, false);
        UNIT_RC(cmk_object_attributes(f->officer, o, &b), CMK_E_TAMPERED);
        UNIT_RC(cmk_object_attributes(NULL, o, &b), is_private ? CMK_E_NOT_LOGGED_IN : CMK_E_TAMPERED);
        (void)count(f, f->officer, NULL, CMK_E_TAMPERED);
        tamper(f, &rk, false);
        CU_ASSERT(attributes_are(f->officer, o, "attributes"));
        CU_ASSERT_EQUAL(count(f, f->officer, NULL, CMK_OK), 1);
        tamper(f, &rk, true);
        UNIT_RC(cmk_object_attributes(f->officer, o, &b), CMK_E_TAMPERED);
        (void)count(f, f->officer, NULL, CMK_E_TAMPERED); /* the signed count says so */
        CU_ASSERT_EQUAL(count(f, f->officer, &by, CMK_OK), 0);
        cmk_object_put(o);
        if (is_private)
            break;
        fixture_close(f);
        cmk_vault_info info;
        cmk_vault_spec spec = {.name = B("vault"), .so_pin = B("so-pin-12345"), .user_pin = B("user-pin-1234")};
        open_core(f, false);
        CU_ASSERT_FATAL(cmk_vault_create(f->core, &spec, CMK_SLOT_ANY, &info) == CMK_OK);
        CU_ASSERT_FATAL(cmk_vault_open_name(f->core, B("vault"), &f->vault) == CMK_OK);
        log_in(f);
    }
    fixture_close(f);
}

static void tampered_memory(void)
{
    fixture f = {.store = NULL};
    cmk_vault_info info;
    cmk_vault_spec spec = {.name = B("vault"), .so_pin = B("so-pin-12345"), .user_pin = B("user-pin-1234")};
    open_core(&f, false);
    CU_ASSERT_FATAL(cmk_vault_create(f.core, &spec, CMK_SLOT_ANY, &info) == CMK_OK);
    CU_ASSERT_FATAL(cmk_vault_open_name(f.core, B("vault"), &f.vault) == CMK_OK);
    log_in(&f);
    tampered(&f);
}

/* Two processes: what one changes the other sees, and a change that was overtaken is refused. */
static void other_process(void)
{
    fixture *f = fixture_get(true);
    fixture other;
    CMK_BUF_AUTO b = CMK_BUF_INIT;
    seen s = {0, NULL};
    second_process(&other);
    cmk_object *o = make(f, true, "shared", "s");
    const cmk_object_by by = {true, B("shared")};
    UNIT_OK(cmk_object_each(other.vault, other.officer, &by, see, &s));
    CU_ASSERT_EQUAL_FATAL(s.count, 1);
    CU_ASSERT(attributes_are(other.officer, s.last, "attributes"));
    const cmk_object_spec first = {.is_private = true, .label = B("shared"), .attributes = B("first")};
    const cmk_object_spec second = {.is_private = true, .label = B("shared"), .attributes = B("second")};
    UNIT_OK(cmk_object_update(other.officer, s.last, &first));
    UNIT_RC(cmk_object_update(f->officer, o, &second), CMK_E_CONFLICT);
    CU_ASSERT(attributes_are(f->officer, o, "first"));
    UNIT_OK(cmk_object_update(f->officer, o, &second));
    CU_ASSERT(attributes_are(other.officer, s.last, "second") && value_is(other.officer, s.last, "value"));
    UNIT_OK(cmk_object_destroy(f->officer, o));
    UNIT_RC(cmk_object_attributes(other.officer, s.last, &b), CMK_E_NOT_FOUND);
    cmk_object_put(s.last);
    cmk_object_put(o);
    fixture_close(&other);
}

static void ended_login(fixture *f)
{
    CMK_BUF_AUTO b = CMK_BUF_INIT;
    cmk_object *o = make(f, true, "logout", "l");
    CU_ASSERT(value_is(f->officer, o, "value"));
    cmk_login *old = f->officer;
    cmk_login_end(old);
    UNIT_RC(cmk_object_attributes(old, o, &b), CMK_E_NOT_LOGGED_IN);
    CU_ASSERT_PTR_NULL(cmk_opened_get(old, cmk_object_id(o), 1)); /* nothing of it is left */
    log_in(f);
    cmk_login_put(old);
    CU_ASSERT(value_is(f->officer, o, "value"));
    UNIT_OK(cmk_object_destroy(f->officer, o));
    cmk_object_put(o);
}
BOTH(ended_login)

/* A row that claims to be another object, seen before a login, must not spoil that object for the rest of the process.
 */
static void planted(fixture *f)
{
    cmk_object *o = make(f, true, "planted-on", "p");
    CMK_RECORD_AUTO row = {.revision = 1};
    const cmk_id id = {{0x11, 0x22}};
    cmk_object_rec rec = {.id = *cmk_object_id(o), .author = f->officer->principal, .object_key_generation = 1};
    CMK_TXN_AUTO *t = NULL;
    cmk_object_put(o);
    cmk_object_forget(f->vault, &rec.id);
    row.key = cmk_rkey_id(&f->vault->id, CMK_KIND_OBJECT, &id);
    cmk_object_rec_encode(&rec, &row.body);
    CU_ASSERT_FATAL(cmk_txn_begin(f->store, CMK_TXN_WRITE, &t) == CMK_OK);
    UNIT_OK(cmk_txn_put(t, &row, 0));
    UNIT_OK(cmk_txn_commit(&t));
    (void)count(f, NULL, NULL, CMK_E_TAMPERED);
    CU_ASSERT_FATAL(cmk_txn_begin(f->store, CMK_TXN_WRITE, &t) == CMK_OK);
    UNIT_OK(cmk_txn_delete(t, &row.key, 1));
    UNIT_OK(cmk_txn_commit(&t));
    seen s = {0, NULL};
    const cmk_object_by by = {true, B("planted-on")};
    UNIT_OK(cmk_object_each(f->vault, f->officer, &by, see, &s));
    CU_ASSERT_EQUAL(s.count, 1);
    if (s.last)
        UNIT_OK(cmk_object_destroy(f->officer, s.last));
    cmk_object_put(s.last);
}
BOTH(planted)

static const unit_test tests[] = {
    ROWS(life),
    ROWS(limits),
    ROWS(planted),
    ROWS(ended_login),
    {"tampered", tampered_memory},
    {"other_process", other_process},
    {"close", test_close},
};
UNIT_MAIN("token_objects", tests)
