/* Credentials: what a PIN opens. The record authenticates itself; its owner rewrites it. */
#include <string.h>

#include "token/internal.h"

enum { SCRYPT_R = 8, SCRYPT_P_MAX = 16 };

/* Key and commitment of a credential, in one piece of secret memory. */
typedef struct derived {
    uint8_t stretched[CMK_KEY_SIZE];
    uint8_t key[CMK_KEY_SIZE];
    uint8_t commitment[CMK_SHA256_SIZE];
} derived;

static void derived_free(derived **d)
{
    cmk_secret_free(*d);
}
#define DERIVED_AUTO __attribute__((cleanup(derived_free))) derived

static cmk_rc derive(const cmk_scrypt_params *kdf, cmk_bytes pin, derived *d)
{
    static const char key_label[] = "cmk11 credential key v1";
    static const char commitment_label[] = "cmk11 credential commitment v1";
    cmk_bytes no_host_secret = {NULL, 0};
    cmk_rc rc = cmk_scrypt(kdf, pin, d->stretched);
    cmk_bytes secret = cmk_bytes_of(d->stretched, sizeof(d->stretched));
    if (rc == CMK_OK)
        rc =
            cmk_hkdf_sha256(secret, no_host_secret, cmk_bytes_of(key_label, sizeof(key_label)), d->key, sizeof(d->key));
    if (rc == CMK_OK)
        rc = cmk_hkdf_sha256(secret, no_host_secret, cmk_bytes_of(commitment_label, sizeof(commitment_label)),
                             d->commitment, sizeof(d->commitment));
    return rc;
}

/* Names vault, record and revision, and everything in the body before the blob. */
static cmk_rc associated_data(const cmk_id *vault, const cmk_id *principal, uint64_t revision,
                              const cmk_credential_rec *rec, cmk_buf *out)
{
    cmk_credential_rec head = *rec;
    head.blob = cmk_bytes_of(NULL, 0);
    cmk_buf_label(out, "cmk11 credential v1");
    cmk_buf_add(out, vault->b, CMK_ID_SIZE);
    cmk_buf_u8(out, CMK_KIND_CREDENTIAL);
    cmk_buf_str(out, cmk_bytes_of(principal->b, CMK_ID_SIZE));
    cmk_buf_u64(out, revision);
    cmk_credential_rec_encode(&head, out);
    return cmk_buf_ok(out);
}

cmk_rc cmk_credential_make(const cmk_id *vault, const cmk_id *principal, uint64_t revision, cmk_bytes pin,
                           const cmk_opened_credential *content, const uint8_t x25519_public[CMK_CURVE_KEY_SIZE],
                           const uint8_t log_public[CMK_CURVE_KEY_SIZE], cmk_buf *body)
{
    cmk_credential_rec rec = {.host_secret_kind = 1};
    CMK_BUF_AUTO aad = CMK_BUF_INIT;
    CMK_BUF_AUTO plain = CMK_BUF_INIT;
    CMK_BUF_AUTO blob = CMK_BUF_INIT;
    DERIVED_AUTO *d = cmk_secret_alloc(sizeof(*d));
    if (!d)
        return cmk_fail(CMK_E_LOCKED_MEMORY, "no memory for a credential's key: look at RLIMIT_MEMLOCK");
    memcpy(rec.x25519_public, x25519_public, CMK_CURVE_KEY_SIZE);
    memcpy(rec.log_public, log_public, CMK_CURVE_KEY_SIZE);
    cmk_rc rc = cmk_scrypt_default(&rec.kdf);
    if (rc == CMK_OK)
        rc = derive(&rec.kdf, pin, d);
    if (rc != CMK_OK)
        return rc;
    memcpy(rec.commitment, d->commitment, sizeof(rec.commitment));
    cmk_buf_add(&plain, content->x25519, CMK_CURVE_KEY_SIZE);
    cmk_buf_add(&plain, content->log, CMK_CURVE_KEY_SIZE);
    cmk_buf_add(&plain, vault->b, CMK_ID_SIZE);
    cmk_buf_u32(&plain, content->admin_generation);
    cmk_buf_add(&plain, content->admin_public, CMK_CURVE_KEY_SIZE);
    rc = cmk_buf_ok(&plain);
    if (rc == CMK_OK)
        rc = associated_data(vault, principal, revision, &rec, &aad);
    if (rc == CMK_OK)
        rc = cmk_aead_seal(d->key, cmk_buf_view(&aad), cmk_buf_view(&plain), &blob);
    if (rc == CMK_OK)
        rc = cmk_buf_ok(&blob);
    if (rc != CMK_OK)
        return rc;
    rec.blob = cmk_buf_view(&blob);
    cmk_credential_rec_encode(&rec, body);
    return cmk_buf_ok(body);
}

static cmk_rc check_costs(const cmk_credential_rec *rec)
{
    if (rec->kdf.r != SCRYPT_R || rec->kdf.p > SCRYPT_P_MAX)
        return cmk_fail(CMK_E_TAMPERED, "scrypt parameters that no release writes: r %u, p %u", rec->kdf.r, rec->kdf.p);
    if (rec->host_secret_kind != 1 || rec->host_secret_ref.len > 0)
        return cmk_fail(CMK_E_TAMPERED,
                        "a credential that asks for a host secret that the configuration does not name");
    return cmk_scrypt_check(&rec->kdf);
}

cmk_rc cmk_credential_open(const cmk_id *vault, const cmk_id *principal, uint64_t revision, cmk_bytes pin,
                           const cmk_credential_rec *rec, cmk_opened_credential *out)
{
    CMK_BUF_AUTO aad = CMK_BUF_INIT;
    CMK_SECRET_AUTO plain = CMK_SECRET_INIT;
    cmk_id anchored_vault = {{0}};
    cmk_rc rc = check_costs(rec);
    if (rc != CMK_OK)
        return rc;
    DERIVED_AUTO *d = cmk_secret_alloc(sizeof(*d));
    if (!d)
        return cmk_fail(CMK_E_LOCKED_MEMORY, "no memory for a credential's key: look at RLIMIT_MEMLOCK");
    rc = derive(&rec->kdf, pin, d);
    if (rc == CMK_OK && !cmk_equal_ct(d->commitment, rec->commitment, sizeof(d->commitment)))
        return cmk_fail(CMK_E_PIN_INCORRECT, "the PIN does not open the credential");
    if (rc == CMK_OK)
        rc = associated_data(vault, principal, revision, rec, &aad);
    if (rc == CMK_OK)
        rc = cmk_aead_open(d->key, cmk_buf_view(&aad), rec->blob, &plain);
    if (rc == CMK_E_TAMPERED) /* the commitment shows that the PIN is right */
        return cmk_fail(CMK_E_TAMPERED, "the credential was changed by somebody who does not know its PIN");
    if (rc != CMK_OK)
        return rc;
    cmk_reader r = cmk_reader_of(cmk_secret_view(&plain));
    cmk_read_raw(&r, out->x25519, CMK_CURVE_KEY_SIZE);
    cmk_read_raw(&r, out->log, CMK_CURVE_KEY_SIZE);
    cmk_read_raw(&r, anchored_vault.b, CMK_ID_SIZE);
    out->admin_generation = cmk_read_u32(&r);
    cmk_read_raw(&r, out->admin_public, CMK_CURVE_KEY_SIZE);
    if (cmk_reader_end(&r) != CMK_OK || !cmk_id_equal(&anchored_vault, vault)) {
        cmk_wipe(out, sizeof(*out));
        return cmk_fail(CMK_E_TAMPERED, "the credential is another vault's");
    }
    return CMK_OK;
}
