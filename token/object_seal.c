#include "token/object_seal.h"

#include <string.h>

/* label ‖ vault id ‖ kind ‖ str(id) ‖ revision ‖ str(body without blob and signature): all that a blob or a signature
 * is bound to. */
static cmk_rc bound(const char *label, const cmk_record_key *rk, uint64_t revision, const cmk_object_rec *rec,
                    cmk_buf *out)
{
    CMK_BUF_AUTO head = CMK_BUF_INIT;
    CMK_BUF_AUTO number = CMK_BUF_INIT;
    cmk_object_rec bare = *rec;
    bare.blob = (cmk_bytes){NULL, 0};
    bare.signature = (cmk_bytes){NULL, 0};
    cmk_object_rec_encode(&bare, &head);
    cmk_buf_u64(&number, revision);
    cmk_blob_aad(out, label, rk, cmk_buf_view(&number));
    cmk_buf_str(out, cmk_buf_view(&head));
    cmk_rc rc = cmk_buf_ok(&head);
    if (rc == CMK_OK)
        rc = cmk_buf_ok(&number);
    return rc == CMK_OK ? cmk_buf_ok(out) : rc;
}

static cmk_rc signed_message(const cmk_record_key *rk, uint64_t revision, const cmk_object_rec *rec, cmk_buf *out)
{
    uint8_t hash[CMK_SHA256_SIZE];
    cmk_rc rc = bound("cmk11 object signature v1", rk, revision, rec, out);
    if (rc == CMK_OK)
        rc = cmk_sha256(&rec->blob, 1, hash);
    if (rc != CMK_OK)
        return rc;
    cmk_buf_add(out, hash, sizeof hash);
    return cmk_buf_ok(out);
}

/* The signature field: log public key ‖ Ed25519. The key says whether a signature that does not verify is an old key's
 * or nobody's. */
static cmk_rc sign(const cmk_writer *w, const cmk_record_key *rk, uint64_t revision, const cmk_object_rec *rec,
                   const uint8_t log_public[CMK_CURVE_KEY_SIZE], cmk_buf *out)
{
    CMK_BUF_AUTO message = CMK_BUF_INIT;
    uint8_t signature[CMK_SIGNATURE_SIZE];
    cmk_rc rc = signed_message(rk, revision, rec, &message);
    if (rc == CMK_OK)
        rc = cmk_ed25519_sign(w->log, cmk_buf_view(&message), signature);
    if (rc != CMK_OK)
        return rc;
    cmk_buf_add(out, log_public, CMK_CURVE_KEY_SIZE);
    cmk_buf_add(out, signature, sizeof signature);
    return cmk_buf_ok(out);
}

cmk_rc cmk_object_seal(const cmk_writer *w, const uint8_t log_public[CMK_CURVE_KEY_SIZE], const cmk_record_key *rk,
                       uint64_t revision, cmk_object_rec *rec, const cmk_object_contents *contents, cmk_buf *out)
{
    CMK_BUF_AUTO aad = CMK_BUF_INIT;
    CMK_BUF_AUTO plain = CMK_BUF_INIT;
    CMK_BUF_AUTO blob = CMK_BUF_INIT;
    CMK_BUF_AUTO signature = CMK_BUF_INIT;
    rec->attributes = rec->is_private ? (cmk_bytes){NULL, 0} : contents->attributes;
    cmk_buf_str(&plain, rec->is_private ? contents->attributes : (cmk_bytes){NULL, 0});
    cmk_buf_str(&plain, contents->value);
    cmk_rc rc = cmk_buf_ok(&plain);
    if (rc == CMK_OK)
        rc = bound("cmk11 object v1", rk, revision, rec, &aad);
    if (rc == CMK_OK)
        rc = cmk_aead_seal(w->object_enc, cmk_buf_view(&aad), cmk_buf_view(&plain), &blob);
    if (rc != CMK_OK)
        return rc;
    rec->blob = cmk_buf_view(&blob);
    if (!rec->is_private)
        rc = sign(w, rk, revision, rec, log_public, &signature);
    rec->signature = cmk_buf_view(&signature);
    if (rc == CMK_OK) {
        cmk_object_rec_encode(rec, out);
        rc = cmk_buf_ok(out);
    }
    rec->blob = rec->signature = (cmk_bytes){NULL, 0};
    return rc;
}

/* The encryption key of an object key generation, into secret memory. */
static cmk_rc encryption_key(cmk_login *login, uint32_t generation, uint8_t out[CMK_KEY_SIZE])
{
    CMK_SECRET_AUTO spare = CMK_SECRET_INIT;
    uint32_t newest = 0;
    cmk_rc rc = cmk_secret_new(&spare, (size_t)2 * CMK_KEY_SIZE);
    if (rc != CMK_OK)
        return rc;
    cmk_rwlock_read(&login->lock);
    const uint8_t *key = NULL;
    if (login->unlocked && cmk_login_key(login, CMK_SEAL_OBJECT_KEY, NULL, 0, &newest))
        key = cmk_login_key(login, CMK_SEAL_OBJECT_KEY, NULL, generation, NULL);
    if (!login->unlocked)
        rc = cmk_fail(CMK_E_NOT_LOGGED_IN, "the login has ended; log in again");
    else if (!key)
        rc = cmk_fail(CMK_E_FORBIDDEN, "%s does not hold the key of this object", login->name);
    else if (generation == newest)
        memcpy(out, login->unlocked->object_enc, CMK_KEY_SIZE);
    else
        rc = cmk_object_keys(key, spare.data, out, spare.data + CMK_KEY_SIZE);
    cmk_rwlock_unlock(&login->lock);
    return rc;
}

cmk_rc cmk_object_open(cmk_login *login, const cmk_record_key *rk, uint64_t revision, const cmk_object_rec *rec,
                       cmk_opened **out)
{
    CMK_SECRET_AUTO key = CMK_SECRET_INIT;
    CMK_SECRET_AUTO plain = CMK_SECRET_INIT;
    CMK_BUF_AUTO aad = CMK_BUF_INIT;
    cmk_opened *o = cmk_opened_new();
    cmk_rc rc = o ? cmk_secret_new(&key, CMK_KEY_SIZE) : cmk_fail(CMK_E_NO_MEMORY, "no memory for an object");
    if (rc == CMK_OK)
        rc = encryption_key(login, rec->object_key_generation, key.data);
    if (rc == CMK_OK)
        rc = bound("cmk11 object v1", rk, revision, rec, &aad);
    if (rc == CMK_OK)
        rc = cmk_aead_open(key.data, cmk_buf_view(&aad), rec->blob, &plain);
    if (rc == CMK_OK) {
        cmk_reader r = cmk_reader_of(cmk_secret_view(&plain));
        cmk_bytes attributes = cmk_read_str(&r, CMK_RECORD_BODY_MAX);
        cmk_bytes value = cmk_read_str(&r, CMK_OBJECT_VALUE_MAX);
        rc = cmk_reader_end(&r);
        if (rc == CMK_OK)
            rc = cmk_secret_copy(&o->attributes, attributes);
        if (rc == CMK_OK)
            rc = cmk_secret_copy(&o->value, value);
    }
    if (rc != CMK_OK && o) {
        cmk_ref_put(&o->ref);
        o = NULL;
    }
    *out = o;
    return rc;
}

cmk_rc cmk_object_check_author(cmk_view *view, const cmk_record_key *rk, uint64_t revision, const cmk_object_rec *rec)
{
    CMK_RECORD_AUTO row = {.revision = 0};
    CMK_BUF_AUTO message = CMK_BUF_INIT;
    cmk_principal_rec author;
    cmk_record_key pk = cmk_rkey_id(&rk->vault, CMK_KIND_PRINCIPAL, &rec->author);
    cmk_rc rc = cmk_view_get(view, &pk, &row);
    if (rc == CMK_OK)
        rc = cmk_principal_rec_decode(cmk_buf_view(&row.body), &author);
    if (rc == CMK_E_NOT_FOUND)
        return cmk_fail(CMK_E_TAMPERED, "a public object names an author that does not exist");
    if (rc == CMK_OK &&
        (author.state != CMK_PRINCIPAL_ACTIVE || !cmk_policy_allows((cmk_role)author.role, CMK_ACT_OBJECT_CREATE)))
        return cmk_fail(CMK_E_NOT_FOUND,
                        "the author of a public object may not make objects any more; it shows after a login");
    if (rc != CMK_OK)
        return rc;
    if (rec->signature.len != CMK_CURVE_KEY_SIZE + CMK_SIGNATURE_SIZE)
        return cmk_fail(CMK_E_TAMPERED, "a public object has no signature");
    if (memcmp(rec->signature.data, author.log_public, CMK_CURVE_KEY_SIZE) != 0)
        return cmk_fail(CMK_E_NOT_FOUND,
                        "a public object was signed with a key that its author has no more; it shows after a login");
    rc = signed_message(rk, revision, rec, &message);
    if (rc == CMK_OK)
        rc = cmk_ed25519_verify(author.log_public, cmk_buf_view(&message), rec->signature.data + CMK_CURVE_KEY_SIZE);
    if (rc == CMK_E_TAMPERED)
        rc = cmk_fail(rc, "the signature of a public object does not verify");
    return rc;
}

/* ---- look-up values ---- */

cmk_rc cmk_object_index_public(const cmk_id *vault, cmk_index number, cmk_bytes value, uint8_t out[CMK_SHA256_SIZE])
{
    static const char label[] = "cmk11 public object index v1";
    uint8_t n = (uint8_t)number;
    const cmk_bytes parts[] = {cmk_bytes_of(label, sizeof label), cmk_bytes_of(vault->b, CMK_ID_SIZE),
                               cmk_bytes_of(&n, 1), value};
    return cmk_sha256(parts, sizeof parts / sizeof parts[0], out);
}

cmk_rc cmk_object_index_private(const uint8_t key[CMK_KEY_SIZE], cmk_index number, cmk_bytes value,
                                uint8_t out[CMK_SHA256_SIZE])
{
    static const char label[] = "cmk11 private object index v1";
    uint8_t n = (uint8_t)number;
    const cmk_bytes parts[] = {cmk_bytes_of(label, sizeof label), cmk_bytes_of(&n, 1), value};
    return cmk_hmac_sha256(cmk_bytes_of(key, CMK_KEY_SIZE), parts, sizeof parts / sizeof parts[0], out);
}
