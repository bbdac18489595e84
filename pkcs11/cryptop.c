/* The work of an encryption or decryption under way. */
#include <stdlib.h>
#include <string.h>

#include "pkcs11/crypt.h"

#define BLOCK 16
#define INPUT_MAX (SIZE_MAX / 4)

void cmk_crypt_free(cmk_crypt_state *s)
{
    if (!s)
        return;
    cmk_dek_end(s->op);
    cmk_buf_free(&s->result);
    cmk_mech_clear(&s->mech);
    cmk_login_put(s->login);
    cmk_kobject_put(s->key);
    free(s);
}

/* ---- starting ---- */

/* The public half encrypts and the private half decrypts, where the key's operations have decrypt. */
static CK_RV start_kek(cmk_call *c, cmk_crypt_state *s)
{
    CMK_LOOK_AUTO look = {0};
    CK_OBJECT_CLASS half = s->encrypt ? CKO_PUBLIC_KEY : CKO_PRIVATE_KEY;
    CK_RV rv = cmk_look_begin(c, s->key, &look);
    if (rv != CKR_OK)
        return rv;
    if (s->mech.row->key_type != CKK_RSA)
        return CKR_KEY_TYPE_INCONSISTENT;
    if (s->key->class != half || !(look.info.ops & CMK_OP_DECRYPT))
        return CKR_KEY_FUNCTION_NOT_PERMITTED;
    cmk_rc rc = cmk_kek_check(cmk_call_login(c), s->key->version, s->encrypt ? CMK_ACT_WRAP : CMK_ACT_DECRYPT);
    if (rc != CMK_OK)
        return rc == CMK_E_FORBIDDEN ? CKR_KEY_FUNCTION_NOT_PERMITTED : cmk_ckr(rc);
    s->login = c->login; /* the operation keeps the reference */
    c->login = NULL;
    c->asked = false;
    return CKR_OK;
}

static CK_RV start_dek(cmk_call *c, cmk_crypt_state *s)
{
    CMK_LOOK_AUTO look = {0};
    cmk_value mechs;
    cmk_bytes value;
    CK_RV rv = cmk_look_begin(c, s->key, &look);
    if (rv != CKR_OK)
        return rv;
    if (look.class == CKO_PUBLIC_KEY && s->encrypt && s->mech.row->key_type == CKK_RSA)
        return CKR_KEY_FUNCTION_NOT_PERMITTED;
    if (look.class != CKO_SECRET_KEY || cmk_look_ulong(c, &look, CKA_KEY_TYPE) != s->mech.row->key_type)
        return CKR_KEY_TYPE_INCONSISTENT;
    if (!cmk_look_true(c, &look, s->encrypt ? CKA_ENCRYPT : CKA_DECRYPT))
        return CKR_KEY_FUNCTION_NOT_PERMITTED;
    if (cmk_look_at(c, &look, CKA_ALLOWED_MECHANISMS, &mechs) == CKR_OK &&
        !cmk_mechs_allow(mechs.view, s->mech.row->type))
        return CKR_MECHANISM_INVALID;
    rv = cmk_look_secret(c, &look, &value);
    if (rv != CKR_OK)
        return rv;
    cmk_rc rc = cmk_dek_start(&s->mech.dek, value, &s->op);
    return rc == CMK_OK ? CKR_OK : cmk_ckr(rc);
}

CK_RV cmk_crypt_new(cmk_call *c, bool encrypt, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key,
                    cmk_crypt_state **out)
{
    cmk_crypt_state *s = calloc(1, sizeof(*s));
    if (!s)
        return CKR_HOST_MEMORY;
    s->encrypt = encrypt;
    CK_RV rv = cmk_mech_read(mechanism, encrypt ? CKF_ENCRYPT : CKF_DECRYPT, &s->mech);
    if (rv == CKR_OK && cmk_kobject_get(c, key, &s->key) != CKR_OK)
        rv = CKR_KEY_HANDLE_INVALID;
    if (rv == CKR_OK)
        rv = s->key->kind == CMK_KOBJECT_KEK ? start_kek(c, s) : start_dek(c, s);
    if (rv == CKR_OBJECT_HANDLE_INVALID)
        rv = CKR_KEY_HANDLE_INVALID;
    if (rv == CKR_OK)
        *out = s;
    else
        cmk_crypt_free(s);
    return rv;
}

/* ---- going on ---- */

static CK_RV error(const cmk_crypt_state *s, cmk_rc rc)
{
    switch (rc) {
    case CMK_OK:
        return CKR_OK;
    case CMK_E_DATA_LENGTH:
    case CMK_E_WRAPPED_KEY_LENGTH:
        return s->encrypt ? CKR_DATA_LEN_RANGE : CKR_ENCRYPTED_DATA_LEN_RANGE;
    case CMK_E_FORBIDDEN:
        return CKR_KEY_FUNCTION_NOT_PERMITTED;
    case CMK_E_DECRYPT:
    case CMK_E_WRAPPED_KEY:
        return CKR_ENCRYPTED_DATA_INVALID;
    default:
        return cmk_ckr(rc);
    }
}

/* Gives a kept result, if it fits. */
static CK_RV give_result(cmk_crypt_state *s, cmk_output out)
{
    CK_ULONG room = *out.len;
    *out.len = s->result.len;
    s->has_result = true;
    if (!out.data)
        return CKR_OK;
    if (room < s->result.len)
        return CKR_BUFFER_TOO_SMALL;
    if (s->result.len > 0)
        memcpy(out.data, s->result.data, s->result.len);
    return CKR_OK;
}

/* The most that one call on n bytes gives; exact but for CBC with padding in decryption. */
static CK_RV once_size(const cmk_crypt_state *s, size_t n, size_t *out)
{
    size_t tag = s->mech.dek.tag_bits / 8;
    CK_RV bad = s->encrypt ? CKR_DATA_LEN_RANGE : CKR_ENCRYPTED_DATA_LEN_RANGE;
    if (n > INPUT_MAX)
        return bad;
    switch (s->mech.dek.mode) {
    case CMK_DEK_CBC:
        *out = n;
        return n % BLOCK == 0 ? CKR_OK : bad;
    case CMK_DEK_CBC_PAD:
        *out = s->encrypt ? (n / BLOCK + 1) * BLOCK : n;
        return s->encrypt || (n % BLOCK == 0 && n > 0) ? CKR_OK : bad;
    case CMK_DEK_GCM:
        if (!s->encrypt && n < tag)
            return bad;
        *out = s->encrypt ? n + tag : n - tag;
        return CKR_OK;
    }
    return CKR_GENERAL_ERROR;
}

static cmk_rc update_and_final(cmk_crypt_state *s, cmk_bytes in, uint8_t *out, size_t *len)
{
    size_t head = 0, tail = 0;
    cmk_rc rc = cmk_dek_update(s->op, in, out, &head);
    if (rc == CMK_OK)
        rc = cmk_dek_final(s->op, out + head, &tail);
    *len = head + tail;
    return rc;
}

/* Into a buffer of our own, when the application's may be too small for what is only known afterwards. */
static CK_RV into_result(cmk_crypt_state *s, cmk_bytes in, size_t most, cmk_output out)
{
    size_t n = 0;
    uint8_t *p = cmk_buf_extend(&s->result, most + BLOCK);
    if (!p)
        return CKR_HOST_MEMORY;
    cmk_rc rc = update_and_final(s, in, p, &n);
    s->result.len = rc == CMK_OK ? n : s->result.len;
    return rc == CMK_OK ? give_result(s, out) : error(s, rc);
}

static CK_RV once_dek(cmk_crypt_state *s, cmk_bytes in, cmk_output out)
{
    size_t most = 0, n = 0;
    CK_RV rv = once_size(s, in.len, &most);
    if (rv != CKR_OK)
        return rv;
    CK_ULONG room = *out.len;
    bool exact = s->encrypt || s->mech.dek.mode != CMK_DEK_CBC_PAD;
    if (!out.data || (room < most && (exact || room + BLOCK < most))) {
        *out.len = most;
        return out.data ? CKR_BUFFER_TOO_SMALL : CKR_OK;
    }
    if (room < most || cmk_dek_update_size(s->op, in.len) > room)
        return into_result(s, in, most, out);
    cmk_rc rc = update_and_final(s, in, out.data, &n);
    if (rc == CMK_OK)
        *out.len = n;
    return error(s, rc);
}

static size_t hash_size(cmk_hash_id hash)
{
    static const uint8_t sizes[] = {[CMK_USE_SHA1] = 20,
                                    [CMK_USE_SHA224] = 28,
                                    [CMK_USE_SHA256] = 32,
                                    [CMK_USE_SHA384] = 48,
                                    [CMK_USE_SHA512] = 64};
    return sizes[hash];
}

static CK_RV decrypt_rsa(cmk_crypt_state *s, cmk_bytes in, cmk_output out)
{
    CMK_SECRET_AUTO plain = CMK_SECRET_INIT;
    size_t modulus = cmk_version_modulus(s->key->version).len, frame = 2 * hash_size(s->mech.wrap.hash) + 2;
    if (!out.data) {
        *out.len = modulus > frame ? modulus - frame : 0;
        return CKR_OK;
    }
    cmk_rc rc = cmk_kek_unwrap(s->login, s->key->version, CMK_ACT_DECRYPT, &s->mech.wrap, in, &plain);
    if (rc != CMK_OK)
        return error(s, rc);
    cmk_buf_add(&s->result, plain.data, plain.len);
    return cmk_buf_ok(&s->result) == CMK_OK ? give_result(s, out) : CKR_HOST_MEMORY;
}

static CK_RV encrypt_rsa(cmk_crypt_state *s, cmk_bytes in, cmk_output out)
{
    size_t size = 0;
    cmk_rc rc = cmk_kek_wrapped_size(s->key->version, &s->mech.wrap, in.len, &size);
    if (rc != CMK_OK)
        return error(s, rc);
    if (!out.data || *out.len < size) {
        *out.len = size;
        return out.data ? CKR_BUFFER_TOO_SMALL : CKR_OK;
    }
    rc = cmk_kek_wrap(s->login, s->key->version, &s->mech.wrap, in, &s->result);
    return rc == CMK_OK ? give_result(s, out) : error(s, rc);
}

CK_RV cmk_crypt_once(cmk_crypt_state *s, cmk_bytes in, cmk_output out)
{
    if (s->multi)
        return CKR_OPERATION_ACTIVE;
    if (s->has_result)
        return give_result(s, out);
    if (s->op)
        return once_dek(s, in, out);
    return s->encrypt ? encrypt_rsa(s, in, out) : decrypt_rsa(s, in, out);
}

CK_RV cmk_crypt_update(cmk_crypt_state *s, cmk_bytes in, cmk_output out)
{
    if (s->has_result)
        return CKR_OPERATION_ACTIVE;
    if (!s->op || in.len > INPUT_MAX)
        return s->op ? error(s, CMK_E_DATA_LENGTH) : CKR_FUNCTION_NOT_SUPPORTED;
    size_t most = cmk_dek_update_size(s->op, in.len), n = 0;
    if (!out.data || *out.len < most) {
        *out.len = most;
        return out.data ? CKR_BUFFER_TOO_SMALL : CKR_OK;
    }
    cmk_rc rc = cmk_dek_update(s->op, in, out.data, &n);
    s->multi = true;
    if (rc == CMK_OK)
        *out.len = n;
    return error(s, rc);
}

CK_RV cmk_crypt_final(cmk_crypt_state *s, cmk_bytes in, cmk_output out)
{
    (void)in;
    if (!s->op)
        return CKR_FUNCTION_NOT_SUPPORTED;
    if (s->has_result)
        return s->multi ? give_result(s, out) : CKR_OPERATION_ACTIVE;
    size_t most = cmk_dek_final_size(s->op), n = 0;
    bool exact = s->encrypt || s->mech.dek.mode != CMK_DEK_CBC_PAD;
    if (!out.data || (*out.len < most && exact)) {
        *out.len = most;
        return out.data ? CKR_BUFFER_TOO_SMALL : CKR_OK;
    }
    if (*out.len < most) {
        s->multi = true;
        return into_result(s, cmk_bytes_of(NULL, 0), most, out);
    }
    cmk_rc rc = cmk_dek_final(s->op, out.data, &n);
    if (rc == CMK_OK)
        *out.len = n;
    return error(s, rc);
}
