/* Making vaults. */
#include "token/vault.h"

#include <string.h>

enum { PIN_ATTEMPTS_DEFAULT = 10, SO_KEYS = 4 };

struct cmk_vault_secrets {
    uint8_t mac[CMK_KEY_SIZE];
    uint8_t enc[CMK_KEY_SIZE];
    uint8_t index[CMK_KEY_SIZE];
    cmk_gen_key keys[SO_KEYS]; /* vault, object, officer, admin */
};

cmk_rc cmk_serial_new(char out[CMK_SERIAL_SIZE + 1])
{
    uint8_t random[CMK_SERIAL_SIZE / 2];
    cmk_rc rc = cmk_random(random, sizeof(random));
    if (rc == CMK_OK)
        cmk_hex(cmk_bytes_of(random, sizeof(random)), out);
    return rc;
}

void cmk_vault_draft_clear(cmk_vault_draft *d)
{
    cmk_secret_free(d->secrets);
    d->secrets = NULL;
    cmk_principal_draft_clear(&d->so);
    cmk_principal_draft_clear(&d->user);
}

static cmk_rc make_keys(cmk_vault_draft *d)
{
    static const uint8_t what[SO_KEYS] = {CMK_SEAL_VAULT_KEY, CMK_SEAL_OBJECT_KEY, CMK_SEAL_OFFICER_KEY,
                                          CMK_SEAL_ADMIN_KEY};
    struct cmk_vault_secrets *s = d->secrets;
    for (size_t i = 0; i < SO_KEYS; i++) {
        s->keys[i].what = what[i];
        s->keys[i].generation = 1;
    }
    cmk_rc rc = cmk_random(s->keys[0].key, CMK_KEY_SIZE);
    if (rc == CMK_OK)
        rc = cmk_random(s->keys[1].key, CMK_KEY_SIZE);
    if (rc == CMK_OK)
        rc = cmk_ed25519_generate(s->keys[2].key, d->rec.officer_public);
    if (rc == CMK_OK)
        rc = cmk_ed25519_generate(s->keys[3].key, d->rec.admin_public);
    if (rc == CMK_OK)
        rc = cmk_object_keys(s->keys[1].key, s->mac, s->enc, s->index);
    memcpy(d->rec.admin_first, d->rec.admin_public, CMK_CURVE_KEY_SIZE);
    return rc;
}

static cmk_rc make_principal(const cmk_vault_draft *d, cmk_bytes pin, cmk_principal_draft *out)
{
    cmk_id id;
    cmk_rc rc = cmk_id_new(&id);
    return rc == CMK_OK ? cmk_principal_draft_make(&d->id, &id, 1, pin, 1, d->rec.admin_public, out) : rc;
}

static cmk_rc check_spec(const cmk_vault_spec *spec)
{
    cmk_rc rc = cmk_name_check(CMK_NAME_VAULT, spec->name);
    if (rc == CMK_OK && spec->retention_days != 0 &&
        (spec->retention_days < CMK_RETENTION_DAYS_MIN || spec->retention_days > CMK_RETENTION_DAYS_MAX))
        rc = cmk_fail(CMK_E_ARGUMENT, "retention is %d to %d days", CMK_RETENTION_DAYS_MIN, CMK_RETENTION_DAYS_MAX);
    if (rc == CMK_OK && spec->allow_ops > (CMK_OP_WRAP | CMK_OP_UNWRAP | CMK_OP_DECRYPT))
        rc = cmk_fail(CMK_E_ARGUMENT, "unknown operations in allow-ops");
    if (rc == CMK_OK)
        rc = cmk_pin_check(spec->so_pin, true);
    if (rc == CMK_OK && spec->user_pin.data)
        rc = cmk_pin_check(spec->user_pin, true);
    return rc;
}

cmk_rc cmk_vault_draft_make(const cmk_vault_spec *spec, cmk_vault_draft *out)
{
    uint64_t now = cmk_record_time();
    memset(out, 0, sizeof(*out));
    cmk_rc rc = check_spec(spec);
    if (rc == CMK_OK)
        rc = cmk_id_new(&out->id);
    if (rc == CMK_OK)
        rc = cmk_serial_new(out->serial);
    if (rc != CMK_OK)
        return rc;
    out->rec = (cmk_vault_rec){
        .id = out->id,
        .name = spec->name,
        .serial = cmk_bytes_str(out->serial),
        .state = CMK_VAULT_LIVE,
        .created = now,
        .changed = now,
        .retention_days = spec->retention_days != 0 ? spec->retention_days : CMK_RETENTION_DAYS_DEFAULT,
        .purge_protection = spec->purge_protection ? 1 : 0,
        .allow_ops = spec->allow_ops != 0 ? spec->allow_ops : CMK_OP_WRAP | CMK_OP_UNWRAP,
        .pin_attempts = PIN_ATTEMPTS_DEFAULT,
        .admin_generation = 1,
        .officer_generation = 1,
        .vault_key_generation = 1,
        .object_key_generation = 1,
    };
    out->with_user = spec->user_pin.data != NULL;
    out->secrets = cmk_secret_alloc(sizeof(*out->secrets));
    if (!out->secrets)
        return cmk_fail(CMK_E_LOCKED_MEMORY, "no memory for a vault's keys: look at RLIMIT_MEMLOCK");
    rc = make_keys(out);
    if (rc == CMK_OK)
        rc = make_principal(out, spec->so_pin, &out->so);
    if (rc == CMK_OK && out->with_user)
        rc = make_principal(out, spec->user_pin, &out->user);
    out->rec.changed_by = out->so.id;
    return rc;
}

cmk_rc cmk_vault_rec_put(cmk_view *view, const cmk_vault_rec *rec, uint64_t expected)
{
    CMK_RECORD_AUTO row = {.key = cmk_rkey(&rec->id, CMK_KIND_VAULT, NULL, 0), .revision = expected + 1};
    if (rec->state == CMK_VAULT_LIVE) {
        row.index[0].number = CMK_INDEX_VAULT_NAME;
        row.index[0].len = (uint8_t)rec->name.len;
        memcpy(row.index[0].value, rec->name.data, rec->name.len);
        row.index_count = 1;
    }
    cmk_vault_rec_encode(rec, &row.body);
    cmk_rc rc = cmk_buf_ok(&row.body);
    return rc == CMK_OK ? cmk_view_put(view, &row, expected) : rc;
}

cmk_rc cmk_vault_draft_write(cmk_vault *vault, cmk_txn *txn, const cmk_vault_draft *d, uint32_t slot, cmk_view **out)
{
    CMK_VIEW_AUTO *view = NULL;
    cmk_vault_rec rec = d->rec;
    const struct cmk_vault_secrets *s = d->secrets;
    const cmk_signers signers = {
        .admin = s->keys[3].key, .officer = s->keys[2].key, .object_mac = s->mac, .principal = d->so.id};
    *out = NULL;
    rec.slot = slot;
    cmk_vault_set_anchor(vault, rec.admin_public);
    cmk_rc rc = cmk_view_attach(vault, txn, true, &signers, &view);
    if (rc == CMK_OK)
        rc = cmk_vault_rec_put(view, &rec, 0);
    if (rc == CMK_OK)
        rc = cmk_principal_write(view, cmk_bytes_str(CMK_NAME_SO), CMK_ROLE_ADMIN, &d->so, NULL, s->keys, SO_KEYS,
                                 &d->so.id);
    if (rc == CMK_OK && d->with_user)
        rc = cmk_principal_write(view, cmk_bytes_str(CMK_NAME_USER), CMK_ROLE_OFFICER, &d->user, NULL, s->keys, SO_KEYS,
                                 &d->so.id);
    if (rc == CMK_OK)
        rc = cmk_view_write(view);
    if (rc == CMK_OK) {
        *out = view;
        view = NULL;
    }
    return rc;
}

/* Is there room for it? Asked in the transaction that makes it. */
static cmk_rc find_place(cmk_txn *txn, cmk_bytes name, uint32_t *slot)
{
    CMK_VAULTS_SEEN_AUTO seen = {0};
    size_t live = 0;
    cmk_rc rc = cmk_vaults_look(txn, false, &seen);
    for (size_t i = 0; i < seen.count && rc == CMK_OK; i++) {
        const cmk_vault_seen *s = &seen.all[i];
        live += s->state == CMK_VAULT_LIVE;
        if (*slot != CMK_SLOT_ANY && s->slot == *slot)
            rc = cmk_fail(CMK_E_EXISTS, "slot %u has a vault already", *slot);
        else if (s->row && s->state == CMK_VAULT_LIVE && cmk_bytes_equal(cmk_bytes_of(s->name, s->name_len), name))
            rc = cmk_fail(CMK_E_EXISTS, "there is a vault of that name already");
    }
    if (rc == CMK_OK && live >= CMK_VAULTS_MAX)
        rc = cmk_fail(CMK_E_LIMIT, "a store holds at most %d live vaults", CMK_VAULTS_MAX);
    if (rc == CMK_OK && *slot == CMK_SLOT_ANY)
        *slot = cmk_vaults_free_slot(&seen);
    return rc;
}

cmk_rc cmk_vault_create(cmk_core *core, const cmk_vault_spec *spec, uint32_t slot, cmk_vault_info *out)
{
    CMK_VAULT_DRAFT_AUTO draft = {0};
    CMK_TXN_AUTO *txn = NULL;
    CMK_VIEW_AUTO *view = NULL;
    CMK_VAULT_AUTO *vault = NULL;
    cmk_rc rc = cmk_vault_draft_make(spec, &draft);
    if (rc == CMK_OK)
        rc = cmk_vault_by_id(core, &draft.id, &vault);
    if (rc == CMK_OK)
        rc = cmk_txn_begin(core->store, CMK_TXN_WRITE, &txn);
    if (rc == CMK_OK)
        rc = find_place(txn, spec->name, &slot);
    if (rc == CMK_OK)
        rc = cmk_vault_draft_write(vault, txn, &draft, slot, &view);
    if (rc == CMK_OK)
        rc = cmk_view_commit_txn(view, &txn);
    if (rc != CMK_OK)
        return rc;
    cmk_view_settle(&view);
    return cmk_vault_get_info(vault, out);
}
