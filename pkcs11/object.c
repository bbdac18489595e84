/* PKCS#11 v3.0 §5.7, making and unmaking objects. */
#include "pkcs11/kobject.h"
#include "pkcs11/rules.h"

#define RSA_BYTES_MAX 1024 /* modulus or exponent of an RSA public key object */

/* Every attribute of a list must be there and not empty. */
static CK_RV require(const cmk_template *t, const CK_ATTRIBUTE_TYPE *types, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (cmk_template_bytes(t, types[i]).len == 0)
            return CKR_TEMPLATE_INCOMPLETE;
    return CKR_OK;
}

static CK_RV create_secret(cmk_call *c, const cmk_template *t, cmk_making *k, CK_OBJECT_HANDLE *out)
{
    static const CK_ATTRIBUTE_TYPE needed[] = {CKA_KEY_TYPE, CKA_VALUE};
    CMK_SECRET_AUTO value = CMK_SECRET_INIT;
    if (!c->m->config->import_secret_keys) {
        (void)cmk_fail(CMK_E_ACTION_PROHIBITED, "raw secret keys are refused by import-secret-keys = off; unwrap them");
        return CKR_ACTION_PROHIBITED;
    }
    CK_RV rv = require(t, needed, 2);
    if (rv == CKR_OK)
        rv = cmk_making_secret(k, cmk_template_ulong(t, CKA_KEY_TYPE, 0), CK_UNAVAILABLE_INFORMATION);
    if (rv != CKR_OK)
        return rv;
    cmk_bytes raw = cmk_template_bytes(t, CKA_VALUE);
    if (!cmk_making_fits(k, raw.len))
        return CKR_ATTRIBUTE_VALUE_INVALID;
    cmk_rc rc = cmk_secret_copy(&value, raw);
    if (rc != CMK_OK)
        return cmk_ckr(rc);
    cmk_making_drop(k, CKA_VALUE);
    return cmk_making_finish(c, k, &value, out);
}

static bool named_as(const cmk_template *t, CK_ATTRIBUTE_TYPE type, cmk_bytes is)
{
    const cmk_attr *a = cmk_template_find(t, type);
    return !a || a->value.len == 0 || cmk_bytes_equal(a->value, is);
}

/* A token public key that is a KEK's: its version's public object. Applications write it beside the private key. */
static CK_RV find_kek(cmk_call *c, const cmk_template *t, CK_OBJECT_HANDLE *out)
{
    cmk_version *version = NULL;
    cmk_version_info info;
    CK_RV rv = CKR_OBJECT_HANDLE_INVALID;
    cmk_bytes modulus = cmk_template_bytes(t, CKA_MODULUS);
    if (cmk_version_find(c->s->slot->vault, CMK_BY_MODULUS, modulus, &version) != CMK_OK)
        return rv;
    if (cmk_version_get_info(version, &info) == CMK_OK && named_as(t, CKA_LABEL, cmk_bytes_str(info.key_name)) &&
        named_as(t, CKA_ID, cmk_bytes_of(info.cka_id, info.cka_id_len)) &&
        cmk_bytes_equal(cmk_template_bytes(t, CKA_PUBLIC_EXPONENT), cmk_version_exponent(version)))
        rv = cmk_kobject_of_version(c, version, CKO_PUBLIC_KEY, 0, out);
    cmk_version_put(version);
    return rv;
}

/* An ordinary public key: it wraps nothing (docs/threat-model.md: trojan wrapping keys). */
static CK_RV create_public(cmk_call *c, const cmk_template *t, cmk_making *k, CK_OBJECT_HANDLE *out)
{
    static const CK_ATTRIBUTE_TYPE needed[] = {CKA_KEY_TYPE, CKA_MODULUS, CKA_PUBLIC_EXPONENT};
    CMK_BUF_AUTO info = CMK_BUF_INIT;
    CK_RV rv = require(t, needed, 3);
    if (rv != CKR_OK)
        return rv;
    cmk_bytes n = cmk_template_bytes(t, CKA_MODULUS), e = cmk_template_bytes(t, CKA_PUBLIC_EXPONENT);
    if (cmk_template_ulong(t, CKA_KEY_TYPE, 0) != CKK_RSA || n.len > RSA_BYTES_MAX || e.len > RSA_BYTES_MAX)
        return CKR_ATTRIBUTE_VALUE_INVALID;
    if (k->token && find_kek(c, t, out) == CKR_OK)
        return CKR_OK;
    if (k->token && cmk_template_bool(t, CKA_WRAP, false))
        return CKR_TEMPLATE_INCONSISTENT;
    if (k->token)
        cmk_making_set_bool(k, CKA_WRAP, false);
    if (cmk_token_public_info(n, e, &info) != CMK_OK)
        return CKR_ATTRIBUTE_VALUE_INVALID;
    size_t zeros = 0, top = 8;
    while (zeros < n.len && n.data[zeros] == 0)
        zeros++;
    while (zeros < n.len && top > 0 && !(n.data[zeros] >> (top - 1)))
        top--;
    cmk_making_set_ulong(k, CKA_MODULUS_BITS, zeros < n.len ? (n.len - zeros - 1) * 8 + top : 0);
    cmk_making_set(k, CKA_PUBLIC_KEY_INFO, cmk_buf_view(&info));
    return cmk_making_finish(c, k, NULL, out);
}

/* RSA private keys: KEKs are generated in the token; importing them and session keys come with a later release. */
static CK_RV create_private(__attribute__((unused)) cmk_call *c, __attribute__((unused)) const cmk_template *t,
                            __attribute__((unused)) cmk_making *k, __attribute__((unused)) CK_OBJECT_HANDLE *out)
{
    (void)cmk_fail(CMK_E_UNSUPPORTED, "private keys can't be created from their values; generate them in the token");
    return CKR_FUNCTION_NOT_SUPPORTED;
}

static CK_RV create_certificate(cmk_call *c, const cmk_template *t, cmk_making *k, CK_OBJECT_HANDLE *out)
{
    static const CK_ATTRIBUTE_TYPE needed[] = {CKA_CERTIFICATE_TYPE, CKA_SUBJECT};
    CK_RV rv = require(t, needed, 2);
    if (rv != CKR_OK)
        return rv;
    if (cmk_template_ulong(t, CKA_CERTIFICATE_TYPE, 0) != CKC_X_509)
        return CKR_ATTRIBUTE_VALUE_INVALID;
    if (cmk_template_bytes(t, CKA_VALUE).len == 0 && cmk_template_bytes(t, CKA_URL).len == 0)
        return CKR_TEMPLATE_INCOMPLETE;
    return cmk_making_finish(c, k, NULL, out);
}

static CK_RV create_data(cmk_call *c, const cmk_template *t, cmk_making *k, CK_OBJECT_HANDLE *out)
{
    (void)t;
    return cmk_making_finish(c, k, NULL, out);
}

static CK_RV create(cmk_call *c, const cmk_template *t, CK_OBJECT_HANDLE *out)
{
    static CK_RV (*const by_class[])(cmk_call *, const cmk_template *, cmk_making *, CK_OBJECT_HANDLE *) = {
        [CKO_DATA] = create_data,           [CKO_CERTIFICATE] = create_certificate, [CKO_PUBLIC_KEY] = create_public,
        [CKO_PRIVATE_KEY] = create_private, [CKO_SECRET_KEY] = create_secret,
    };
    cmk_making k;
    const cmk_attr *class = cmk_template_find(t, CKA_CLASS);
    if (!class)
        return CKR_TEMPLATE_INCOMPLETE;
    CK_OBJECT_CLASS is = cmk_value_to_ulong(class->value);
    if (cmk_class_bit(is) == 0)
        return CKR_ATTRIBUTE_VALUE_INVALID;
    CK_RV rv = cmk_making_start(c, CMK_IN_CREATE, is, t, &k);
    return rv == CKR_OK ? by_class[is](c, t, &k, out) : rv;
}

/* PKCS#11 v3.0 §5.7.1 C_CreateObject */
CK_RV C_CreateObject(CK_SESSION_HANDLE hSession, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount,
                     CK_OBJECT_HANDLE_PTR phObject)
{
    cmk_call c;
    CMK_TEMPLATE_AUTO t = {0};
    cmk_template_init(&t);
    CK_RV rv = cmk_call_begin(&c, hSession);
    if (rv == CKR_OK)
        rv = phObject ? cmk_template_copy(pTemplate, ulCount, &t) : CKR_ARGUMENTS_BAD;
    if (rv == CKR_OK)
        rv = create(&c, &t, phObject);
    return cmk_call_end(&c, __func__, rv);
}

static CK_RV copy(cmk_call *c, cmk_kobject *o, const cmk_template *t, CK_OBJECT_HANDLE *out)
{
    CMK_LOOK_AUTO look = {0};
    CMK_SECRET_AUTO value = CMK_SECRET_INIT;
    cmk_making k;
    cmk_bytes raw;
    CK_RV rv = cmk_look_begin(c, o, &look);
    if (rv != CKR_OK)
        return rv;
    if (o->kind == CMK_KOBJECT_KEK || !cmk_look_true(c, &look, CKA_COPYABLE))
        return CKR_ACTION_PROHIBITED;
    rv = cmk_making_copy(c, &look, t, &k);
    if (rv == CKR_OK && k.class == CKO_PUBLIC_KEY && k.token && cmk_template_bool(t, CKA_WRAP, false))
        rv = CKR_TEMPLATE_INCONSISTENT;
    if (rv != CKR_OK)
        return rv;
    if (k.class == CKO_PUBLIC_KEY && k.token)
        cmk_making_set_bool(&k, CKA_WRAP, false);
    if (k.class != CKO_SECRET_KEY)
        return cmk_making_finish(c, &k, NULL, out);
    cmk_making_set_bool(&k, CKA_ALWAYS_SENSITIVE,
                        cmk_making_true(&k, CKA_ALWAYS_SENSITIVE) && cmk_making_true(&k, CKA_SENSITIVE));
    cmk_making_set_bool(&k, CKA_NEVER_EXTRACTABLE,
                        cmk_making_true(&k, CKA_NEVER_EXTRACTABLE) && !cmk_making_true(&k, CKA_EXTRACTABLE));
    rv = cmk_rules_disjoint(&k);
    if (rv == CKR_OK)
        rv = cmk_look_secret(c, &look, &raw);
    if (rv != CKR_OK)
        return rv;
    cmk_rc rc = cmk_secret_copy(&value, raw);
    return rc == CMK_OK ? cmk_making_finish(c, &k, &value, out) : cmk_ckr(rc);
}

/* PKCS#11 v3.0 §5.7.2 C_CopyObject */
CK_RV C_CopyObject(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount,
                   CK_OBJECT_HANDLE_PTR phNewObject)
{
    cmk_call c;
    cmk_kobject *o = NULL;
    CMK_TEMPLATE_AUTO t = {0};
    cmk_template_init(&t);
    CK_RV rv = cmk_call_begin(&c, hSession);
    if (rv == CKR_OK)
        rv = phNewObject ? cmk_template_copy(pTemplate, ulCount, &t) : CKR_ARGUMENTS_BAD;
    if (rv == CKR_OK)
        rv = cmk_kobject_open(&c, hObject, &o);
    if (rv == CKR_OK)
        rv = copy(&c, o, &t, phNewObject);
    cmk_kobject_put(o); /* before the call counts as left: C_Finalize may be waiting for it */
    return cmk_call_end(&c, __func__, rv);
}

/* A KEK goes only if this session made the version and nobody has used it. */
static CK_RV destroy_kek(cmk_call *c, cmk_kobject *o)
{
    if (!c->s->rw)
        return CKR_SESSION_READ_ONLY;
    if (o->class != CKO_PRIVATE_KEY || o->owner != c->s->handle)
        return CKR_ACTION_PROHIBITED;
    cmk_login *user = cmk_call_user(c);
    if (!user)
        return CKR_USER_NOT_LOGGED_IN;
    cmk_rc rc = cmk_key_undo_version(user, o->version);
    if (rc != CMK_OK)
        return cmk_ckr(rc);
    CMK_KOBJECT_AUTO sibling = cmk_kobject_sibling(c->m, o);
    if (sibling)
        cmk_kobject_kill(c->m, sibling);
    cmk_kobject_kill(c->m, o);
    return CKR_OK;
}

static CK_RV destroy(cmk_call *c, cmk_kobject *o)
{
    CMK_LOOK_AUTO look = {0};
    CK_RV rv = cmk_look_begin(c, o, &look);
    if (rv != CKR_OK)
        return rv;
    if (o->kind == CMK_KOBJECT_KEK)
        return destroy_kek(c, o);
    bool token = o->kind == CMK_KOBJECT_TOKEN;
    if (token && !c->s->rw)
        return CKR_SESSION_READ_ONLY;
    if (!cmk_look_true(c, &look, CKA_DESTROYABLE))
        return CKR_ACTION_PROHIBITED;
    cmk_login *user = token ? cmk_call_user(c) : NULL;
    if (token && !user)
        return CKR_USER_NOT_LOGGED_IN;
    cmk_rc rc = token ? cmk_object_destroy(user, o->object) : CMK_OK;
    if (rc == CMK_OK || rc == CMK_E_NOT_FOUND)
        cmk_kobject_kill(c->m, o);
    if (rc == CMK_E_NOT_FOUND)
        return CKR_OBJECT_HANDLE_INVALID;
    return rc == CMK_OK ? CKR_OK : cmk_ckr(rc);
}

/* PKCS#11 v3.0 §5.7.3 C_DestroyObject */
CK_RV C_DestroyObject(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject)
{
    cmk_call c;
    cmk_kobject *o = NULL;
    CK_RV rv = cmk_call_begin(&c, hSession);
    if (rv == CKR_OK)
        rv = cmk_kobject_open(&c, hObject, &o);
    if (rv == CKR_OK)
        rv = destroy(&c, o);
    cmk_kobject_put(o); /* before the call counts as left: C_Finalize may be waiting for it */
    return cmk_call_end(&c, __func__, rv);
}
