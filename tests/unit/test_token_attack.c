/* What somebody who writes to the store can do to a vault, and what a store that fails does to it. */
#include "tests/unit/token_fixture.h"

/* ---- attack: the store's rows are changed behind the token's back ---- */

enum { ROWS_MAX = 128 };
typedef struct rows {
    cmk_record all[ROWS_MAX];
    size_t count;
} rows;

static cmk_rc keep_row(void *ctx, const cmk_record *record)
{
    rows *r = ctx;
    if (r->count == ROWS_MAX)
        return CMK_E_LIMIT;
    cmk_record *to = &r->all[r->count++];
    *to = (cmk_record){.key = record->key, .revision = record->revision};
    cmk_buf_add(&to->body, record->body.data, record->body.len);
    return cmk_buf_ok(&to->body);
}

static void rows_read(cmk_store *s, rows *out)
{
    CMK_TXN_AUTO *txn = NULL;
    cmk_bytes all = {NULL, 0};
    out->count = 0;
    UNIT_OK(cmk_txn_begin(s, CMK_TXN_READ, &txn));
    for (unsigned kind = 1; txn && kind < 64; kind++)
        UNIT_OK(cmk_txn_list(txn, NULL, (uint8_t)kind, all, keep_row, out));
}

static void rows_free(rows *r)
{
    for (size_t i = 0; i < r->count; i++)
        cmk_record_clear(&r->all[i]);
    r->count = 0;
}

static cmk_rc row_remove(cmk_txn *txn, const cmk_record_key *key)
{
    CMK_RECORD_AUTO now = {0};
    cmk_rc rc = cmk_txn_get(txn, key, &now);
    return rc == CMK_OK ? cmk_txn_delete(txn, key, now.revision) : CMK_OK;
}

static cmk_rc row_force(cmk_txn *txn, const cmk_record *row)
{
    cmk_rc rc = row_remove(txn, &row->key);
    return rc == CMK_OK ? cmk_txn_put(txn, row, 0) : rc;
}

/* A fresh process: nothing remembered. Finds the vault, lists, logs in as both, reads what their logins read. The first
 * error. */
static cmk_rc walk(cmk_store *store, const cmk_id *id)
{
    /* The store is lent: the core is dismantled without closing it. */
    cmk_core core = {.store = store};
    cmk_config config = {0};
    cmk_vault *v = NULL;
    size_t n[3] = {0};
    core.config = &config;
    cmk_mutex_init(&core.lock, CMK_RANK_CORE, "test");
    cmk_rc rc = cmk_vault_list(&core, true, count_vaults, n);
    if (rc == CMK_OK && n[0] != 1)
        rc = CMK_E_NOT_FOUND;
    if (rc == CMK_OK)
        rc = cmk_vault_by_id(&core, id, &v);
    if (rc == CMK_OK)
        rc = cmk_vault_refresh(v);
    if (rc == CMK_OK)
        rc = login_once(v, &USER, USER_PIN);
    if (rc == CMK_OK)
        rc = login_once(v, &SO, SO_PIN);
    cmk_vault_put(v);
    while (core.vaults) {
        cmk_vault *next = core.vaults->next;
        cmk_vault_put(core.vaults);
        core.vaults = next;
    }
    cmk_mutex_destroy(&core.lock);
    return rc;
}

static bool noticed(cmk_rc rc)
{
    return rc == CMK_E_TAMPERED || rc == CMK_E_ROLLBACK || rc == CMK_E_FORMAT || rc == CMK_E_PIN_INCORRECT;
}

static void expect(cmk_store *s, const cmk_id *id, const cmk_record *row, const char *what, bool harmless)
{
    cmk_rc rc = walk(s, id);
    if (!noticed(rc) && !(harmless && rc == CMK_OK))
        printf("  %s of %s %u: %s\n", what, cmk_kind_name((cmk_kind)row->key.kind), row->key.id_len, cmk_rc_name(rc));
    CU_ASSERT(noticed(rc) || (harmless && rc == CMK_OK));
}

/* Wrong PINs that were none must not lock anybody out of the test. */
static void attempts_clear(cmk_store *s, const cmk_id *vault, const rows *all)
{
    for (size_t i = 0; i < all->count; i++) {
        cmk_id principal;
        if (all->all[i].key.kind != CMK_KIND_PRINCIPAL)
            continue;
        memcpy(principal.b, all->all[i].key.id, CMK_ID_SIZE);
        UNIT_OK(cmk_attempts_reset(s, vault, &principal, 0));
    }
}

static void write_rows(cmk_store *s, const cmk_record *a, const cmk_record *b)
{
    CMK_TXN_AUTO *txn = NULL;
    UNIT_OK(cmk_txn_begin(s, CMK_TXN_WRITE, &txn));
    if (!txn)
        return;
    UNIT_OK(row_force(txn, a));
    if (b)
        UNIT_OK(row_force(txn, b));
    UNIT_OK(cmk_txn_commit(&txn));
}

static void remove_row(cmk_store *s, const cmk_record *a)
{
    CMK_TXN_AUTO *txn = NULL;
    UNIT_OK(cmk_txn_begin(s, CMK_TXN_WRITE, &txn));
    if (!txn)
        return;
    UNIT_OK(row_remove(txn, &a->key));
    UNIT_OK(cmk_txn_commit(&txn));
}

/* Nodes and buckets of paths that this walk does not need may be changed without its noticing: what needs them will. */
static bool off_the_path(const cmk_record *row)
{
    return row->key.kind == CMK_KIND_NODE || row->key.kind == CMK_KIND_BUCKET;
}

static void flip_bits(cmk_store *s, const cmk_id *id, cmk_record *row, const rows *all)
{
    size_t step = row->body.len / 24 + 1;
    for (size_t at = 0; at < row->body.len; at += step) {
        row->body.data[at] ^= (uint8_t)(1u << (at % 8));
        write_rows(s, row, NULL);
        expect(s, id, row, "flip", off_the_path(row));
        row->body.data[at] ^= (uint8_t)(1u << (at % 8));
    }
    row->revision += 1;
    write_rows(s, row, NULL);
    expect(s, id, row, "other revision", off_the_path(row));
    row->revision -= 1;
    write_rows(s, row, NULL);
    attempts_clear(s, id, all);
}

static void swap_rows(cmk_store *s, const cmk_id *id, const rows *all, size_t i)
{
    for (size_t j = 0; j < i; j++) {
        cmk_record a = all->all[i];
        cmk_record b = all->all[j];
        if (a.key.kind != b.key.kind)
            continue;
        a.key = all->all[j].key;
        b.key = all->all[i].key;
        write_rows(s, &a, &b);
        expect(s, id, &a, "swap", off_the_path(&a));
        write_rows(s, &all->all[i], &all->all[j]);
        attempts_clear(s, id, all);
    }
}

static void attack(bool sqlite)
{
    world w;
    rows *all = calloc(1, sizeof(*all));
    if (!all || !world_begin(&w, sqlite, true)) {
        free(all);
        return;
    }
    cmk_store *s = w.core->store;
    const cmk_id id = w.vault->id;
    UNIT_OK(walk(s, &id));
    rows_read(s, all);
    CU_ASSERT(all->count > 10);
    for (size_t i = 0; i < all->count; i++) {
        flip_bits(s, &id, &all->all[i], all);
        remove_row(s, &all->all[i]);
        expect(s, &id, &all->all[i], "removal", off_the_path(&all->all[i]));
        write_rows(s, &all->all[i], NULL);
        swap_rows(s, &id, all, i);
        UNIT_OK(walk(s, &id));
    }
    rows_free(all);
    free(all);
    world_end(&w);
}

static void test_attack_memory(void)
{
    attack(false);
}

static void test_attack_sqlite(void)
{
    attack(true);
}

/* Each row, and all of them together, put back as they were before the user's PIN was reset. */
static void test_replay(void)
{
    world w;
    cmk_login *so = NULL;
    rows *old = calloc(1, sizeof(*old));
    rows *now = calloc(1, sizeof(*now));
    if (!old || !now || !world_begin(&w, false, true)) {
        free(old);
        free(now);
        return;
    }
    cmk_store *s = w.core->store;
    const cmk_id id = w.vault->id;
    UNIT_OK(login_once(w.vault, &USER, USER_PIN));
    rows_read(s, old);
    UNIT_OK(login(w.vault, &SO, SO_PIN, &so));
    UNIT_OK(cmk_pin_init_user(so, text("intermediate-pin")));
    UNIT_OK(cmk_pin_init_user(so, text(USER_PIN)));
    UNIT_OK(login_once(w.vault, &USER, USER_PIN));
    rows_read(s, now);
    for (size_t i = 0; i < old->count; i++) {
        size_t j = 0;
        while (j < now->count && memcmp(&now->all[j].key, &old->all[i].key, sizeof(cmk_record_key)) != 0)
            j++;
        if (j < now->count && cmk_bytes_equal(cmk_buf_view(&now->all[j].body), cmk_buf_view(&old->all[i].body)))
            continue;
        write_rows(s, &old->all[i], NULL);
        cmk_rc rc = walk(s, &id);
        CU_ASSERT(rc == CMK_E_TAMPERED || rc == CMK_E_ROLLBACK);
        if (old->all[i].key.kind == CMK_KIND_CREDENTIAL)
            UNIT_RC(rc, CMK_E_ROLLBACK);
        if (j < now->count)
            write_rows(s, &now->all[j], NULL);
        else
            remove_row(s, &old->all[i]);
    }
    UNIT_OK(walk(s, &id));
    for (size_t i = 0; i < old->count; i++)
        write_rows(s, &old->all[i], NULL);
    UNIT_RC(cmk_vault_refresh(w.vault), CMK_E_ROLLBACK); /* this process has seen more */
    UNIT_RC(cmk_login_check(so), CMK_E_ROLLBACK);
    UNIT_RC(login_once(w.vault, &USER, USER_PIN), CMK_E_ROLLBACK);
    cmk_login_put(so);
    rows_free(old);
    rows_free(now);
    free(old);
    free(now);
    world_end(&w);
}

/* The user's own old credential, put back after a PIN change: only the counters know. */
static void test_old_credential(void)
{
    world w;
    rows *old = calloc(1, sizeof(*old));
    if (!old || !world_begin(&w, true, true)) {
        free(old);
        return;
    }
    rows_read(w.core->store, old);
    UNIT_OK(cmk_pin_change(w.vault, &USER, text(USER_PIN), text("new-user-secret")));
    for (size_t i = 0; i < old->count; i++)
        if (old->all[i].key.kind == CMK_KIND_CREDENTIAL)
            write_rows(w.core->store, &old->all[i], NULL);
    UNIT_RC(login_once(w.vault, &USER, USER_PIN), CMK_E_ROLLBACK);
    UNIT_OK(login_once(w.vault, &SO, SO_PIN));
    rows_free(old);
    free(old);
    world_end(&w);
}

/* A credential row that was spoiled, with the highest revision that there is: the SO's reset is the way out. */
static void test_spoiled_credential(void)
{
    world w;
    cmk_login *so = NULL;
    rows *all = calloc(1, sizeof(*all));
    if (!all || !world_begin(&w, false, true)) {
        free(all);
        return;
    }
    rows_read(w.core->store, all);
    UNIT_OK(login(w.vault, &SO, SO_PIN, &so));
    for (size_t i = 0; i < all->count; i++) {
        if (all->all[i].key.kind != CMK_KIND_CREDENTIAL ||
            memcmp(all->all[i].key.id, so->principal.b, CMK_ID_SIZE) == 0)
            continue;
        all->all[i].revision = INT64_MAX;
        write_rows(w.core->store, &all->all[i], NULL);
    }
    UNIT_RC(login_once(w.vault, &USER, USER_PIN), CMK_E_TAMPERED);
    UNIT_OK(cmk_pin_init_user(so, text("reset-by-so-again")));
    UNIT_OK(login_once(w.vault, &USER, "reset-by-so-again"));
    cmk_login_put(so);
    rows_free(all);
    free(all);
    world_end(&w);
}

/* A row taken away shows in the list, whichever it is. */
/* A damaged index of the store lists another vault's row here: that is damage, whether the row's tree can be verified
 * (VAULT) or not (OBJECT, before a login). */
static void test_foreign_row(void)
{
    static const cmk_kind kinds[] = {CMK_KIND_VAULT, CMK_KIND_KEY, CMK_KIND_OBJECT};
    world w;
    if (!world_begin(&w, false, true))
        return;
    cmk_view *view = NULL;
    UNIT_OK(cmk_view_open(w.vault, CMK_TXN_READ, NULL, &view));
    for (size_t i = 0; view && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        cmk_id other = w.vault->id;
        other.b[0] ^= 1;
        CMK_RECORD_AUTO row = {.key = cmk_rkey_id(&other, kinds[i], &other), .revision = 1};
        UNIT_RC(cmk_view_verify(view, &row), CMK_E_TAMPERED);
    }
    cmk_view_close(&view);
    world_end(&w);
}

static void test_damaged_listed(void)
{
    world w;
    rows *all = calloc(1, sizeof(*all));
    if (!all || !world_begin(&w, false, true)) {
        free(all);
        return;
    }
    rows_read(w.core->store, all);
    for (size_t i = 0; i < all->count; i++) {
        size_t n[3] = {0};
        if (all->all[i].key.kind != CMK_KIND_VAULT && all->all[i].key.kind != CMK_KIND_ROOT)
            continue;
        remove_row(w.core->store, &all->all[i]);
        UNIT_OK(cmk_vault_list(w.core, false, count_vaults, n));
        CU_ASSERT(n[0] == 1 && n[1] == 1);
        write_rows(w.core->store, &all->all[i], NULL);
    }
    rows_free(all);
    free(all);
    world_end(&w);
}

/* A VAULT row that says that it is another vault's, or deleted, is still shown as damaged: nobody is told that there is
 * no such vault. */
static void test_disguised(void)
{
    world w;
    rows *all = calloc(1, sizeof(*all));
    cmk_vault *v = NULL;
    if (!all || !world_begin(&w, false, true)) {
        free(all);
        return;
    }
    rows_read(w.core->store, all);
    for (size_t i = 0; i < all->count; i++) {
        CMK_RECORD_AUTO row = {.key = all->all[i].key, .revision = all->all[i].revision};
        cmk_vault_rec rec;
        if (row.key.kind != CMK_KIND_VAULT)
            continue;
        for (int how = 0; how < 3; how++) {
            size_t n[3] = {0};
            UNIT_OK(cmk_vault_rec_decode(cmk_buf_view(&all->all[i].body), &rec));
            rec.state = how == 0 ? CMK_VAULT_DELETED : CMK_VAULT_LIVE;
            rec.name = how == 1 ? text("other") : how == 2 ? text("\033[2J") : rec.name;
            cmk_buf_reset(&row.body);
            cmk_vault_rec_encode(&rec, &row.body);
            write_rows(w.core->store, &row, NULL);
            UNIT_RC(cmk_vault_open_name(w.core, text("payments"), &v), CMK_E_TAMPERED);
            UNIT_OK(cmk_vault_list(w.core, false, count_vaults, n));
            CU_ASSERT(n[0] == 1 && n[1] == 1);
        }
        write_rows(w.core->store, &all->all[i], NULL);
    }
    UNIT_RC(cmk_vault_open_name(w.core, text("other"), &v), CMK_E_NOT_FOUND);
    rows_free(all);
    free(all);
    world_end(&w);
}

/* A whole vault of somebody else's making, under the name of one that is there. */
static void test_namesake(void)
{
    world w;
    world planted;
    rows *all = calloc(1, sizeof(*all));
    cmk_vault *v = NULL;
    if (!all || !world_begin(&w, false, true) || !world_begin(&planted, false, true)) {
        free(all);
        return;
    }
    rows_read(planted.core->store, all);
    for (size_t i = 0; i < all->count; i++)
        write_rows(w.core->store, &all->all[i], NULL);
    UNIT_RC(cmk_vault_open_name(w.core, text("payments"), &v), CMK_E_TAMPERED);
    UNIT_RC(cmk_vault_open_slot(w.core, w.info.slot, &v), CMK_E_TAMPERED);
    cmk_vault_put(v);
    rows_free(all);
    free(all);
    world_end(&planted);
    world_end(&w);
}

/* ---- faults: every call of the store fails once ---- */

static cmk_rc faulty_create(cmk_core *core)
{
    cmk_vault_info info;
    cmk_vault_spec spec = spec_of("payments", true);
    return cmk_vault_create(core, &spec, CMK_SLOT_ANY, &info);
}

static cmk_rc faulty_work(cmk_core *core, bool *changed)
{
    cmk_vault *v = NULL;
    cmk_login *so = NULL;
    cmk_rc rc = cmk_vault_open_name(core, text("payments"), &v);
    if (rc == CMK_OK)
        rc = login(v, &SO, SO_PIN, &so);
    if (rc == CMK_OK)
        rc = cmk_pin_init_user(so, text(USER_PIN));
    if (rc == CMK_OK)
        rc = cmk_pin_change(v, &USER, text(USER_PIN), text("new-user-secret"));
    *changed = rc == CMK_OK;
    if (rc == CMK_OK)
        rc = login_once(v, &USER, "new-user-secret");
    cmk_login_put(so);
    cmk_vault_put(v);
    return rc;
}

static bool fault_round(unsigned k, bool creating, unsigned *calls)
{
    cmk_store *memory = NULL;
    cmk_store *store = NULL;
    cmk_core *core = NULL;
    cmk_vault *v = NULL;
    size_t n[3] = {0};
    bool changed = false;
    UNIT_OK(cmk_store_memory_open(&memory));
    UNIT_OK(cmk_store_fault_wrap(memory, &store));
    UNIT_OK(cmk_core_open_store(store, NULL, &core));
    if (!creating)
        UNIT_OK(faulty_create(core));
    cmk_store_fault_arm(store, k, CMK_E_IO);
    cmk_rc rc = creating ? faulty_create(core) : faulty_work(core, &changed);
    *calls = cmk_store_fault_calls(store);
    cmk_store_fault_arm(store, 0, CMK_OK);
    UNIT_OK(cmk_vault_list(core, true, count_vaults, n));
    CU_ASSERT_EQUAL(n[1], 0);
    CU_ASSERT(n[0] == 1 || (creating && n[0] == 0 && rc != CMK_OK));
    if (n[0] == 1) {
        UNIT_OK(cmk_vault_open_name(core, text("payments"), &v));
        UNIT_OK(login_once(v, &SO, SO_PIN));
        cmk_rc old_pin = login_once(v, &USER, USER_PIN);
        cmk_rc new_pin = login_once(v, &USER, "new-user-secret");
        CU_ASSERT((old_pin == CMK_OK) != (new_pin == CMK_OK)); /* exactly one of them is the PIN */
        CU_ASSERT(!changed || new_pin == CMK_OK);
    }
    cmk_vault_put(v);
    cmk_core_close(core);
    return rc == CMK_OK && *calls < k;
}

static void test_faults(void)
{
    unsigned calls = 0;
    for (unsigned k = 1; k < 400; k++)
        if (fault_round(k, true, &calls))
            break;
    CU_ASSERT(calls > 5 && calls < 399);
    for (unsigned k = 1; k < 600; k++)
        if (fault_round(k, false, &calls))
            break;
    CU_ASSERT(calls > 20 && calls < 599);
}

static const unit_test tests[] = {
    {"spoiled-credential", test_spoiled_credential},
    {"disguised", test_disguised},
    {"namesake", test_namesake},
    {"foreign-row", test_foreign_row},
    {"damaged-listed", test_damaged_listed},
    {"old-credential", test_old_credential},
    {"replay", test_replay},
    {"attack-memory", test_attack_memory},
    {"attack-sqlite", test_attack_sqlite},
    {"faults", test_faults},
};
UNIT_MAIN("token-attack", tests)
