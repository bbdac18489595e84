/* PKCS#11 v3.0 §5.18, generating keys. A token RSA pair is a KEK: a new key of the vault, or a new version of the key
 * that has its label. */
#include <string.h>

#include "pkcs11/kobject.h"
#include "pkcs11/mechs.h"
#include "pkcs11/rules.h"
#include "util/log.h"

#define DAY 86400
#define EXPONENT_MAX 16

static CK_RV generate(cmk_call *c, const CK_MECHANISM *mechanism, const cmk_template *t, CK_OBJECT_HANDLE *out)
{
    CMK_MECH_AUTO mech = {0};
    CMK_SECRET_AUTO value = CMK_SECRET_INIT;
    cmk_making k;
    CK_RV rv = cmk_mech_read(mechanism, CKF_GENERATE, &mech);
    if (rv == CKR_OK && cmk_template_ulong(t, CKA_KEY_TYPE, mech.row->key_type) != mech.row->key_type)
        rv = CKR_TEMPLATE_INCONSISTENT;
    if (rv == CKR_OK)
        rv = cmk_making_start(c, CMK_IN_GENERATE, CKO_SECRET_KEY, t, &k);
    if (rv == CKR_OK)
        rv = cmk_making_secret(&k, mech.row->key_type, mech.row->type);
    if (rv != CKR_OK)
        return rv;
    if (!cmk_template_find(t, CKA_VALUE_LEN))
        return CKR_TEMPLATE_INCOMPLETE;
    CK_ULONG n = cmk_template_ulong(t, CKA_VALUE_LEN, 0);
    if (!cmk_making_fits(&k, n))
        return CKR_KEY_SIZE_RANGE;
    cmk_rc rc = cmk_dek_generate(n, &value);
    return rc == CMK_OK ? cmk_making_finish(c, &k, &value, out) : cmk_ckr(rc);
}

/* PKCS#11 v3.0 §5.18.1 C_GenerateKey */
CK_RV C_GenerateKey(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_ATTRIBUTE_PTR pTemplate,
                    CK_ULONG ulCount, CK_OBJECT_HANDLE_PTR phKey)
{
    cmk_call c;
    CMK_TEMPLATE_AUTO t = {0};
    cmk_template_init(&t);
    CK_RV rv = cmk_call_begin(&c, hSession);
    if (rv == CKR_OK)
        rv = phKey ? cmk_template_copy(pTemplate, ulCount, &t) : CKR_ARGUMENTS_BAD;
    if (rv == CKR_OK)
        rv = generate(&c, pMechanism, &t, phKey);
    return cmk_call_end(&c, __func__, rv);
}

/* ---- pairs ---- */

/* Does a template for half class of a pair ask for what a KEK with these operations is? Rows marked CMK_IN_KEK are
 * inputs; every other must equal what the KEK will have. */
static CK_RV check_half(const cmk_template *t, CK_OBJECT_CLASS class, uint32_t ops)
{
    const cmk_version_info planned = {
        .ops = ops, .origin = CMK_ORIGIN_GENERATED, .enabled = true, .key_enabled = true, .current = true};
    const cmk_kek_view kek = {class, NULL, &planned};
    for (size_t i = 0; i < t->count; i++) {
        const cmk_attr *a = &t->attrs[i];
        cmk_value v;
        if (!a->row || !(a->row->classes & cmk_class_bit(class)))
            return CKR_ATTRIBUTE_TYPE_INVALID;
        bool use = a->row->kind == CMK_ATTR_BOOL;
        if ((a->row->ops & CMK_IN_KEK) && !use)
            continue;
        if (!(a->row->ops & CMK_IN_GENERATE))
            return CKR_ATTRIBUTE_READ_ONLY;
        if (!a->row->kek || !a->row->kek(&kek, &v) || !cmk_bytes_equal(v.view, a->value))
            return CKR_TEMPLATE_INCONSISTENT;
    }
    return CKR_OK;
}

/* A name that either template, or both alike, may give. */
static CK_RV common(const cmk_template *pub, const cmk_template *prv, CK_ATTRIBUTE_TYPE type, cmk_bytes *out)
{
    cmk_bytes a = cmk_template_bytes(pub, type), b = cmk_template_bytes(prv, type);
    bool both = cmk_template_find(pub, type) && cmk_template_find(prv, type);
    if (both && !cmk_bytes_equal(a, b))
        return CKR_TEMPLATE_INCONSISTENT;
    *out = a.len > 0 ? a : b;
    return CKR_OK;
}

/* What the pair is to be used for: left out, wrap and unwrap are meant, and decrypt is not. */
static uint32_t ops_of(const cmk_template *pub, const cmk_template *prv)
{
    uint32_t ops = 0;
    if (cmk_template_bool(pub, CKA_WRAP, true))
        ops |= CMK_OP_WRAP;
    if (cmk_template_bool(prv, CKA_UNWRAP, true))
        ops |= CMK_OP_UNWRAP;
    if (cmk_template_bool(prv, CKA_DECRYPT, false))
        ops |= CMK_OP_DECRYPT;
    return ops;
}

/* 00:00 UTC of a CK_DATE or of the day after; 0 for none. What is not after 1970 is no time: 0 would mean for ever. */
static CK_RV start_of(cmk_bytes date, int64_t days_more, int64_t *out)
{
    int n[8] = {0};
    *out = 0;
    if (date.len != 8)
        return CKR_OK;
    for (size_t i = 0; i < 8; i++)
        n[i] = date.data[i] - '0';
    unsigned month = (unsigned)(n[4] * 10 + n[5]), day = (unsigned)(n[6] * 10 + n[7]);
    int64_t days = cmk_days_from_civil(n[0] * 1000 + n[1] * 100 + n[2] * 10 + n[3], month, day) + days_more;
    if (days <= 0)
        return CKR_ATTRIBUTE_VALUE_INVALID;
    *out = days * DAY;
    return CKR_OK;
}

/* Validity: by CK_DATE or by the vendor attributes, not both. END_DATE is the last day. */
static CK_RV validity(const cmk_template *pub, const cmk_template *prv, cmk_key_spec *spec)
{
    cmk_bytes start, end, not_before, expires;
    CK_RV rv = common(pub, prv, CKA_START_DATE, &start);
    if (rv == CKR_OK)
        rv = common(pub, prv, CKA_END_DATE, &end);
    if (rv == CKR_OK)
        rv = common(pub, prv, CKA_CMK_NOT_BEFORE, &not_before);
    if (rv == CKR_OK)
        rv = common(pub, prv, CKA_CMK_EXPIRES, &expires);
    if (rv != CKR_OK)
        return rv;
    if ((start.len > 0 && not_before.len > 0) || (end.len > 0 && expires.len > 0))
        return CKR_TEMPLATE_INCONSISTENT;
    if ((not_before.len > 0 && cmk_value_to_ulong(not_before) > INT64_MAX) ||
        (expires.len > 0 && cmk_value_to_ulong(expires) > INT64_MAX))
        return CKR_ATTRIBUTE_VALUE_INVALID;
    rv = start_of(start, 0, &spec->not_before);
    if (rv == CKR_OK)
        rv = start_of(end, 1, &spec->expires);
    if (not_before.len > 0)
        spec->not_before = (int64_t)cmk_value_to_ulong(not_before);
    if (expires.len > 0)
        spec->expires = (int64_t)cmk_value_to_ulong(expires);
    return rv;
}

static CK_RV kek_spec(const cmk_template *pub, const cmk_template *prv, cmk_key_spec *spec)
{
    CK_ULONG bits = cmk_template_ulong(pub, CKA_MODULUS_BITS, 0);
    *spec = (cmk_key_spec){.or_new_version = true, .ops = ops_of(pub, prv)};
    if (!cmk_template_find(pub, CKA_MODULUS_BITS))
        return CKR_TEMPLATE_INCOMPLETE;
    CK_RV rv = check_half(pub, CKO_PUBLIC_KEY, spec->ops);
    if (rv == CKR_OK)
        rv = check_half(prv, CKO_PRIVATE_KEY, spec->ops);
    if (rv == CKR_OK && spec->ops == 0)
        rv = CKR_TEMPLATE_INCONSISTENT;
    if (rv == CKR_OK)
        rv = common(pub, prv, CKA_LABEL, &spec->name);
    if (rv == CKR_OK)
        rv = common(pub, prv, CKA_ID, &spec->cka_id);
    if (rv == CKR_OK)
        rv = validity(pub, prv, spec);
    if (rv == CKR_OK)
        rv = common(pub, prv, CKA_PUBLIC_EXPONENT, &spec->exponent);
    if (rv != CKR_OK)
        return rv;
    if (bits != 2048 && bits != 3072 && bits != 4096)
        return CKR_KEY_SIZE_RANGE;
    if (spec->name.len > CMK_KEY_NAME_MAX || spec->cka_id.len > CMK_CKA_ID_MAX)
        return CKR_ATTRIBUTE_VALUE_INVALID;
    spec->bits = (unsigned)bits;
    bool exponent_given = cmk_template_find(pub, CKA_PUBLIC_EXPONENT) || spec->exponent.len > 0;
    while (spec->exponent.len > 0 && spec->exponent.data[0] == 0)
        spec->exponent = cmk_bytes_of(spec->exponent.data + 1, spec->exponent.len - 1);
    if (exponent_given && (spec->exponent.len == 0 || spec->exponent.len > EXPONENT_MAX))
        return CKR_ATTRIBUTE_VALUE_INVALID;
    return CKR_OK;
}

/* Errors of making a key that mean something about the templates here. */
static CK_RV create_error(cmk_rc rc)
{
    switch (rc) {
    case CMK_E_KEY_NOT_PERMITTED: /* decrypt, and the vault does not allow it */
        return CKR_TEMPLATE_INCONSISTENT;
    case CMK_E_EXISTS: /* the CKA_ID is taken */
    case CMK_E_NAME:
    case CMK_E_ARGUMENT:
        return CKR_ATTRIBUTE_VALUE_INVALID;
    default:
        return cmk_ckr(rc);
    }
}

static CK_RV generate_kek(cmk_call *c, const cmk_template *pub, const cmk_template *prv, CK_OBJECT_HANDLE *public_key,
                          CK_OBJECT_HANDLE *private_key)
{
    cmk_key_spec spec;
    cmk_version *version = NULL;
    CK_RV rv = kek_spec(pub, prv, &spec);
    if (rv == CKR_OK && !c->s->rw)
        rv = CKR_SESSION_READ_ONLY;
    cmk_login *user = rv == CKR_OK ? cmk_call_user(c) : NULL;
    if (rv == CKR_OK && !user)
        rv = CKR_USER_NOT_LOGGED_IN;
    if (rv != CKR_OK)
        return rv;
    cmk_vault_info vault;
    cmk_rc rc = cmk_vault_get_info(c->s->slot->vault, &vault);
    if (rc == CMK_OK && (spec.ops & ~vault.allow_ops))
        return CKR_TEMPLATE_INCONSISTENT;
    if (rc == CMK_OK)
        rc = cmk_key_create(user, &spec, &version);
    if (rc != CMK_OK)
        return create_error(rc);
    CK_OBJECT_HANDLE handles[2];
    rv = cmk_kobject_of_version(c, version, CKO_PUBLIC_KEY, c->s->handle, &handles[0]);
    if (rv == CKR_OK)
        rv = cmk_kobject_of_version(c, version, CKO_PRIVATE_KEY, c->s->handle, &handles[1]);
    if (rv == CKR_OK) {
        *public_key = handles[0];
        *private_key = handles[1];
    } else if (cmk_key_undo_version(user, version) != CMK_OK) {
        cmk_log(CMK_LOG_ERROR, "a key version was made but could not be handed out nor undone: %s", cmk_fail_detail());
    }
    cmk_version_put(version);
    return rv;
}

static CK_RV generate_pair(cmk_call *c, const CK_MECHANISM *mechanism, const cmk_template *pub, const cmk_template *prv,
                           CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key)
{
    CMK_MECH_AUTO mech = {0};
    CK_RV rv = cmk_mech_read(mechanism, CKF_GENERATE_KEY_PAIR, &mech);
    if (rv != CKR_OK)
        return rv;
    bool on_token = cmk_template_bool(prv, CKA_TOKEN, cmk_template_bool(pub, CKA_TOKEN, false));
    if (cmk_template_bool(pub, CKA_TOKEN, on_token) != on_token)
        return CKR_TEMPLATE_INCONSISTENT;
    if (on_token)
        return generate_kek(c, pub, prv, public_key, private_key);
    (void)cmk_fail(CMK_E_UNSUPPORTED, "session RSA pairs are not supported; a pair with CKA_TOKEN true is a KEK");
    return CKR_FUNCTION_NOT_SUPPORTED;
}

/* PKCS#11 v3.0 §5.18.2 C_GenerateKeyPair */
CK_RV C_GenerateKeyPair(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_ATTRIBUTE_PTR pPublicKeyTemplate,
                        CK_ULONG ulPublicKeyAttributeCount, CK_ATTRIBUTE_PTR pPrivateKeyTemplate,
                        CK_ULONG ulPrivateKeyAttributeCount, CK_OBJECT_HANDLE_PTR phPublicKey,
                        CK_OBJECT_HANDLE_PTR phPrivateKey)
{
    cmk_call c;
    CMK_TEMPLATE_AUTO pub, prv;
    cmk_template_init(&pub);
    cmk_template_init(&prv);
    CK_RV rv = cmk_call_begin(&c, hSession);
    if (rv == CKR_OK && (!phPublicKey || !phPrivateKey))
        rv = CKR_ARGUMENTS_BAD;
    if (rv == CKR_OK)
        rv = cmk_template_copy(pPublicKeyTemplate, ulPublicKeyAttributeCount, &pub);
    if (rv == CKR_OK)
        rv = cmk_template_copy(pPrivateKeyTemplate, ulPrivateKeyAttributeCount, &prv);
    if (rv == CKR_OK)
        rv = generate_pair(&c, pMechanism, &pub, &prv, phPublicKey, phPrivateKey);
    return cmk_call_end(&c, __func__, rv);
}
