/* Principals as records. */
#include "token/principal.h"

#include <string.h>

#include "token/view_state.h"

cmk_rc cmk_who_name(const cmk_who *who, cmk_bytes *name)
{
    *name = who->kind == CMK_WHO_SO ? cmk_bytes_str(CMK_NAME_SO) : cmk_bytes_str(CMK_NAME_USER);
    if (who->kind != CMK_WHO_NAMED)
        return CMK_OK;
    *name = who->name;
    bool nobodys = who->name.len > CMK_PRINCIPAL_NAME_MAX || cmk_bytes_equal(who->name, cmk_bytes_str(CMK_NAME_SO));
    return nobodys ? CMK_E_NOT_FOUND : CMK_OK;
}

void cmk_principal_clear(cmk_principal *p)
{
    cmk_record_clear(&p->row);
    cmk_record_clear(&p->sealed);
    cmk_record_clear(&p->credential_row);
}

/* PRINCIPAL and SEALED, which the admin tree vouches for. */
static cmk_rc read_signed(cmk_view *view, cmk_bytes name, cmk_principal *out)
{
    const cmk_id *vault = &view->vault->id;
    const cmk_record_key key = cmk_rkey_id(vault, CMK_KIND_PRINCIPAL, &out->id);
    const cmk_record_key sealed = cmk_rkey_id(vault, CMK_KIND_SEALED, &out->id);
    cmk_bytes id = cmk_bytes_of(out->id.b, CMK_ID_SIZE);
    cmk_rc rc = cmk_view_get(view, &key, &out->row);
    if (rc == CMK_E_NOT_FOUND)
        return cmk_tampered(view->label, CMK_KIND_PRINCIPAL, id, "its name is there and it is not");
    if (rc == CMK_OK)
        rc = cmk_principal_rec_decode(cmk_buf_view(&out->row.body), &out->rec);
    if (rc == CMK_OK)
        rc = cmk_view_get(view, &sealed, &out->sealed);
    if (rc == CMK_E_NOT_FOUND)
        return cmk_tampered(view->label, CMK_KIND_SEALED, id, "a principal without sealed keys");
    if (rc == CMK_OK && (!cmk_id_equal(&out->rec.id, &out->id) || !cmk_bytes_equal(out->rec.name, name)))
        return cmk_tampered(view->label, CMK_KIND_PRINCIPAL, id, "it has another name");
    return rc;
}

static cmk_rc read_credential(cmk_view *view, cmk_principal *out)
{
    cmk_bytes id = cmk_bytes_of(out->id.b, CMK_ID_SIZE);
    const cmk_record_key key = cmk_rkey_id(&view->vault->id, CMK_KIND_CREDENTIAL, &out->id);
    cmk_rc rc = cmk_view_get(view, &key, &out->credential_row);
    if (rc == CMK_E_NOT_FOUND)
        return cmk_tampered(view->label, CMK_KIND_CREDENTIAL, id, "the row is missing");
    if (rc == CMK_OK)
        rc = cmk_credential_rec_decode(cmk_buf_view(&out->credential_row.body), &out->credential);
    if (rc == CMK_E_FORMAT && out->credential_row.body.len > 0 && out->credential_row.body.data[0] == 1)
        return cmk_tampered(view->label, CMK_KIND_CREDENTIAL, id, "it makes no sense");
    if (rc != CMK_OK)
        return rc;
    if (out->credential_row.revision < out->rec.min_credential) {
        (void)cmk_tampered(view->label, CMK_KIND_CREDENTIAL, id, "it is older than the last reset of the PIN");
        return CMK_E_ROLLBACK;
    }
    if (memcmp(out->rec.x25519_public, out->credential.x25519_public, CMK_CURVE_KEY_SIZE) != 0 ||
        memcmp(out->rec.log_public, out->credential.log_public, CMK_CURVE_KEY_SIZE) != 0)
        return cmk_tampered(view->label, CMK_KIND_CREDENTIAL, id, "its public keys are not the principal's");
    return CMK_OK;
}

cmk_rc cmk_principal_read(cmk_view *view, cmk_bytes name, bool to_reset, cmk_principal *out)
{
    uint8_t id[CMK_RECORD_ID_MAX];
    size_t id_len = 0;
    cmk_rc rc = cmk_view_lookup(view, CMK_INDEX_PRINCIPAL_NAME, name, id, &id_len);
    if (rc != CMK_OK)
        return rc;
    if (id_len != CMK_ID_SIZE)
        return cmk_tampered(view->label, CMK_KIND_PRINCIPAL, cmk_bytes_of(id, id_len), "a name that leads to no id");
    memcpy(out->id.b, id, CMK_ID_SIZE);
    rc = read_signed(view, name, out);
    if (rc != CMK_OK || !to_reset)
        return rc == CMK_OK ? read_credential(view, out) : rc;
    const cmk_record_key key = cmk_rkey_id(&view->vault->id, CMK_KIND_CREDENTIAL, &out->id);
    rc = cmk_view_get(view, &key, &out->credential_row);
    return rc == CMK_E_NOT_FOUND ? CMK_OK : rc; /* its revision is then 0, as for a row that is to be made */
}

/* ---- making ---- */

void cmk_principal_draft_clear(cmk_principal_draft *d)
{
    cmk_secret_free(d->content);
    d->content = NULL;
    cmk_buf_free(&d->credential);
}

cmk_rc cmk_principal_draft_make(const cmk_id *vault, const cmk_id *id, uint64_t revision, cmk_bytes pin,
                                uint32_t admin_generation, const uint8_t admin_public[CMK_CURVE_KEY_SIZE],
                                cmk_principal_draft *out)
{
    out->id = *id;
    out->revision = revision;
    out->content = cmk_secret_alloc(sizeof(*out->content));
    if (!out->content)
        return cmk_fail(CMK_E_LOCKED_MEMORY, "no memory for a principal's keys: look at RLIMIT_MEMLOCK");
    out->content->admin_generation = admin_generation;
    memcpy(out->content->admin_public, admin_public, CMK_CURVE_KEY_SIZE);
    cmk_rc rc = cmk_x25519_generate(out->content->x25519, out->x25519_public);
    if (rc == CMK_OK)
        rc = cmk_ed25519_generate(out->content->log, out->log_public);
    if (rc == CMK_OK)
        rc = cmk_credential_make(vault, id, revision, pin, out->content, out->x25519_public, out->log_public,
                                 &out->credential);
    return rc;
}

/* Which keys a role gets: a bit for each CMK_SEAL_*. */
static unsigned role_keys(cmk_role role)
{
    static const unsigned keys[CMK_ROLE_COUNT] = {
        [CMK_ROLE_ADMIN] = 1u << CMK_SEAL_VAULT_KEY | 1u << CMK_SEAL_OBJECT_KEY | 1u << CMK_SEAL_OFFICER_KEY |
                           1u << CMK_SEAL_ADMIN_KEY,
        [CMK_ROLE_OFFICER] = 1u << CMK_SEAL_VAULT_KEY | 1u << CMK_SEAL_OBJECT_KEY | 1u << CMK_SEAL_OFFICER_KEY,
        [CMK_ROLE_ENCRYPTION_USER] = 1u << CMK_SEAL_VAULT_KEY | 1u << CMK_SEAL_OBJECT_KEY,
    };
    return (unsigned)role < CMK_ROLE_COUNT ? keys[role] : 0;
}

static cmk_rc write_sealed(cmk_view *view, cmk_role role, const cmk_principal_draft *draft, uint64_t expected,
                           const cmk_gen_key *keys, size_t n)
{
    const cmk_id *vault = &view->vault->id;
    CMK_BUF_AUTO body = CMK_BUF_INIT;
    const cmk_record_key key = cmk_rkey_id(vault, CMK_KIND_SEALED, &draft->id);
    cmk_gen_key *given = cmk_secret_alloc((n + 1) * sizeof(*given));
    size_t count = 0;
    if (!given)
        return cmk_fail(CMK_E_LOCKED_MEMORY, "no memory for keys to be sealed: look at RLIMIT_MEMLOCK");
    for (size_t i = 0; i < n; i++)
        if (role_keys(role) & 1u << keys[i].what)
            given[count++] = keys[i];
    cmk_rc rc = cmk_seal_keys(vault, &draft->id, draft->x25519_public, expected + 1, given, count, &body);
    cmk_secret_free(given);
    return rc == CMK_OK ? cmk_view_put_body(view, &key, cmk_buf_view(&body), expected) : rc;
}

static cmk_rc write_principal(cmk_view *view, const cmk_principal_rec *rec, uint64_t expected)
{
    CMK_BUF_AUTO body = CMK_BUF_INIT;
    const cmk_record_key key = cmk_rkey_id(&view->vault->id, CMK_KIND_PRINCIPAL, &rec->id);
    cmk_principal_rec_encode(rec, &body);
    cmk_rc rc = cmk_buf_ok(&body);
    return rc == CMK_OK ? cmk_view_put_body(view, &key, cmk_buf_view(&body), expected) : rc;
}

cmk_rc cmk_principal_write(cmk_view *view, cmk_bytes name, cmk_role role, const cmk_principal_draft *draft,
                           const cmk_principal *old, const cmk_gen_key *keys, size_t n, const cmk_id *by)
{
    uint64_t now = cmk_record_time();
    cmk_principal_rec rec = {.id = draft->id, .name = name, .role = (uint8_t)role, .state = CMK_PRINCIPAL_ACTIVE};
    if (old) {
        rec = old->rec;
    } else {
        rec.created = now;
        rec.created_by = *by;
    }
    rec.changed = now;
    rec.changed_by = *by;
    rec.min_credential = draft->revision;
    memcpy(rec.x25519_public, draft->x25519_public, CMK_CURVE_KEY_SIZE);
    memcpy(rec.log_public, draft->log_public, CMK_CURVE_KEY_SIZE);
    CMK_RECORD_AUTO credential = {.key = cmk_rkey_id(&view->vault->id, CMK_KIND_CREDENTIAL, &draft->id),
                                  .revision = draft->revision};
    cmk_buf_add(&credential.body, draft->credential.data, draft->credential.len);
    cmk_rc rc = cmk_buf_ok(&credential.body);
    if (rc == CMK_OK)
        rc = write_principal(view, &rec, old ? old->row.revision : 0);
    if (rc == CMK_OK)
        rc = write_sealed(view, (cmk_role)rec.role, draft, old ? old->sealed.revision : 0, keys, n);
    uint64_t expected = old ? old->credential_row.revision : 0;
    if (rc == CMK_OK && expected >= draft->revision) { /* a spoiled row: revisions only grow */
        rc = cmk_view_delete(view, &credential.key, expected);
        expected = 0;
    }
    if (rc == CMK_OK)
        rc = cmk_view_put(view, &credential, expected);
    if (rc == CMK_OK && !old)
        rc = cmk_view_index(view, CMK_INDEX_PRINCIPAL_NAME, name, draft->id.b, CMK_ID_SIZE);
    return rc;
}
